"""`/_api/gharial`: definitions of named graphs, kept as documents of `_graphs`.

Documents within graphs are in `graph_documents`.
"""

from __future__ import annotations

from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.devserver.store import access
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.handlers import collections
from proxy.devserver.store.state.collection import DOCUMENTS, EDGES, Collection
from proxy.devserver.store.state.database import ServerDatabase
from proxy.devserver.store.state.server import ServerState
from proxy.model.operations import Operation, Outcome
from proxy.model.revision import decode_rev
from proxy.semantics import write_document
from proxy.semantics.request_params import body_object, flag
from proxy.wire.encode import json_outcome

Document = dict[str, Any]


def graphs_of(database: ServerDatabase) -> Collection:
    return database.collections["_graphs"]


def find(database: ServerDatabase, name: str) -> Document:
    """Return the stored definition. Raise ArangoError 1924."""
    found = graphs_of(database).load(name)
    if found is None:
        raise ArangoError(1924, f"graph '{name}' not found")
    return found


def vertex_names(graph: Document) -> list[str]:
    """Return every vertex collection of a graph, sorted."""
    names = {name for definition in graph["edgeDefinitions"] for name in (*definition["from"], *definition["to"])}
    return sorted(names | set(graph["orphanCollections"]))


def edge_names(graph: Document) -> list[str]:
    return [definition["collection"] for definition in graph["edgeDefinitions"]]


def _shown(graph: Document) -> Document:
    return {**graph, "name": graph["_key"]}


def _answer(code: int, graph: Document) -> Outcome:
    headers = ((b"etag", str(graph["_rev"]).encode()),)
    return json_outcome(code, {"error": False, "code": code, "graph": _shown(graph)}, headers)


def _code(operation: Operation, *, synced: int = 201) -> int:
    return synced if flag(operation.params, "waitForSync") else 202


def _definition(body: Any) -> Document:
    """Return an edge definition with its ends sorted. Raise ArangoError 1923."""
    if not isinstance(body, dict) or not isinstance(body.get("collection"), str):
        raise ArangoError(1923, "invalid edge definition", status=400)
    ends = {}
    for side in ("from", "to"):
        given = body.get(side)
        names = [given] if isinstance(given, str) else given
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise ArangoError(1923, "invalid edge definition", status=400)
        ends[side] = sorted(set(names))
    return {"collection": body["collection"], **ends}


def _list(body: Document, name: str) -> list[Any]:
    """Return an array of a body; absent is empty. Raise ArangoError 10."""
    given = body.get(name)
    if given is not None and not isinstance(given, list):
        raise ArangoError(10, f"expecting an array for '{name}'")
    return given or []


def _ensure(server: ServerState, database: ServerDatabase, graph: Document) -> None:
    """Create the collections that a graph needs. Raise ArangoError 1218 if an edge collection is not one."""
    for name in edge_names(graph):
        found = database.collections.get(name)
        if found is None:
            collections.make(server, database, {"name": name, "type": EDGES})
        elif not found.edge:
            raise ArangoError(1218, "invalid collection type")
    for name in vertex_names(graph):
        if name not in database.collections:
            collections.make(server, database, {"name": name, "type": DOCUMENTS})


def _check_shared(database: ServerDatabase, graph: Document) -> None:
    """Check that an edge collection has one definition in all graphs of a database. Raise ArangoError 1921."""
    for other in graphs_of(database).scan():
        if other["_key"] == graph["_key"]:
            continue
        for definition in other["edgeDefinitions"]:
            for mine in graph["edgeDefinitions"]:
                if mine["collection"] == definition["collection"] and mine != definition:
                    raise ArangoError(1921, f"{mine['collection']} already used in other graph", status=400)


def _save(database: ServerDatabase, graph: Document) -> Document:
    body = {name: graph[name] for name in ("edgeDefinitions", "orphanCollections")}
    write_document.replace(graphs_of(database), graph["_key"], body)
    return find(database, graph["_key"])


