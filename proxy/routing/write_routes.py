"""Routes of writes: a table of the rules that the rows of endpoints name. Pure.

A write is captured if a collection that it may write is mirrored and nothing about the request forbids it; a write that
cannot be captured marks what it may write (I10).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from proxy.model.endpoint import InTransaction, Verb, WriteRoute
from proxy.model.operations import Operation
from proxy.model.stages import Snapshot
from proxy.routing.header_obstacles import PACKED, Obstacle, header_obstacle
from proxy.routing.route import FORWARD, Action, Route
from proxy.routing.scope import anywhere, captured_only, index_type, may_write, name_in_body

# these make no difference to document writes: the answers show what was written
_SHOWN_BY_ANSWERS: Final = PACKED | {Obstacle.IN_TRANSACTION}


def captured(
    operation: Operation,
    snapshot: Snapshot,
    collections: tuple[str, ...],
    allowed: frozenset[Obstacle] = frozenset(),
) -> Route:
    """Return the route of a write that is captured unless its headers forbid it. allowed: what does not forbid it."""
    if operation.endpoint.in_transaction is not InTransaction.NO:
        allowed |= {Obstacle.IN_TRANSACTION}
    reason = header_obstacle(operation, writes=True, allowed=allowed)
    if reason:
        return opaque(operation, snapshot, collections, reason)
    kept = captured_only(snapshot, collections)
    return Route(Action.CAPTURE, kept) if kept else Route(Action.FORWARD, writes=collections)


def opaque(operation: Operation, snapshot: Snapshot, collections: tuple[str, ...], reason: str) -> Route:
    """Return the route of a write that cannot be captured."""
    kept = captured_only(snapshot, collections)
    if not kept:
        return Route(Action.FORWARD, writes=collections)
    return Route(Action.OPAQUE, kept, gap=f"{operation.endpoint.name}: {reason}")


def document_write(operation: Operation, snapshot: Snapshot) -> Route:
    """Return the route of a write of documents by key."""
    collection = operation.qualified
    if collection is None or (operation.collection or "")[:1].isdigit():  # an id whose name ArangoDB did not give
        return opaque(operation, snapshot, anywhere(operation), "no collection")
    if not snapshot.policy(collection).capture:
        return Route(Action.FORWARD, writes=(collection,))
    reason = header_obstacle(operation, writes=True, allowed=_SHOWN_BY_ANSWERS)
    if reason:
        return Route(Action.OPAQUE, (collection,), gap=reason)
    return Route(Action.CAPTURE, (collection,))


def _as_named(operation: Operation, snapshot: Snapshot) -> Route:
    return captured(operation, snapshot, may_write(operation))


def _through_graph(operation: Operation, snapshot: Snapshot) -> Route:
    return captured(operation, snapshot, may_write(operation), allowed=PACKED)


def _import(operation: Operation, snapshot: Snapshot) -> Route:
    return _uncaptured(operation, snapshot) if operation.collection is None else _as_named(operation, snapshot)


def _change(operation: Operation, snapshot: Snapshot) -> Route:
    if operation.endpoint.verb is Verb.RENAME and name_in_body(operation.body) == operation.collection:
        return FORWARD  # to the name that it has: ArangoDB changes nothing
    return _as_named(operation, snapshot)


def _whole_database(operation: Operation, snapshot: Snapshot) -> Route:
    """Return the route of a request whose body shows no collection; no header forbids its capture."""
    every = anywhere(operation)
    kept = captured_only(snapshot, every)
    return Route(Action.CAPTURE, kept) if kept else Route(Action.FORWARD, writes=every)


def _index(operation: Operation, snapshot: Snapshot) -> Route:
    """Return the route of an index's creation: by one of type `ttl` documents expire; an attribute may be called so."""
    if index_type(operation.body) not in ("ttl", None):
        return FORWARD
    return opaque(operation, snapshot, may_write(operation), "documents expire")


def _uncaptured(operation: Operation, snapshot: Snapshot) -> Route:
    return opaque(operation, snapshot, may_write(operation), "not captured")


# every rule but NONE, and QUERY: whether a query writes, its text shows (`query_routes`)
WRITE_ROUTES: Final[dict[WriteRoute, Callable[[Operation, Snapshot], Route]]] = {
    WriteRoute.AS_NAMED: _as_named,
    WriteRoute.DOCUMENT: document_write,
    WriteRoute.IMPORT: _import,
    WriteRoute.COLLECTION: _change,
    WriteRoute.GRAPH_DOCUMENT: _through_graph,
    WriteRoute.GRAPH_DEFINITION: _through_graph,
    WriteRoute.WHOLE_DATABASE: _whole_database,
    WriteRoute.INDEX: _index,
    WriteRoute.UNCAPTURED: _uncaptured,
}
