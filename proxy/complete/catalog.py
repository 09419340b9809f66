"""The catalog: databases, collections, accounts and the server's identity, as entries in PostgreSQL and as values.

An entry is (kind, name) -> JSON. A ServerCatalog never changes: a request works on copies (`server_view`).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from proxy.devserver.store.state.accounts import METHODS, Account, Accounts, Grants, Level
from proxy.devserver.store.state.collection import Collection
from proxy.devserver.store.state.indexes import StoredIndex
from proxy.model import json_reader
from proxy.model.json_values import dump
from proxy.model.revision import Clock

Document = dict[str, Any]
SERVER: Final = "server"
DATABASE: Final = "database"
COLLECTION: Final = "collection"
ACCOUNT: Final = "account"


class Entry(NamedTuple):
    """The name of an entry. name: of a collection `database/name`."""

    kind: str
    name: str


IDENTITY: Final = Entry(SERVER, "identity")
ORIGIN_DATABASES: Final = Entry(SERVER, "databases of ArangoDB")
Entries = dict[Entry, bytes]


@dataclass(frozen=True, slots=True)
class StoredCollection:
    """A collection of the catalog. properties: the collection without documents, to be copied. relation: its table.

    first: the revision that its sequence begins above.
    """

    database: str
    properties: Collection
    relation: str
    first: int

    @property
    def qualified(self) -> str:
        return f"{self.database}/{self.properties.name}"


@dataclass(frozen=True, slots=True)
class ServerCatalog:
    """Everything but documents, at one version. databases: name -> id. collections: by database and name, in the order
    of creation.
    """

    version: int
    entries: Entries
    server_id: str
    guid: str
    accounts: Accounts
    databases: dict[str, str] = field(default_factory=dict)
    collections: dict[str, dict[str, StoredCollection]] = field(default_factory=dict)


def parse_catalog(version: int, entries: Entries, relations: Mapping[str, str], *, enforced: bool) -> ServerCatalog:
    """Return the catalog of these entries. relations: tables by `database/name`. enforced: requests authenticate."""
    identity = json_reader.load(entries[IDENTITY])
    databases: dict[str, str] = {}
    collections: dict[str, dict[str, StoredCollection]] = {}
    for (kind, name), raw in entries.items():
        if kind == DATABASE:
            databases[name] = json_reader.load(raw)["id"]
            collections.setdefault(name, {})
        elif kind == COLLECTION:
            body = json_reader.load(raw)
            database, _, own = name.partition("/")
            stored = StoredCollection(database, _collection(own, body), relations[name], body["first"])
            collections.setdefault(database, {})[own] = stored
    accounts = parse_accounts(entries, enforced=enforced)
    return ServerCatalog(version, entries, identity["id"], identity["guid"], accounts, databases, collections)


# ---- the server and its accounts


def server_entry(server_id: str, guid: str, accounts: Accounts) -> bytes:
    """Return the entry of the server's identity, the secret that signs its tokens, and its mode."""
    secret = base64.b64encode(accounts.secret).decode()
    return dump({"id": server_id, "guid": guid, "secret": secret, "readOnly": accounts.read_only})


def origin_databases(entries: Entries) -> dict[str, str]:
    """Return the numbers of ArangoDB's databases by name, as they were copied; they get the same ones here."""
    found: dict[str, str] = json_reader.load(entries.get(ORIGIN_DATABASES, b"{}"))
    return found


def parse_accounts(entries: Entries, *, enforced: bool) -> Accounts:
    """Return the accounts, which the caller may change."""
    identity = json_reader.load(entries[IDENTITY])
    accounts = Accounts(base64.b64decode(identity["secret"]), enforced=enforced)
    accounts.read_only = identity["readOnly"]
    accounts.by_name = {
        name: _account(name, json_reader.load(raw)) for (kind, name), raw in entries.items() if kind == ACCOUNT
    }
    return accounts


def account_entry(account: Account) -> bytes:
    """Return the entry of an account."""
    grants = {
        database: {
            "level": None if given.level is None else given.level.text,
            "collections": {name: level.text for name, level in given.collections.items()},
        }
        for database, given in account.grants.items()
    }
    return dump(
        {
            "salt": account.salt,
            "password": account.password,
            "method": account.method,
            "active": account.active,
            "extra": account.extra,
            "config": account.config,
            "grants": grants,
            "tokens": account.tokens,
        }
    )


def _account(name: str, body: Document) -> Account:
    grants = {
        database: Grants(
            None if given["level"] is None else Level[given["level"].upper()],
            {one: Level[text.upper()] for one, text in given["collections"].items()},
        )
        for database, given in body["grants"].items()
    }
    return Account(
        name,
        body["salt"],
        body["password"],
        body["active"],
        body["extra"],
        body["config"],
        grants,
        body["tokens"],
        body.get("method", METHODS[0]),  # absent in entries of an earlier version
    )


# ---- databases and collections


def database_entry(number: str) -> bytes:
    """Return the entry of a database."""
    return dump({"id": number})


def first_revision(collection: Collection, first: int) -> int:
    """Return the revision above which those of a new collection begin: within the millisecond, another one for each.

    first: of the request. Collections that one request makes have no revisions in common.
    """
    return first + (int(collection.id) % 4096 << 8)


def collection_entry(collection: Collection, first: int) -> bytes:
    """Return the entry of a collection."""
    own = [_stored(index) for index in collection.indexes if index.kind not in ("primary", "edge")]
    return dump(
        {
            "id": collection.id,
            "objectId": collection.object_id,
            "type": collection.kind,
            "waitForSync": collection.wait_for_sync,
            "schema": collection.schema,
            "computedValues": collection.computed,
            "cacheEnabled": collection.cache,
            "writeConcern": collection.write_concern,
            "keyOptions": _key_options(collection),
            "indexes": own,
            "first": first,
        }
    )


def write_properties(collection: Collection) -> bytes:
    """Return what writes to a collection must follow, as ArangoDB shows it: `stamp_floor.properties`."""
    return dump(
        {
            "id": collection.id,
            "keyOptions": _key_options(collection),
            "schema": collection.schema,
            "computedValues": collection.computed,
            "waitForSync": collection.wait_for_sync,
            "indexes": [index.definition(collection.name) for index in collection.indexes],
        }
    )


def _key_options(collection: Collection) -> Document:
    options = dict(collection.key_options)
    options.pop("lastValue", None)  # a row of _crossfade.last_key
    return options


def _collection(name: str, body: Document) -> Collection:
    number = int(body["id"])  # where made keys begin: the numbers after it come after the last one only
    made = Collection(number, name, body["type"], body, tick=lambda: number, clock=_CLOCK)
    made.object_id = body["objectId"]
    made.indexes += [
        StoredIndex(i["id"], i["name"], i["kind"], tuple(i["fields"]), i["unique"], i["sparse"], i["shown"])
        for i in body["indexes"]
    ]
    return made


def _stored(index: StoredIndex) -> Document:
    return {
        "id": index.id,
        "name": index.name,
        "kind": index.kind,
        "fields": list(index.fields),
        "unique": index.unique,
        "sparse": index.sparse,
        "shown": index.shown,
    }


_CLOCK: Final = Clock()  # of collections without documents, which give no revisions
