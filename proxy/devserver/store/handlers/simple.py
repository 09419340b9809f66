"""`/_api/simple` and `/_api/edges`: reads and writes by example, which old clients still use."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable, Iterator
from typing import Any, Final

from proxy.aql.values import compare, equal
from proxy.base.errors import ArangoError
from proxy.devserver.store.collection_lookup import readable, writable
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.handlers import cursors
from proxy.devserver.store.queries import execution
from proxy.devserver.store.state.collection import Collection
from proxy.devserver.store.state.indexes import StoredIndex
from proxy.devserver.store.state.server import ServerState
from proxy.model import json_reader
from proxy.model.cursor_requests import DEFAULT_BATCH, DEFAULT_TTL, CursorRequest
from proxy.model.documents import Merging
from proxy.model.json_values import parse
from proxy.model.operations import Operation, Outcome
from proxy.semantics import write_document
from proxy.semantics.attributes import whole
from proxy.semantics.request_params import body_object
from proxy.semantics.write_rules import WriteResult, WriteRules
from proxy.wire.encode import json_outcome

Document = dict[str, Any]
_ORDERED: Final = frozenset({"persistent", "skiplist", "hash"})


def stats(scanned: int = 0, lookups: int = 0) -> Document:
    """Return the `stats` of an answer that no query made."""
    return {
        "writesExecuted": 0,
        "writesIgnored": 0,
        "documentLookups": lookups,
        "seeks": 0,
        "scannedFull": scanned,
        "scannedIndex": lookups,
        "searchParallelism": 1,
        "cursorsCreated": 0,
        "cursorsRearmed": 0,
        "cacheHits": 0,
        "cacheMisses": 0,
        "filtered": 0,
        "httpRequests": 0,
        "executionTime": 0,
        "peakMemoryUsage": 0,
        "intermediateCommits": 0,
    }


# ---- edges of a vertex


def edges(server: ServerState, operation: Operation) -> Outcome:
    """GET /_api/edges/{c}?vertex=…&direction=any|in|out; POST takes an array of vertices."""
    collection = readable(server, operation, operation.collection or "")
    if not collection.edge:
        raise ArangoError(1218, "invalid collection type")
    direction = operation.params.get("direction", "any")
    if direction not in ("any", "in", "out"):
        raise ArangoError(400, "<direction> must be any, in, or out, not: " + direction)
    if operation.method == "POST":
        given = parse(operation.body)
        if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
            raise ArangoError(10, "expected type Array<String> as body")
        vertices = set(given)
    else:
        vertex = operation.params.get("vertex")
        if not vertex:
            raise ArangoError(1205, "illegal document identifier")
        vertices = {vertex}
    found = [edge for edge in collection.edges_of(vertices) if _touches(edge, vertices, direction)]
    return json_outcome(200, {"edges": found, "error": False, "code": 200, "stats": stats(lookups=len(found))})


def _touches(edge: Document, vertices: set[str], direction: str) -> bool:
    return (direction != "in" and edge["_from"] in vertices) or (direction != "out" and edge["_to"] in vertices)


# ---- simple queries


def matching(collection: Collection, example: object) -> Iterator[Document]:
    """Yield the documents that have every attribute of the example, as AQL compares them; `a.b` is a path."""
    if not isinstance(example, dict):
        raise ArangoError(400, "<example> must be an object")
    for document in collection.scan():
        if all(equal(_at(document, path), value) for path, value in example.items()):
            yield document


def _at(document: Document, path: str) -> Any:
    if path in document:
        return document[path]
    value: Any = document
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _collection(server: ServerState, operation: Operation, body: Document, *, write: bool = False) -> Collection:
    name = body.get("collection")
    if not isinstance(name, str):
        raise ArangoError(400, "expecting string for <collection>")
    return (writable if write else readable)(server, operation, name)


def _cursor(server: ServerState, operation: Operation, body: Document, rows: list[Any]) -> Outcome:
    rows = _limited(body, rows)
    answer = _result(rows)
    ttl = body.get("ttl")
    seconds = float(ttl) if isinstance(ttl, int | float) and not isinstance(ttl, bool) and ttl > 0 else DEFAULT_TTL
    size = max(whole(body, "batchSize", DEFAULT_BATCH), 1)
    return cursors.answer(server, operation, answer, CursorRequest("", batch_size=size, count=True, ttl=seconds))


def _result(rows: list[Any]) -> execution.QueryResult:
    """Return rows as the result of a query."""
    counted = stats(scanned=len(rows))
    counted["searchParallelism"] = counted.pop("searchParallelism")  # the last one in answers of queries
    return execution.QueryResult(rows, {"warnings": [], "stats": counted})


def _limited(body: Document, rows: list[Any]) -> list[Any]:
    """Return the rows that `skip` and `limit` leave.

    Raise ArangoError 1504 for a negative one, as a LIMIT of AQL does.
    """
    skip, limit = whole(body, "skip", 0), body.get("limit")
    most = limit if isinstance(limit, int) and not isinstance(limit, bool) else len(rows)
    if skip < 0 or most < 0:
        raise ArangoError(1504, "number out of range")
    return rows[skip : skip + most]


def all_documents(server: ServerState, operation: Operation) -> Outcome:
    body = body_object(operation)
    return _cursor(server, operation, body, list(_collection(server, operation, body).scan()))


def all_keys(server: ServerState, operation: Operation) -> Outcome:
    body = body_object(operation)
    collection = _collection(server, operation, body)
    kind = body.get("type", "path")
    prefix = {"key": "", "id": f"{collection.name}/"}.get(
        str(kind), f"/_db/{operation.database}/_api/document/{collection.name}/"
    )
    answer = _result([prefix + key for key in collection.sorted_keys()])
    return cursors.answer(server, operation, answer, CursorRequest(""))


def any_document(server: ServerState, operation: Operation) -> Outcome:
    collection = _collection(server, operation, body_object(operation))
    keys = collection.sorted_keys()
    document = collection.load(random.choice(keys)) if keys else None  # noqa: S311 - any one will do
    return json_outcome(200, {"document": document, "error": False, "code": 200})


def by_example(server: ServerState, operation: Operation) -> Outcome:
    body = body_object(operation)
    collection = _collection(server, operation, body)
    return _cursor(server, operation, body, list(matching(collection, body.get("example"))))


def by_range(server: ServerState, operation: Operation) -> Outcome:
    """Return documents whose attribute is in [left, right), or in [left, right] if `closed`, in its order."""
    body = body_object(operation)
    collection = _collection(server, operation, body)
    attribute = body.get("attribute")
    if not isinstance(attribute, str):
        raise ArangoError(400, "expecting string for <attribute>")
    if not is_ordered(collection.indexes, attribute):
        raise ArangoError(1209, "no suitable index known")
    left, right = body.get("left"), body.get("right")
    most = 0 if body.get("closed", False) else -1
    found = [
        document
        for document in collection.scan()
        if compare(left, _at(document, attribute)) <= 0 and compare(_at(document, attribute), right) <= most
    ]
    found.sort(key=functools.cmp_to_key(lambda a, b: compare(_at(a, attribute), _at(b, attribute))))
    return _cursor(server, operation, body, found)


def is_ordered(indexes: Iterable[StoredIndex], attribute: str) -> bool:
    """Return True if an index has the documents in the order of an attribute."""
    return any(index.fields[0] == attribute and index.kind in _ORDERED for index in indexes)


def has_index(server: ServerState, operation: Operation, body: Document) -> bool:
    """Return True if a query by range has an index. Raise ArangoError 400, 1203."""
    attribute = body.get("attribute")
    name = body.get("collection")
    if not isinstance(attribute, str) or "." in attribute or not isinstance(name, str):
        return False
    return is_ordered(server.database(operation).find(name).indexes, attribute)


def first_example(server: ServerState, operation: Operation) -> Outcome:
    body = body_object(operation)
    found = next(matching(_collection(server, operation, body), body.get("example")), None)
    if found is None:
        raise ArangoError(404, "no match")
    return json_outcome(200, {"document": found, "error": False, "code": 200})


def lookup_by_keys(server: ServerState, operation: Operation) -> Outcome:
    body = body_object(operation)
    documents = _collection(server, operation, body).documents
    found = [json_reader.load(documents[key]) for key in dict.fromkeys(_keys(body)) if key in documents]
    return json_outcome(200, {"documents": found, "error": False, "code": 200})


def remove_by_keys(server: ServerState, operation: Operation) -> Outcome:
    body = body_object(operation)
    collection = _collection(server, operation, body, write=True)
    removed = ignored = 0
    done: list[tuple[Collection, WriteResult]] = []
    try:
        for key in _keys(body):
            if collection.get(key) is None:
                ignored += 1
            else:
                done.append((collection, write_document.remove(collection, key)))
                removed += 1
    except ArangoError:
        write_document.undo_all(done)
        raise
    return json_outcome(200, {"removed": removed, "ignored": ignored, "error": False, "code": 200})


def remove_by_example(server: ServerState, operation: Operation) -> Outcome:
    return _change_by_example(server, operation, "remove", "deleted")


def replace_by_example(server: ServerState, operation: Operation) -> Outcome:
    return _change_by_example(server, operation, "replace", "replaced")


def update_by_example(server: ServerState, operation: Operation) -> Outcome:
    return _change_by_example(server, operation, "update", "updated")


def _change_by_example(server: ServerState, operation: Operation, verb: str, counted: str) -> Outcome:
    """Change all documents that match an example. The answer has their number only."""
    body = body_object(operation)
    collection = _collection(server, operation, body, write=True)
    given = body.get("options")
    options = {**body, **(given if isinstance(given, dict) else {})}
    found = list(matching(collection, body.get("example")))
    limit = options.get("limit")
    if isinstance(limit, int) and limit > 0:
        found = found[:limit]
    value = body.get("newValue")
    if verb != "remove" and not isinstance(value, dict):
        raise ArangoError(400, "<newValue> must be an object")
    merging = Merging(bool(options.get("keepNull", True)), bool(options.get("mergeObjects", True)))
    done: list[tuple[Collection, WriteResult]] = []
    try:
        for document in found:
            key = document["_key"]
            if verb == "remove":
                written = write_document.remove(collection, key)
            elif verb == "replace":
                ends = {name: document[name] for name in ("_from", "_to") if name in document}
                written = write_document.replace(collection, key, {**ends, **(value or {})})
            else:
                written = write_document.update(collection, key, value, WriteRules(merging=merging))
            done.append((collection, written))
    except ArangoError:
        write_document.undo_all(done)
        raise
    return json_outcome(200, {counted: len(found), "error": False, "code": 200})


def _keys(body: Document) -> list[str]:
    keys = body.get("keys")
    if not isinstance(keys, list):
        raise ArangoError(10, "expecting array for 'keys'")
    return [str(key).rpartition("/")[2] for key in keys]


COMMANDS: Final = {
    "edges.read": EndpointCommand(edges),
    "edges.read_many": EndpointCommand(edges),
    "simple.all": EndpointCommand(all_documents),
    "simple.all-keys": EndpointCommand(all_keys),
    "simple.any": EndpointCommand(any_document),
    "simple.by-example": EndpointCommand(by_example),
    "simple.range": EndpointCommand(by_range),
    "simple.first-example": EndpointCommand(first_example),
    "simple.lookup-by-keys": EndpointCommand(lookup_by_keys),
    "simple.remove-by-keys": EndpointCommand(remove_by_keys),
    "simple.remove-by-example": EndpointCommand(remove_by_example),
    "simple.replace-by-example": EndpointCommand(replace_by_example),
    "simple.update-by-example": EndpointCommand(update_by_example),
}
