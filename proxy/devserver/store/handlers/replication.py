"""Snapshots for copying: `/_api/replication` (batch, inventory, dump, state) and `/_api/dump`.

Protocol page, sections 9 and 10.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from proxy.base.errors import ArangoError, Unsupported
from proxy.devserver.store import access
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.handlers.wal import state
from proxy.devserver.store.state.accounts import SYSTEM
from proxy.devserver.store.state.collection import Collection
from proxy.devserver.store.state.database import ServerDatabase
from proxy.devserver.store.state.server import ServerState
from proxy.devserver.store.state.sessions import Dump, ReplicationBatch
from proxy.devserver.store.state.user_documents import document_of
from proxy.model.json_values import dump as text_of
from proxy.model.operations import Operation, Outcome
from proxy.semantics import request_params
from proxy.semantics.attributes import whole
from proxy.semantics.request_params import body_object, flag
from proxy.wire.encode import json_outcome

Document = dict[str, Any]
_CHUNK: Final = 1 << 20
_MOST: Final = 16  # snapshots of each kind
_DUMPED: Final = b"application/x-arango-dump"


def batch(server: ServerState, operation: Operation) -> Outcome:
    """POST creates a snapshot, PUT extends it, DELETE ends it."""
    database = server.database(operation)
    if operation.method == "POST" and len(operation.path) == 3:
        made = ReplicationBatch(str(server.tick()), database.name, server.log.last or server.last_tick)
        for collection in database.collections.values():
            made.documents[collection.name] = list(reversed(_documents(server, database, collection)))
        server.batches[made.id] = made
        _forget(server.batches)
        return json_outcome(200, {"id": made.id, "serverId": server.id, "lastTick": str(made.tick)})
    number = operation.path[3] if len(operation.path) > 3 else ""
    found = _batch(server, operation, number)
    if operation.method == "DELETE":
        del server.batches[found.id]
    elif operation.method != "PUT":
        raise ArangoError(405, "method not supported")
    return Outcome(204)


def _forget(kept: dict[str, Any]) -> None:
    """Drop the oldest snapshots if there are too many: they keep documents that were removed."""
    while len(kept) > _MOST:
        del kept[next(iter(kept))]


def _batch(server: ServerState, operation: Operation, number: str) -> ReplicationBatch:
    found = server.batches.get(number)
    if found is None or found.database != operation.database:
        raise ArangoError(1600, "batch not found")
    return found


def replication(server: ServerState, operation: Operation) -> Outcome:
    """Answer the reads: inventory, dump, logger-state, server-id."""
    name = operation.path[2] if len(operation.path) > 2 else ""
    if name == "server-id":
        return json_outcome(200, {"serverId": server.id})
    server.database(operation)
    if name == "logger-state":
        served = {"version": state(server)["server"]["version"], "serverId": server.id, "engine": "rocksdb"}
        return json_outcome(200, {"state": _logger(server), "server": served, "clients": []})
    if name == "inventory":
        return _inventory(server, operation)
    if name == "dump":
        return _dump(server, operation)
    raise Unsupported(f"replication {name}")


def _logger(server: ServerState) -> Document:
    now = state(server)
    return {
        "running": True,
        "lastLogTick": now["tick"],
        "lastUncommittedLogTick": now["tick"],
        "totalEvents": server.last_tick,
        "time": now["time"],
    }


def _inventory(server: ServerState, operation: Operation) -> Outcome:
    """Return collections with their properties and secondary indexes, which a follower creates first.

    `global`: of all databases.
    """
    database = server.database(operation)
    system = flag(operation.params, "includeSystem", default=True)
    whole: Document = {"state": _logger(server), "tick": str(server.last_tick)}
    if flag(operation.params, "global"):
        access.require_admin(server, operation)
        if database.name != "_system":
            raise ArangoError(11, "global inventory is only available in _system")
        shown = {
            one.name: {"id": one.id, "name": one.name, **_contents(server, one, system=system)}
            for one in server.databases.values()
        }
        return json_outcome(200, {**whole, "databases": shown})
    return json_outcome(200, {**_contents(server, database, system=system), **whole})


def _contents(server: ServerState, database: ServerDatabase, *, system: bool) -> Document:
    shown: list[Document] = [
        {
            "parameters": {**collection.properties(server.guid), "deleted": False, "cid": collection.id},
            "indexes": [
                index.definition(collection.name) for index in collection.indexes[2 if collection.edge else 1 :]
            ],
        }
        for collection in database.collections.values()
        if system or not collection.system
    ]
    properties = {"name": database.name, "id": database.id, "isSystem": database.name == "_system"}
    return {"collections": shown, "views": [], "properties": properties}


def _dump(server: ServerState, operation: Operation) -> Outcome:
    """Return the documents of one collection of a batch, in pieces; each piece continues where the last one ended."""
    found = _batch(server, operation, operation.params.get("batchId", ""))
    name = server.database(operation).find(operation.params.get("collection", "")).name
    if not _may_dump(server, operation, name):
        raise ArangoError(11, "forbidden")
    documents = found.documents.get(name, [])  # not sent yet, the next one last
    limit = request_params.number(operation.params, "chunkSize", _CHUNK)
    lines: list[bytes] = []
    size = 0
    while documents and size < limit:
        raw = documents.pop()
        lines.append(b'{"type":2300,"data":' + raw + b"}")
        size += len(raw)
    headers = ((b"x-arango-replication-checkmore", b"true" if documents else b"false"),)
    if not lines:
        return Outcome(204, b"", headers, _DUMPED)
    return Outcome(200, b"\n".join(lines) + b"\n", headers, _DUMPED)


def _documents(server: ServerState, database: ServerDatabase, collection: Collection) -> list[bytes]:
    """Return the documents of a collection; those of `_users` are made from the accounts."""
    if (database.name, collection.name) != (SYSTEM, "_users"):
        return list(collection.documents.values())
    accounts = server.accounts.by_name.values()
    return [text_of(document_of(account, str(number))) for number, account in enumerate(accounts, int(collection.id))]


def _may_dump(server: ServerState, operation: Operation, name: str) -> bool:
    """Return True if the user may read the collection. Administrators dump every one, even `_users`."""
    return server.accounts.admin(access.identity(server, operation)) or access.sees(server, operation, name)


# ---- /_api/dump


def dump(server: ServerState, operation: Operation) -> Outcome:
    """POST start, POST next/{id}, DELETE {id}. A single server's shards are its collections."""
    below = operation.path[2:]
    if operation.method == "POST" and below == ("start",):
        return _start(server, operation)
    if operation.method == "POST" and below[:1] == ("next",) and len(below) == 2:
        return _next(server, operation, _found(server, operation, below[1]))
    if operation.method == "DELETE" and len(below) == 1:
        del server.dumps[_found(server, operation, below[0]).id]
        return json_outcome(200, {"error": False, "code": 200})
    raise ArangoError(404, "not found")


