"""An operation without its literals (query fingerprint): coverage is counted by it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import msgspec

from proxy.aql.shape import shape_of
from proxy.base.errors import ArangoError
from proxy.base.sql_values import storable
from proxy.model.endpoint import Effect
from proxy.model.operations import Operation

_MAX_TEXT: Final = 4000  # characters of a shape that are kept
_CACHED: Final = 16 << 10  # characters of a query whose shape is cached


@dataclass(frozen=True, slots=True)
class Shape:
    """An operation without its literals. name: a hash, or the endpoint's name; text: human-readable."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """A worker's result for a large query. facts: a QueryFacts, or None."""

    facts: object
    shape: Shape


OTHER: Final = Shape("other", "(further shapes, beyond the number that is kept)")
NOT_UNDERSTOOD: Final = Shape("cursor.create", "(a query that is not understood)")


class _Query(msgspec.Struct):
    query: str = ""


_QUERY: Final = msgspec.json.Decoder(_Query)


def shape_of_operation(operation: Operation) -> Shape:
    """Return the endpoint, or the query without its literals: microseconds for a known text, on the request path."""
    if operation.effect is not Effect.QUERY:
        return _endpoint_shape(operation.endpoint.name)
    if isinstance(operation.known, WorkerFacts):
        return operation.known.shape
    try:
        return shape_of_text(_QUERY.decode(operation.body).query)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return NOT_UNDERSTOOD


def shape_of_text(text: str) -> Shape:
    """Return the shape of a query's text."""
    try:
        return _query_shape(text) if len(text) <= _CACHED else _query_shape.__wrapped__(text)
    except ArangoError:
        return NOT_UNDERSTOOD


@lru_cache(maxsize=256)
def _endpoint_shape(endpoint: str) -> Shape:
    return Shape(endpoint, endpoint)


@lru_cache(maxsize=2048)
def _query_shape(text: str) -> Shape:
    shape = storable(shape_of(text))
    return Shape(hashlib.blake2b(shape.encode(), digest_size=12).hexdigest(), shape[:_MAX_TEXT])
