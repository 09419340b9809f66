"""The collection endpoints, with attributes and Location header as a 3.12 single server sends them."""

from __future__ import annotations

from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.devserver.store import access, collection_lookup
from proxy.devserver.store.answers import done
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.state import log
from proxy.devserver.store.state.collection import DOCUMENTS, EDGES, Collection
from proxy.devserver.store.state.database import ServerDatabase
from proxy.devserver.store.state.server import ServerState
from proxy.model.documents import normalized, valid_collection
from proxy.model.operations import Operation, Outcome
from proxy.model.revision import encode_rev
from proxy.semantics import write_document
from proxy.semantics.computed_values import computed_values_of
from proxy.semantics.request_params import body_object, flag
from proxy.semantics.schema import schema_of

Document = dict[str, Any]


def _found(server: ServerState, operation: Operation) -> Collection:
    return server.database(operation).find(operation.collection or "")


def list_all(server: ServerState, operation: Operation) -> Outcome:
    hide = flag(operation.params, "excludeSystem")
    result = [
        collection.summary(server.guid)
        for collection in server.database(operation).collections.values()
        if not (hide and collection.system) and access.sees(server, operation, collection.name)
    ]
    return done(operation, {"result": result})


def create(server: ServerState, operation: Operation) -> Outcome:
    body = body_object(operation)
    return done(operation, make(server, server.database(operation), body).properties(server.guid))


def _name(body: Document, *, system: bool) -> str:
    """Return the name of a body. Raise ArangoError 1208. system: it may begin with an underscore."""
    name = body.get("name")
    if isinstance(name, str) and not normalized(name):
        raise ArangoError(1208, "collection name is not properly UTF-8 NFC-normalized")
    if not isinstance(name, str) or not valid_collection(name, system=system):
        raise ArangoError(1208, "illegal name: collection name invalid")
    return name


def make(server: ServerState, database: ServerDatabase, body: Document) -> Collection:
    """Create a collection from a request's body. Raise ArangoError 1208, 1207, 1218, 10."""
    name = _name(body, system=bool(body.get("isSystem", False)))
    if name in database.collections:
        raise ArangoError(1207, f"duplicate name: {name}")
    kind = body.get("type", DOCUMENTS)
    if kind in ("document", "edge"):
        kind = EDGES if kind == "edge" else DOCUMENTS
    if kind not in (DOCUMENTS, EDGES):
        raise ArangoError(1218, "invalid collection type")
    schema = schema_of(body)
    computed_values_of(body)
    created = server.add_collection(database, name, kind, {**body, "schema": schema})
    server.log.change(
        log.COLLECTION_CREATE, database.name, f"{server.guid}/{created.id}", created.properties(server.guid)
    )
    return created


def read(server: ServerState, operation: Operation) -> Outcome:
    return done(operation, _found(server, operation).summary(server.guid))


def properties(server: ServerState, operation: Operation) -> Outcome:
    return done(operation, _found(server, operation).properties(server.guid), located=True)


def set_properties(server: ServerState, operation: Operation) -> Outcome:
    collection = _found(server, operation)
    body = body_object(operation)
    schema = schema_of(body)
    computed = computed_values_of(body)
    if "waitForSync" in body:
        collection.wait_for_sync = bool(body["waitForSync"])
    if "cacheEnabled" in body:
        collection.cache = bool(body["cacheEnabled"])
    if "schema" in body:
        collection.schema = schema
    if "computedValues" in body:
        collection.computed = computed
    database = server.database(operation).name
    shown = collection.properties(server.guid)
    server.log.change(log.COLLECTION_CHANGE, database, f"{server.guid}/{collection.id}", shown)
    return done(operation, shown, located=True)


def count(server: ServerState, operation: Operation) -> Outcome:
    collection = collection_lookup.readable(server, operation, operation.collection or "")
    shown = {**collection.properties(server.guid), "count": collection.count()}
    return done(operation, shown, located=True)


def figures(server: ServerState, operation: Operation) -> Outcome:
    collection = collection_lookup.readable(server, operation, operation.collection or "")
    size = collection.documents_size()
    counted = {
        "indexes": {"count": len(collection.indexes), "size": 0},
        "documentsSize": size,
        "cacheInUse": False,
        "cacheSize": 0,
        "cacheUsage": 0,
    }
    if flag(operation.params, "details"):
        total = collection.count()
        counted["engine"] = {
            "documents": total,
            "indexes": [{"type": index.kind, "id": int(index.id), "count": total} for index in collection.indexes],
        }
    shown = {**collection.properties(server.guid), "count": collection.count(), "figures": counted}
    return done(operation, shown, located=True)


def revision(server: ServerState, operation: Operation) -> Outcome:
    collection = _found(server, operation)
    return done(
        operation, {**collection.properties(server.guid), "revision": encode_rev(collection.revision)}, located=True
    )


def checksum(server: ServerState, operation: Operation) -> Outcome:
    """Return a checksum that is equal for collections with the same keys (and revisions, and contents)."""
    collection = _found(server, operation)
    revisions = flag(operation.params, "withRevisions")
    data = flag(operation.params, "withData")
    total = collection.checksum(revisions=revisions, data=data)
    shown = {
        **collection.summary(server.guid),
        "revision": encode_rev(collection.revision),
        "checksum": str(total),
    }
    return done(operation, shown, located=True)