def _start(server: ServerState, operation: Operation) -> Outcome:
    database = server.database(operation)
    body = body_object(operation)
    shards = body.get("shards")
    if not isinstance(shards, list) or not all(isinstance(shard, str) for shard in shards):
        raise ArangoError(10, "expecting an array of shards")
    collections = [database.find(shard) for shard in shards]
    for collection in collections:
        if not _may_dump(server, operation, collection.name):
            name = collection.name
            raise ArangoError(11, f"insufficient permissions to access shard {name} of collection {name}")
    most = whole(body, "docsPerBatch", 10_000)
    parts = [(collection.name, _documents(server, database, collection)) for collection in collections]
    made = Dump(str(server.tick()), database.name, _pieces(parts, max(most, 1)))
    server.dumps[made.id] = made
    _forget(server.dumps)
    return Outcome(201, text_of({"error": False, "code": 201}), ((b"x-arango-dump-id", made.id.encode()),))


def _pieces(parts: list[tuple[str, list[bytes]]], most: int) -> Iterator[tuple[str, bytes]]:
    for name, documents in parts:
        for start in range(0, len(documents), most):
            yield name, b"\n".join(documents[start : start + most]) + b"\n"


def _next(_server: ServerState, operation: Operation, found: Dump) -> Outcome:
    wanted = request_params.number(operation.params, "batchId", 0)
    if wanted > found.sent:
        found.last, found.sent = next(found.parts, None), wanted
    elif wanted != found.sent:
        raise ArangoError(404, "batch not found")
    if found.last is None:
        return Outcome(204, b"", (), _DUMPED)
    name, lines = found.last
    return Outcome(200, lines, ((b"x-arango-dump-shard-id", name.encode()),), _DUMPED)


def _found(server: ServerState, operation: Operation, number: str) -> Dump:
    found = server.dumps.get(number)
    if found is None or found.database != operation.database:
        raise ArangoError(404, "dump not found")
    return found


COMMANDS: Final = {
    "replication.batch": EndpointCommand(batch),
    "replication": EndpointCommand(replication),
    "dump": EndpointCommand(dump),
}
