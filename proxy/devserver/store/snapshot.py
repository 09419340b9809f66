"""A whole server in files and back: databases, collections, documents, indexes, users; not cursors, transactions, log.

A snapshot is a folder within the given one: `server.json` and one JSON Lines file per collection. `current` names the
valid folder; it is replaced last, so that a reader finds either the old snapshot or the new one, complete.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson

from proxy.base.errors import ConfigurationError
from proxy.base.private_files import open_private
from proxy.devserver.store.state.accounts import Account, Grants, Level
from proxy.devserver.store.state.database import ServerDatabase
from proxy.devserver.store.state.indexes import StoredIndex
from proxy.devserver.store.state.server import ServerState
from proxy.model import json_reader

Document = dict[str, Any]
_CURRENT: Final = "current"
_SERVER: Final = "server.json"


def save(server: ServerState, directory: Path) -> None:
    """Write a snapshot beside the present one, make it the current one, and remove the others."""
    directory.mkdir(parents=True, exist_ok=True)
    folder = directory / f"snapshot-{server.tick()}"
    shutil.rmtree(folder, ignore_errors=True)  # left by a process that was killed while it wrote
    folder.mkdir()
    for database in server.databases.values():
        for collection in database.collections.values():
            lines = b"\n".join(collection.documents[key] for key in collection.sorted_keys())
            _write(folder / f"{database.id}-{collection.id}.jsonl", lines)
    _write(folder / _SERVER, orjson.dumps(_state(server)))
    _sync(folder)
    _write(directory / f"{_CURRENT}.new", folder.name.encode())
    (directory / f"{_CURRENT}.new").replace(directory / _CURRENT)
    _sync(directory)
    for other in directory.glob("snapshot-*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)


def load(server: ServerState, directory: Path) -> None:
    """Fill a new server from a snapshot; a directory without one leaves it unchanged.

    Raise ConfigurationError if what is there is not a snapshot of this version.
    """
    if not (directory / _CURRENT).is_file():
        return
    folder = directory / (directory / _CURRENT).read_text("utf-8").strip()
    try:
        _load(server, folder, orjson.loads((folder / _SERVER).read_bytes()))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"no snapshot can be read from {directory}: {error!r}") from error


def _state(server: ServerState) -> Document:
    databases = [
        {
            "name": database.name,
            "id": database.id,
            "collections": [
                {
                    **collection.properties(server.guid),
                    "revision": collection.revision,
                    "indexes": [
                        [index.id, index.name, index.kind, index.fields, index.unique, index.sparse, index.shown]
                        for index in collection.indexes
                    ],
                }
                for collection in database.collections.values()
            ],
        }
        for database in server.databases.values()
    ]
    accounts = [asdict(account) for account in server.accounts.by_name.values()]
    known = {"id": server.id, "guid": server.guid}
    return {
        "tick": server.last_tick,
        "clock": str(server.clock.last),
        **known,
        "databases": databases,
        "users": accounts,
    }


def _load(server: ServerState, folder: Path, whole: Document) -> None:
    server.id, server.guid = whole["id"], whole["guid"]
    server.raise_tick(int(whole["tick"]))
    server.clock.observe(int(whole["clock"]))
    for shown in whole["databases"]:
        database = server.databases.get(shown["name"]) or server.add_database(shown["name"])
        database.id = shown["id"]
        for properties in shown["collections"]:
            _load_collection(server, database, properties, folder)
    accounts = server.accounts
    accounts.by_name = {user["name"]: _account(user) for user in whole["users"]}
    accounts.changed()


def _load_collection(server: ServerState, database: ServerDatabase, properties: Document, folder: Path) -> None:
    collection = server.add_collection(database, properties["name"], properties["type"], properties)
    collection.id, collection.object_id = properties["id"], properties["objectId"]
    collection.indexes = [
        StoredIndex(number, name, kind, tuple(fields), unique, sparse, extra)
        for number, name, kind, fields, unique, sparse, extra in properties["indexes"]
    ]
    for line in (folder / f"{database.id}-{collection.id}.jsonl").read_bytes().split(b"\n"):
        if line:
            document = json_reader.load(line)
            collection.put(document["_key"], line, document, properties["revision"])
    collection.revision = properties["revision"]


def _account(user: Document) -> Account:
    grants = {
        name: Grants(
            None if one["level"] is None else Level(one["level"]),
            {collection: Level(level) for collection, level in one["collections"].items()},
        )
        for name, one in user["grants"].items()
    }
    return Account(**{**user, "grants": grants})


def _write(file: Path, data: bytes) -> None:
    with open_private(file) as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some file systems cannot sync a directory
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
