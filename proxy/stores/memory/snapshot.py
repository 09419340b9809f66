"""A whole server in files and back: `server.json` (databases, collections, indexes) and one JSONL a collection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from proxy.stores.memory.indexes import Index
from proxy.stores.memory.server import Server


def save(server: Server, directory: Path) -> None:
    """Writes everything but cursors, transactions and the log. An earlier snapshot is replaced file by file."""
    directory.mkdir(parents=True, exist_ok=True)
    whole: dict[str, Any] = {"tick": server.last_tick, "clock": str(server.clock.last), "databases": []}
    for database in server.databases.values():
        shown: dict[str, Any] = {"name": database.name, "id": database.id, "collections": []}
        for collection in database.collections.values():
            shown["collections"].append(
                {
                    **collection.properties(server.guid),
                    "revision": collection.revision,
                    "indexes": [
                        [index.id, index.name, index.kind, index.fields, index.unique, index.sparse, index.shown]
                        for index in collection.indexes
                    ],
                }
            )
            lines = b"\n".join(collection.documents[key] for key in collection.sorted_keys())
            (directory / f"{database.id}-{collection.id}.jsonl").write_bytes(lines)
        whole["databases"].append(shown)
    temporary = directory / "server.json.new"
    temporary.write_bytes(orjson.dumps(whole))
    temporary.replace(directory / "server.json")


def load(server: Server, directory: Path) -> None:
    """Fills a new server from a snapshot; a directory without one leaves it as it is."""
    file = directory / "server.json"
    if not file.is_file():
        return
    whole = orjson.loads(file.read_bytes())
    server.raise_tick(int(whole["tick"]))
    server.clock.observe(int(whole["clock"]))
    for shown in whole["databases"]:
        database = server.databases.get(shown["name"]) or server.add_database(shown["name"])
        stored_id = shown["id"]
        database.id = stored_id
        for properties in shown["collections"]:
            collection = server.add_collection(database, properties["name"], properties["type"], properties)
            collection.id = properties["id"]
            collection.object_id = properties["objectId"]
            collection.indexes = []
            for number, name, kind, fields, unique, sparse, extra in properties["indexes"]:
                collection.indexes.append(Index(number, name, kind, tuple(fields), unique, sparse, extra))
            for line in (directory / f"{stored_id}-{collection.id}.jsonl").read_bytes().split(b"\n"):
                if line:
                    document = orjson.loads(line)
                    collection.put(document["_key"], line, document, properties["revision"])
            collection.revision = properties["revision"]
