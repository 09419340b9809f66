"""Vertices and edges of a named graph: the document API in other shapes, with the graph's rules."""

from __future__ import annotations

from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.devserver.store.collection_lookup import readable, writable
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.handlers.graphs import edge_names, find, graphs_of, vertex_names
from proxy.devserver.store.state.collection import Collection
from proxy.devserver.store.state.server import ServerState
from proxy.model import json_reader
from proxy.model.documents import Merging, valid_handle
from proxy.model.operations import Operation, Outcome
from proxy.semantics import write_document
from proxy.semantics.encoded_document import revision_of
from proxy.semantics.request_params import body_object, flag, header_revision
from proxy.semantics.write_rules import ConflictError, WriteResult, WriteRules
from proxy.wire.encode import json_outcome

Document = dict[str, Any]


_ENDS: Final = "edge attribute missing or invalid: expecting both `_from` and `_to` attributes to be defined"


def _collection(server: ServerState, operation: Operation, *, write: bool) -> tuple[Document, Collection, str]:
    """Return the graph, the collection, and the kind of its documents. Raise ArangoError 1924, 1203.

    Only an insert checks that the collection belongs to the graph. Raise ArangoError 1947, 1930.
    """
    graph = find(server.database(operation), operation.path[2])
    kind, name = operation.path[3], operation.path[4]
    if operation.method == "POST" and kind == "vertex" and name not in vertex_names(graph):
        raise ArangoError(1947, f"vertex collection '{name}' is not part of the graph", status=404)
    if operation.method == "POST" and kind == "edge" and name not in edge_names(graph):
        raise ArangoError(1930, "edge collection not used in graph", status=404)
    if operation.method == "PUT" and kind == "edge":
        _check_replacement(server.database(operation).collections.get(name), operation)
    return graph, (writable if write else readable)(server, operation, name), kind


def _check_replacement(collection: Collection | None, operation: Operation) -> None:
    """Raise ArangoError 1233 if an edge would lose its ends.

    This is checked before the edge is looked up, unless the body has no ends at all (as version 3.2 did).
    """
    body = body_object(operation)
    ends = [body.get(side) for side in ("_from", "_to")]
    missing = collection is not None and collection.get(operation.key or "") is None and ends == [None, None]
    if not missing and not all(map(valid_handle, ends)):
        raise ArangoError(1233, _ENDS)


def _check_ends(graph: Document, body: Document) -> None:
    """Check that the ends of an edge are in collections of any edge definition of the graph, on either side.

    Raise ArangoError 1947.
    """
    known = {name for one in graph["edgeDefinitions"] for name in (*one["from"], *one["to"])}
    for end in (body.get("_from"), body.get("_to")):
        if isinstance(end, str) and end.partition("/")[0] not in known:
            raise ArangoError(1947, "referenced vertex collection is not part of the graph", status=400)


def _answer(operation: Operation, collection: Collection, kind: str, written: WriteResult, *, synced: int) -> Outcome:
    """Return the answer to a write.

    synced: its status if it waits for the disk: 201 for an insert, 200 for a change.
    """
    params = operation.params
    code = synced if flag(params, "waitForSync") or collection.wait_for_sync else 202
    name, key = collection.name, written.key
    shown: Document = {"_id": f"{name}/{key}", "_key": key, "_rev": written.rev}
    if written.old_rev is not None:
        shown["_oldRev"] = written.old_rev
    body: Document = {"error": False, "code": code, kind: shown}
    if flag(params, "returnOld") and written.old is not None:
        body["old"] = json_reader.load(written.old)
    if flag(params, "returnNew") and written.new is not None:
        body["new"] = json_reader.load(written.new)
    return json_outcome(code, body, ((b"etag", written.rev.encode()),))


def insert(server: ServerState, operation: Operation) -> Outcome:
    graph, collection, kind = _collection(server, operation, write=True)
    body = body_object(operation)
    if kind == "edge":
        _check_ends(graph, body)
        for side in ("_from", "_to"):
            _check_end(server, operation, body.get(side))
    return _answer(operation, collection, kind, write_document.insert(collection, body), synced=201)