def list_all(server: ServerState, operation: Operation) -> Outcome:
    shown = [_shown(graph) for graph in graphs_of(server.database(operation)).scan()]
    shown.sort(key=lambda graph: decode_rev(graph["_rev"]))
    return json_outcome(200, {"error": False, "code": 200, "graphs": shown})


def create(server: ServerState, operation: Operation) -> Outcome:
    database = server.database(operation)
    body = body_object(operation)
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise ArangoError(1922, "a graph name is required to create a graph.", status=400)
    if graphs_of(database).get(name) is not None:
        raise ArangoError(1925, "graph already exists")
    definitions = [_definition(item) for item in _list(body, "edgeDefinitions")]
    names = [definition["collection"] for definition in definitions]
    if len(set(names)) != len(names):
        raise ArangoError(1920, "multi use of edge collection in edge def", status=400)
    orphans = _list(body, "orphanCollections")
    if not all(isinstance(orphan, str) and orphan for orphan in orphans):
        raise ArangoError(1208, "illegal name: collection name invalid")
    graph = {"_key": name, "edgeDefinitions": definitions, "orphanCollections": list(orphans)}
    _check_shared(database, graph)
    _ensure(server, database, graph)
    write_document.insert(graphs_of(database), graph)
    return _answer(_code(operation), find(database, name))


def read(server: ServerState, operation: Operation) -> Outcome:
    return _answer(200, find(server.database(operation), operation.path[2]))


def drop(server: ServerState, operation: Operation) -> Outcome:
    """Remove a graph, and with dropCollections also the collections that no other graph uses."""
    database = server.database(operation)
    graph = find(database, operation.path[2])
    write_document.remove(graphs_of(database), graph["_key"])
    if flag(operation.params, "dropCollections"):
        used = {name for other in graphs_of(database).scan() for name in (*vertex_names(other), *edge_names(other))}
        for name in (*edge_names(graph), *vertex_names(graph)):
            found = database.collections.get(name)
            if found is not None and name not in used:
                collections.remove(server, database, found)
    code = _code(operation)
    return json_outcome(code, {"error": False, "code": code, "removed": True})


def vertex_collections(server: ServerState, operation: Operation) -> Outcome:
    graph = find(server.database(operation), operation.path[2])
    return json_outcome(200, {"error": False, "code": 200, "collections": vertex_names(graph)})


def edge_collections(server: ServerState, operation: Operation) -> Outcome:
    graph = find(server.database(operation), operation.path[2])
    return json_outcome(200, {"error": False, "code": 200, "collections": sorted(edge_names(graph))})


def add_vertex_collection(server: ServerState, operation: Operation) -> Outcome:
    database = server.database(operation)
    graph = find(database, operation.path[2])
    name = body_object(operation).get("collection")
    if not isinstance(name, str) or not name:
        raise ArangoError(1208, "illegal name")
    if name in graph["orphanCollections"]:
        raise ArangoError(1938, "collection used in orphans", status=400)
    if name in vertex_names(graph):
        raise ArangoError(1929, "collection already used in edge def", status=400)
    graph["orphanCollections"] = [*graph["orphanCollections"], name]
    _ensure(server, database, graph)
    return _answer(_code(operation), _save(database, graph))


def remove_vertex_collection(server: ServerState, operation: Operation) -> Outcome:
    database = server.database(operation)
    graph = find(database, operation.path[2])
    name = operation.path[4]
    if name not in graph["orphanCollections"]:
        if name not in vertex_names(graph):
            raise ArangoError(1926, f"vertex collection '{name}' not found in graph", status=404)
        raise ArangoError(1928, "collection is not in list of orphan collections", status=400)
    graph["orphanCollections"] = [orphan for orphan in graph["orphanCollections"] if orphan != name]
    saved = _save(database, graph)
    _drop_unused(server, database, operation, name)
    return _answer(_code(operation), saved)


