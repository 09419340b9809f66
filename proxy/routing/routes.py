"""(Operation, Snapshot) -> Route: what happens to a request is decided here and nowhere else. Pure.

Rules: DESIGN section 9, I10 (what is not captured marks what it may write), mirror-protocol "Flip" (hold, bring up to
date). Writes: `write_routes`; queries: `query_routes`; here the reads of documents.
"""

from __future__ import annotations

from typing import Final

import msgspec

from proxy.model.endpoint import Effect, Read, WriteRoute
from proxy.model.operations import Operation
from proxy.model.stages import Snapshot, Stage
from proxy.routing.header_obstacles import IN_TRANSACTION, header_obstacle, outside
from proxy.routing.query_routes import query_route
from proxy.routing.route import FORWARD, Action, QueryFacts, Route
from proxy.routing.scope import GRAPHS, read_of
from proxy.routing.share import in_percentage
from proxy.routing.write_routes import WRITE_ROUTES

# to look a member of an enum up takes as long as the rest of a step of `route`, which every request passes
_QUERY: Final = Effect.QUERY
_READ: Final = Effect.READ
_NO_WRITE: Final = WriteRoute.NONE


def route(
    operation: Operation, snapshot: Snapshot, query: QueryFacts | None = None, *, unwritten: bool = False
) -> Route:
    """Return the route of one request. query: given for a query whose text could be parsed.

    unwritten: nothing is known to be written in the request's stream transaction. A read in it is ArangoDB's to answer,
    and is compared with what PostgreSQL has outside of it: a difference that only the transaction's snapshot makes does
    not outlive the recheck, which reads both sides outside of it.
    """
    if unwritten and header_obstacle(operation) == IN_TRANSACTION:
        way = route(outside(operation), snapshot, query)
        if way.action is Action.READ and way.compare:
            return msgspec.structs.replace(way, target=False)
    endpoint = operation.endpoint
    if endpoint.effect is _QUERY:
        return query_route(operation, snapshot, query)
    if endpoint.effect is _READ:
        return _read(operation, snapshot)
    if endpoint.write_route is not _NO_WRITE:
        return WRITE_ROUTES[endpoint.write_route](operation, snapshot)
    if endpoint.read.reworded:
        return _reworded_read(operation, snapshot)
    return _UNCOMPARED if endpoint.read is Read.UNCOMPARED else FORWARD


_UNCOMPARED = Route(Action.FORWARD, gap="not compared")


def _read(operation: Operation, snapshot: Snapshot) -> Route:
    """Return the route of a read of documents by key."""
    collection = operation.qualified
    if collection is None:
        return FORWARD
    policy = snapshot.policy(collection)
    if not snapshot.state(collection).stage.at_least(Stage.SHADOW):
        return Route(Action.READ, (collection,)) if policy.synchronous else FORWARD
    reason = header_obstacle(operation)
    if reason:
        return Route(Action.READ, (collection,), gap=reason)
    return Route(
        Action.READ,
        (collection,),
        target=in_percentage((operation.key or "").encode() or operation.body, policy.weight),
        compare=policy.compare,
    )


def _reworded_read(operation: Operation, snapshot: Snapshot) -> Route:
    """Return the route of a read that means a document read or a query: as that would go."""
    collection, endpoint = read_of(operation), operation.endpoint
    if collection is None:
        return FORWARD
    policy = snapshot.policy(collection)
    hold = policy.hold_queries and endpoint.read is Read.QUERY_LIKE
    if not policy.compare:
        return Route(Action.READ, (collection,), hold=hold) if hold or policy.synchronous else FORWARD
    reason = header_obstacle(operation)
    if reason:
        return Route(Action.READ, (collection,), hold=hold, gap=reason)
    weight = 0 if endpoint.needs_index else policy.weight
    if endpoint.read is Read.GRAPH_DOCUMENT:
        weight = min(weight, snapshot.policy(f"{operation.database}/{GRAPHS}").weight)
    which = operation.key or operation.params.get("vertex")
    target = in_percentage(which.encode() if which else operation.body, weight)
    return Route(Action.READ, (collection,), target=target, compare=True, hold=hold)