def _check_end(server: ServerState, operation: Operation, handle: object) -> None:
    """Check that the end of an edge exists, as a graph requires, unlike the document API.

    Raise ArangoError 1233, 1202.
    """
    name, slash, key = str(handle).partition("/")
    if not isinstance(handle, str) or not slash:
        raise ArangoError(1233, _ENDS)
    if readable(server, operation, name).get(key) is None:
        raise ArangoError(1202)


def read(server: ServerState, operation: Operation) -> Outcome:
    _, collection, kind = _collection(server, operation, write=False)
    key = operation.key or ""
    raw = collection.get(key)
    if raw is None:
        raise ArangoError(1202)
    rev = revision_of(raw)
    wanted = header_revision(operation.headers.get("if-match")) or operation.params.get("rev")
    if wanted is not None and wanted != rev:
        raise ConflictError(key, rev, precondition=True)
    unwanted = header_revision(operation.headers.get("if-none-match"))
    if unwanted is not None and unwanted == rev:
        return Outcome(304, b"", ((b"etag", rev.encode()),), b"text/plain")
    body = b'{"error":false,"code":200,"' + kind.encode() + b'":' + raw + b"}"
    return Outcome(200, body, ((b"etag", rev.encode()),))


def _rules(operation: Operation) -> WriteRules:
    params = operation.params
    expected = header_revision(operation.headers.get("if-match")) or params.get("rev")
    return WriteRules(merging=Merging(keep_null=flag(params, "keepNull", default=True)), expected=expected)


def change(server: ServerState, operation: Operation) -> Outcome:
    """PUT and PATCH of a vertex or an edge."""
    graph, collection, kind = _collection(server, operation, write=True)
    body = body_object(operation)
    if kind == "edge":
        if collection.get(operation.key or "") is None:
            raise ArangoError(1202)
        _check_ends(graph, body)
    write = write_document.update if operation.method == "PATCH" else write_document.replace
    written = write(collection, operation.key or "", body, _rules(operation))
    return _answer(operation, collection, kind, written, synced=200)


def remove(server: ServerState, operation: Operation) -> Outcome:
    """Remove a vertex or an edge: DELETE.

    With a vertex its edges are removed, in every graph of its collection; the answer does not mention them.
    """
    _, collection, kind = _collection(server, operation, write=True)
    key = operation.key or ""
    written = write_document.remove(collection, key, None, _rules(operation))
    if kind == "vertex":
        done = [(collection, written)]
        try:
            _remove_edges(server, operation, f"{collection.name}/{key}", done)
        except ArangoError:
            write_document.undo_all(done)
            raise
    code = 200 if flag(operation.params, "waitForSync") or collection.wait_for_sync else 202
    body: Document = {"error": False, "code": code, "removed": True}
    if flag(operation.params, "returnOld") and written.old is not None:
        body["old"] = json_reader.load(written.old)
    return json_outcome(code, body)


def _remove_edges(
    server: ServerState, operation: Operation, vertex: str, done: list[tuple[Collection, WriteResult]]
) -> None:
    collection = vertex.partition("/")[0]
    names = {
        name
        for graph in graphs_of(server.database(operation)).scan()
        if collection in vertex_names(graph)
        for name in edge_names(graph)
    }
    for name in sorted(names):
        edges = writable(server, operation, name)
        keys = [edge["_key"] for edge in edges.edges_of({vertex})]  # the edges themselves may be many
        for key in keys:
            removed = write_document.remove(edges, key)
            done.append((edges, removed))


COMMANDS: Final = {
    "gharial.vertex_insert": EndpointCommand(insert),
    "gharial.vertex_read": EndpointCommand(read),
    "gharial.vertex_replace": EndpointCommand(change),
    "gharial.vertex_update": EndpointCommand(change),
    "gharial.vertex_remove": EndpointCommand(remove),
    "gharial.edge_insert": EndpointCommand(insert),
    "gharial.edge_read": EndpointCommand(read),
    "gharial.edge_replace": EndpointCommand(change),
    "gharial.edge_update": EndpointCommand(change),
    "gharial.edge_remove": EndpointCommand(remove),
}