def _drop_unused(server: ServerState, database: ServerDatabase, operation: Operation, name: str) -> None:
    if not flag(operation.params, "dropCollection") and not flag(operation.params, "dropCollections"):
        return
    used = any(name in (*vertex_names(graph), *edge_names(graph)) for graph in graphs_of(database).scan())
    found = database.collections.get(name)
    if found is not None and not used:
        collections.remove(server, database, found)


def add_edge_definition(server: ServerState, operation: Operation) -> Outcome:
    database = server.database(operation)
    graph = find(database, operation.path[2])
    definition = _definition(body_object(operation))
    if definition["collection"] in edge_names(graph):
        raise ArangoError(1920, "multi use of edge collection in edge def", status=400)
    graph["edgeDefinitions"] = [*graph["edgeDefinitions"], definition]
    return _change(server, database, operation, graph, set())


def replace_edge_definition(server: ServerState, operation: Operation) -> Outcome:
    """Replace the definition of an edge collection in every graph that has one of it."""
    database = server.database(operation)
    graph = find(database, operation.path[2])
    definition = _definition({"collection": operation.path[4], **body_object(operation)})
    if definition["collection"] != operation.path[4] or definition["collection"] not in edge_names(graph):
        raise ArangoError(1930, "edge collection not used in graph", status=404)
    _ensure(server, database, {"edgeDefinitions": [definition], "orphanCollections": []})
    for one in list(graphs_of(database).scan()):
        if definition["collection"] in edge_names(one):
            before = set(vertex_names(one))
            one["edgeDefinitions"] = [
                definition if old["collection"] == definition["collection"] else old for old in one["edgeDefinitions"]
            ]
            _keep_orphans(one, before)
            _save(database, one)
    return _answer(_code(operation), find(database, graph["_key"]))


def remove_edge_definition(server: ServerState, operation: Operation) -> Outcome:
    database = server.database(operation)
    graph = find(database, operation.path[2])
    name = operation.path[4]
    if name not in edge_names(graph):
        raise ArangoError(1930, "edge collection not used in graph", status=404)
    before = set(vertex_names(graph))
    graph["edgeDefinitions"] = [old for old in graph["edgeDefinitions"] if old["collection"] != name]
    answer = _change(server, database, operation, graph, before)
    _drop_unused(server, database, operation, name)
    return answer


def _change(
    server: ServerState, database: ServerDatabase, operation: Operation, graph: Document, before: set[str]
) -> Outcome:
    """Store a changed definition."""
    _keep_orphans(graph, before)
    _check_shared(database, graph)
    _ensure(server, database, graph)
    return _answer(_code(operation), _save(database, graph))


def _keep_orphans(graph: Document, before: set[str]) -> None:
    """Make vertex collections that no edge uses any more orphans. before: those of the definition before the change."""
    used = {name for definition in graph["edgeDefinitions"] for name in (*definition["from"], *definition["to"])}
    orphans = [name for name in graph["orphanCollections"] if name not in used]
    graph["orphanCollections"] = orphans + sorted(before - used - set(orphans))


COMMANDS: Final = {
    "gharial.list": EndpointCommand(list_all),
    "gharial.create": EndpointCommand(create, access.database_write),
    "gharial.read": EndpointCommand(read),
    "gharial.drop": EndpointCommand(drop, access.database_write),
    "gharial.vertex_collections": EndpointCommand(vertex_collections),
    "gharial.edge_collections": EndpointCommand(edge_collections),
    "gharial.add_vertex_collection": EndpointCommand(add_vertex_collection, access.database_write),
    "gharial.remove_vertex_collection": EndpointCommand(remove_vertex_collection, access.database_write),
    "gharial.add_edge_definition": EndpointCommand(add_edge_definition, access.database_write),
    "gharial.replace_edge_definition": EndpointCommand(replace_edge_definition, access.database_write),
    "gharial.remove_edge_definition": EndpointCommand(remove_edge_definition, access.database_write),
}
