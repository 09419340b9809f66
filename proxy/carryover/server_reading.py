"""Read from ArangoDB what is the server's: its identity, its databases, its accounts with their salted hashes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from proxy.base.arango_client import OriginClient
from proxy.base.errors import ArangoError, PreconditionFailed
from proxy.devserver.store.state.accounts import SYSTEM, Account
from proxy.devserver.store.state.user_documents import UnusableUserError, account_of
from proxy.model import json_reader

_USERS: Final = "_users"
_REFUSED: Final = (401, 403)


@dataclass(frozen=True, slots=True)
class OriginServer:
    """What ArangoDB has. databases: their numbers by name. unusable: documents of `_users` that let no user in, by the
    name or the key, with the reason. with_tokens: users that have access tokens, whose hashes ArangoDB does not show.
    """

    id: str
    guid: str
    databases: Mapping[str, str]
    accounts: Mapping[str, Account]
    unusable: Mapping[str, str]
    with_tokens: tuple[str, ...]


async def read_server(origin: OriginClient, account: str) -> OriginServer:
    """Return what a single server has. account: the name of Crossfade's own, for messages.

    Raise PreconditionFailed if that may not see it, or the server does not show it; UpstreamError, ArangoError.
    """
    try:
        databases = await origin.all_databases()
        lines = await origin.dump(SYSTEM, _USERS)
    except ArangoError as error:
        if error.status in _REFUSED:
            raise PreconditionFailed(
                f"ArangoDB shows its accounts to administrators: give its user {account} `rw` on `_system`, and no "
                f"lower level on another database ({error})"
            ) from error
        raise PreconditionFailed(
            f"ArangoDB does not dump its accounts, as a single server does since 3.12 ({error})"
        ) from error
    accounts: dict[str, Account] = {}
    unusable: dict[str, str] = {}
    for line in lines:
        document = json_reader.load(line)
        try:
            found = account_of(document)
        except UnusableUserError as why:
            unusable[str(document.get("user") or document.get("_key"))] = str(why)
        else:
            accounts[found.name] = found
    if not accounts:
        raise PreconditionFailed("ArangoDB shows no account: is this a single server?")
    with_tokens = [name for name in sorted(accounts) if await origin.access_tokens(name)]
    number = await origin.server_id()
    guid = await _guid(origin, tuple(databases)) or f"h{int(number):X}"
    return OriginServer(number, guid, databases, accounts, unusable, tuple(with_tokens))


async def _guid(origin: OriginClient, databases: tuple[str, ...]) -> str:
    """Return how each `globallyUniqueId` of a client's collection begins; empty if there is none."""
    for database in databases:
        for collection in await origin.collections(database):
            start, slash, _ = collection.globally.partition("/")
            if slash and not collection.system:
                return start
    return ""
