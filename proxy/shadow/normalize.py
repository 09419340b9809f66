"""Reads in other words, as what they mean: simple reads and edges as queries, a graph's documents as documents. Pure.

So they have the shapes, the rechecks and the samples of what they mean, and nothing else in the shadow handles them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from proxy.base.errors import ArangoError
from proxy.model import json_values
from proxy.model.endpoint import Family, Read
from proxy.model.operations import Operation, Outcome
from proxy.stores.postgres.simple import as_query
from proxy.wire.endpoints import named

_SIDES: Final = {"any": ("_from", "_to"), "in": ("_to",), "out": ("_from",)}
_NO_MATCH: Final = (404, 404)
_ABOUT_DATA: Final = frozenset({1202, 1203})  # errors that the normalized read gives as well


class _Answer(msgspec.Struct):
    vertex: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    edge: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    edges: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    document: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    documents: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    number: int = msgspec.field(name="errorNum", default=0)


class _Revised(msgspec.Struct):
    rev: str = msgspec.field(name="_rev", default="")


_ANSWER: Final = msgspec.json.Decoder(_Answer)
_REVISED: Final = msgspec.json.Decoder(_Revised)


def normalize(operation: Operation) -> Operation | None:
    """Return the document read or the query that a read means; any other operation itself.

    None for a request that both sides refuse because of its form.
    """
    endpoint = operation.endpoint
    if endpoint.read is Read.GRAPH_DOCUMENT:
        path = ("_api", "document", operation.collection or "", operation.key or "")
        return Operation(named("document.read"), "GET", operation.database, operation.collection, operation.key, path)
    try:
        if endpoint.family is Family.EDGES:
            return _edges_query(operation)
        return as_query(operation) if endpoint.family is Family.SIMPLE else operation
    except ArangoError:
        return None


def plain_outcome(operation: Operation, outcome: Outcome) -> Outcome | None:
    """Return the answer in the form of what `normalize` returns. None if it does not depend on documents.

    Raise msgspec.DecodeError, UnicodeDecodeError if it is not an answer of ArangoDB's.
    """
    endpoint = operation.endpoint
    if not endpoint.read.reworded:
        return outcome
    if outcome.status >= 500 or outcome.status in (401, 403):
        return outcome  # the shadow handles these
    answer = _ANSWER.decode(outcome.body)
    if outcome.status >= 400:
        if endpoint.no_match and (outcome.status, answer.number) == _NO_MATCH:
            return _rows(b"[]")
        return outcome if answer.number in _ABOUT_DATA else None
    if isinstance(document := answer.vertex or answer.edge, msgspec.Raw):
        rev = _REVISED.decode(document).rev.encode()
        return Outcome(200, bytes(document), ((b"etag", b'"' + rev + b'"'),))
    if isinstance(rows := answer.edges or answer.documents, msgspec.Raw):
        return _rows(bytes(rows))
    if isinstance(answer.document, msgspec.Raw):
        return _rows(b"[" + bytes(answer.document) + b"]")
    return outcome


def _rows(rows: bytes) -> Outcome:
    return Outcome(201, b'{"result":' + rows + b',"hasMore":false,"error":false,"code":201}')


def _edges_query(operation: Operation) -> Operation | None:
    several = operation.method == "POST"
    vertices = json_values.parse(operation.body) if several else [operation.params.get("vertex", "")]
    sides = _SIDES.get(operation.params.get("direction", "any"))
    if sides is None or not isinstance(vertices, list):
        return None
    # one equality per query: each can use an index, the two of a disjunction cannot
    parts = [f"FOR v IN @vertices FOR e IN @@c FILTER e.{side} == v RETURN e" for side in sides]
    text = parts[0] if len(parts) == 1 else f"FOR e IN UNION_DISTINCT(({parts[0]}), ({parts[1]})) RETURN e"
    if len(vertices) == 1:
        text = text.replace("FOR v IN @vertices ", "").replace("== v", "== @vertex")
    binds = {"@c": operation.collection, **({"vertex": vertices[0]} if len(vertices) == 1 else {"vertices": vertices})}
    body = json_values.dump({"query": text, "bindVars": binds})
    return Operation(named("cursor.create"), "POST", operation.database, path=("_api", "cursor"), body=body)
