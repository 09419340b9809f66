"""Which accounts of PostgreSQL's catalog differ from ArangoDB's, and the entries that make them equal. Pure.

The catalog becomes a mirror: users that ArangoDB does not have are removed. Access tokens stay with their users, since
ArangoDB does not show its own. A database of ArangoDB's is noted, and made when a proxy starts on PostgreSQL alone;
none is removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from proxy.carryover.server_reading import OriginServer
from proxy.complete.catalog import (
    ACCOUNT,
    DATABASE,
    IDENTITY,
    ORIGIN_DATABASES,
    Entries,
    Entry,
    account_entry,
    origin_databases,
    parse_accounts,
    server_entry,
)
from proxy.devserver.store.state.accounts import SYSTEM, Account, Accounts, Grants
from proxy.model import json_reader
from proxy.model.json_values import dump

_NONE: Final = Grants()


@dataclass(frozen=True, slots=True)
class CopiedChange:
    """One difference. what: the parts of a user that changed, in words; never a hash."""

    kind: Literal["user", "database", "server"]
    name: str
    change: Literal["new", "changed", "gone"]
    what: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AccountPlan:
    """The differences, and the entries that remove them: `note` and `forget` as the catalog's changes have them."""

    changes: tuple[CopiedChange, ...]
    note: Entries
    forget: tuple[Entry, ...]


def plan_copy(origin: OriginServer, entries: Entries, *, secret: bytes | None, new_secret: bytes) -> AccountPlan:
    """Return how entries differ from ArangoDB. secret: of the settings, that signs tokens; new_secret: the one of a
    catalog that has none.
    """
    changes: list[CopiedChange] = []
    note: Entries = {}
    stored = parse_accounts(entries, enforced=True) if IDENTITY in entries else Accounts(new_secret)
    identity = _identity(origin, stored, secret)
    if entries.get(IDENTITY) != identity:
        note[IDENTITY] = identity
        changes.append(_server_change(entries.get(IDENTITY), identity))
    before = stored.by_name if IDENTITY in entries else {}
    for name, account in origin.accounts.items():
        known = before.get(name)
        if known is None:
            changes.append(CopiedChange("user", name, "new"))
        elif what := _parts(known, account):
            changes.append(CopiedChange("user", name, "changed", what))
        else:
            continue
        kept = account if known is None else replace(account, tokens=known.tokens)
        note[Entry(ACCOUNT, name)] = account_entry(kept)
    gone = [name for name in before if name not in origin.accounts]
    changes += [CopiedChange("user", name, "gone") for name in gone]
    changes += _databases(origin.databases, entries, note)
    return AccountPlan(tuple(changes), note, tuple(Entry(ACCOUNT, name) for name in gone))


def _identity(origin: OriginServer, stored: Accounts, secret: bytes | None) -> bytes:
    accounts = Accounts(secret or stored.secret)
    accounts.read_only = stored.read_only
    return server_entry(origin.id, origin.guid, accounts)


def _server_change(before: bytes | None, after: bytes) -> CopiedChange:
    if before is None:
        return CopiedChange("server", "identity", "new")
    old, new = json_reader.load(before), json_reader.load(after)
    words = {"id": "number", "guid": "globally unique name", "secret": "secret of tokens"}
    return CopiedChange(
        "server", "identity", "changed", tuple(word for name, word in words.items() if old[name] != new[name])
    )


def _parts(known: Account, account: Account) -> tuple[str, ...]:
    """Return what differs between two accounts, in words."""
    parts = {
        "password": (known.method, known.salt, known.password) != (account.method, account.salt, account.password),
        "active" if account.active else "inactive": known.active != account.active,
        "extra": known.extra != account.extra,
        "settings of the web interface": known.config != account.config,
    }
    databases = sorted(known.grants.keys() | account.grants.keys())
    levels = [
        f"levels of {name}" for name in databases if known.grants.get(name, _NONE) != account.grants.get(name, _NONE)
    ]
    return (*(word for word, differs in parts.items() if differs), *levels)


def _databases(databases: Mapping[str, str], entries: Entries, note: Entries) -> list[CopiedChange]:
    """Return how the databases differ that a start makes; one that exists already keeps its number."""
    noted = origin_databases(entries)
    wanted = {
        name: number for name, number in databases.items() if name != SYSTEM and Entry(DATABASE, name) not in entries
    }
    if wanted != noted:
        note[ORIGIN_DATABASES] = dump(wanted)
    found: list[CopiedChange] = []
    for name in sorted(wanted.keys() | noted.keys()):
        if name not in noted:
            found.append(CopiedChange("database", name, "new"))
        elif name not in wanted:
            found.append(CopiedChange("database", name, "gone"))
        elif wanted[name] != noted[name]:
            found.append(CopiedChange("database", name, "changed", ("number",)))
    return found