def truncate(server: ServerState, operation: Operation) -> Outcome:
    collection = collection_lookup.writable(server, operation, operation.collection or "")
    collection_lookup.require_exclusive(server, operation, collection)
    empty(
        server,
        server.database(operation),
        collection,
        in_transaction=collection_lookup.transaction_of(server, operation) is not None,
    )
    return done(operation, collection.summary(server.guid), located=True)


def empty(
    server: ServerState, database: ServerDatabase, collection: Collection, *, in_transaction: bool = False
) -> None:
    """Remove all documents: one by one in a transaction or if they are few, else all together, as ArangoDB does."""
    if in_transaction or collection.count() < 32_768:
        collection.empty()
        return
    collection.clear()
    collection.revision = server.clock.tick()
    server.log.change(log.COLLECTION_TRUNCATE, database.name, f"{server.guid}/{collection.id}")


def rename(server: ServerState, operation: Operation) -> Outcome:
    """Rename a collection. Its name is part of every `_id`, so that all documents are rewritten; revisions stay.

    Graphs that use the collection get its new name.
    """
    database = server.database(operation)
    collection = database.find(operation.collection or "")
    name = _name(body_object(operation), system=collection.system)
    if name in database.collections and name != collection.name:
        raise ArangoError(1207, f"duplicate name: {name}")
    if name != collection.name:
        _rename_in_graphs(database, collection.name, name)
        del database.collections[collection.name]
        collection.rename(name)
        database.collections[name] = collection
    server.log.change(
        log.COLLECTION_RENAME, database.name, f"{server.guid}/{collection.id}", {"name": name, "id": collection.id}
    )
    return done(operation, collection.summary(server.guid), located=True)


def _rename_in_graphs(database: ServerDatabase, old: str, new: str) -> None:
    def renamed(names: list[str]) -> list[str]:
        return [new if name == old else name for name in names]

    graphs = database.collections["_graphs"]
    for graph in graphs.scan():
        definitions = [
            {
                **one,
                "collection": renamed([one["collection"]])[0],
                "from": renamed(one["from"]),
                "to": renamed(one["to"]),
            }
            for one in graph["edgeDefinitions"]
        ]
        orphans = renamed(graph["orphanCollections"])
        if (definitions, orphans) != (graph["edgeDefinitions"], graph["orphanCollections"]):
            body = {"edgeDefinitions": definitions, "orphanCollections": orphans}
            write_document.update(graphs, graph["_key"], body)


def drop(server: ServerState, operation: Operation) -> Outcome:
    database = server.database(operation)
    collection = database.find(operation.collection or "")
    if collection.system and not flag(operation.params, "isSystem"):
        raise ArangoError(11, "forbidden")
    remove(server, database, collection)
    return done(operation, {"id": collection.id})


def remove(server: ServerState, database: ServerDatabase, collection: Collection) -> None:
    """Remove a collection from its database."""
    del database.collections[collection.name]
    server.log.change(log.COLLECTION_DROP, database.name, f"{server.guid}/{collection.id}")


def load(server: ServerState, operation: Operation) -> Outcome:
    """Do nothing: collections are always loaded."""
    collection = _found(server, operation)
    return done(operation, {**collection.summary(server.guid), "count": collection.count()}, located=True)


def maintain(server: ServerState, operation: Operation) -> Outcome:
    """loadIndexesIntoMemory, recalculateCount: do nothing."""
    _found(server, operation)
    return done(operation, {"result": True, "count": _found(server, operation).count()}, located=True)


def compact(server: ServerState, operation: Operation) -> Outcome:
    """Do nothing: there is nothing to compact."""
    return done(operation, _found(server, operation).summary(server.guid), located=True)


def shards(server: ServerState, operation: Operation) -> Outcome:
    _found(server, operation)
    raise ArangoError(1470, "this operation is only supported on coordinators in a cluster", status=501)


COMMANDS: Final = {
    "collection.list": EndpointCommand(list_all),
    "collection.create": EndpointCommand(create, access.database_write),
    "collection.read": EndpointCommand(read, access.collection_read),
    "collection.properties": EndpointCommand(properties, access.collection_read),
    "collection.set_properties": EndpointCommand(set_properties, access.collection_change),
    "collection.count": EndpointCommand(count, counts=True, of_transaction=True),
    "collection.figures": EndpointCommand(figures, access.collection_read, of_transaction=True),
    "collection.revision": EndpointCommand(revision, access.collection_read),
    "collection.checksum": EndpointCommand(checksum, access.collection_read),
    "collection.truncate": EndpointCommand(truncate),
    "collection.rename": EndpointCommand(rename, access.collection_change),
    "collection.drop": EndpointCommand(drop, access.collection_change),
    "collection.load": EndpointCommand(load, access.collection_read),
    "collection.unload": EndpointCommand(load, access.collection_read),
    "collection.load_indexes": EndpointCommand(maintain, access.collection_read),
    "collection.recalculate": EndpointCommand(maintain, access.collection_read),
    "collection.compact": EndpointCommand(compact, access.collection_read),
    "collection.shards": EndpointCommand(shards, access.collection_read),
    "collection.responsible_shard": EndpointCommand(shards, access.collection_read),
}
