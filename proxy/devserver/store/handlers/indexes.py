"""The index endpoints."""

from __future__ import annotations

from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.devserver.store import access
from proxy.devserver.store.answers import done
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.state import indexes, log
from proxy.devserver.store.state.server import ServerState
from proxy.model.operations import Operation, Outcome
from proxy.semantics.request_params import body_object, flag
from proxy.wire.encode import json_outcome


def list_indexes(server: ServerState, operation: Operation) -> Outcome:
    collection = server.database(operation).find(_collection_parameter(operation))
    shown = [index.definition(collection.name) for index in collection.indexes]
    if flag(operation.params, "withStats"):
        for definition in shown:
            definition["figures"] = {"memory": 0, "cacheInUse": False, "cacheSize": 0, "cacheUsage": 0}
    return done(operation, {"indexes": shown, "identifiers": {definition["id"]: definition for definition in shown}})


def create_index(server: ServerState, operation: Operation) -> Outcome:
    """Answer 201 for a new index, 200 for one that exists already."""
    database = server.database(operation)
    collection = database.find(_collection_parameter(operation))
    body = body_object(operation)
    wanted = indexes.define(body, server.tick(), f"idx_{server.clock.tick()}")
    if wanted.kind not in ("persistent", "hash", "skiplist") or not collection.edge:
        found = next((index for index in collection.indexes if index.same_as(wanted)), None)
    else:
        found = next((index for index in collection.indexes[1:] if index.same_as(wanted)), None)
    code = 201 if found is None else 200
    if found is None:
        if any(index.name == wanted.name for index in collection.indexes):
            raise ArangoError(1207, f"duplicate value for `name`: {wanted.name}")
        try:
            collection.add_index(wanted)
        except ArangoError as error:  # documents that violate a new index make a bad request, not a conflict
            raise ArangoError(error.number, error.message, status=400) from error
        found = wanted
        cuid = f"{server.guid}/{collection.id}"
        server.log.change(log.INDEX_CREATE, database.name, cuid, found.definition(collection.name))
    shown: dict[str, Any] = {**found.definition(collection.name), "isNewlyCreated": code == 201}
    return json_outcome(code, {**dict(sorted(shown.items())), "code": code, "error": False})


def read_index(server: ServerState, operation: Operation) -> Outcome:
    collection = server.database(operation).find(operation.collection or "")
    found = collection.find_index(operation.path[3])
    return json_outcome(200, {**found.definition(collection.name), "code": 200, "error": False})


def selectivity(server: ServerState, operation: Operation) -> Outcome:
    """Return the estimates of all indexes of a collection, which here are always 1."""
    collection = server.database(operation).find(_collection_parameter(operation))
    shown = {f"{collection.name}/{index.id}": 1 for index in collection.indexes}
    return done(operation, {"indexes": shown})


def drop_index(server: ServerState, operation: Operation) -> Outcome:
    database = server.database(operation)
    collection = database.find(operation.collection or "")
    found = collection.find_index(operation.path[3])
    if found.kind in ("primary", "edge"):
        raise ArangoError(11, "forbidden")
    collection.indexes.remove(found)
    name = f"{collection.name}/{found.id}"
    server.log.change(log.INDEX_DROP, database.name, f"{server.guid}/{collection.id}", {"id": found.id})
    return json_outcome(200, {"id": name, "error": False, "code": 200})


def _collection_parameter(operation: Operation) -> str:
    name = operation.params.get("collection")
    if not name:
        raise ArangoError(1203, "collection or view not found")
    return name


COMMANDS: Final = {
    "index.list": EndpointCommand(list_indexes, access.collection_read),
    "index.create": EndpointCommand(create_index, access.index_create),
    "index.read": EndpointCommand(read_index, access.collection_read),
    "index.drop": EndpointCommand(drop_index, access.collection_change),
    "index.selectivity": EndpointCommand(selectivity, access.collection_read),
}
