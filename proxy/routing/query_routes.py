"""Routes of queries. Pure.

A query is served by PostgreSQL only if every collection that it reads is flipped (DESIGN section 9). It waits while one
of them is in the middle of its flip (mirror-protocol, "Flip", 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxy.model.operations import Operation
from proxy.model.stages import Policy, Snapshot, Stage
from proxy.routing.header_obstacles import header_obstacle
from proxy.routing.route import FORWARD, Action, QueryFacts, Route
from proxy.routing.scope import anywhere
from proxy.routing.share import in_percentage
from proxy.routing.write_routes import captured, opaque

_NOT_UNDERSTOOD: Final = "query not understood"
_NOT_IN_SHADOW: Final = "reads a collection that is not in the shadow"


@dataclass(frozen=True, slots=True)
class _Reads:
    """The reads of a query.

    names: `database/name`. policies: of these. beyond: of its extent, which holds names without database. moving: one
    of all these is in the middle of its flip.
    """

    names: tuple[str, ...]
    policies: tuple[Policy, ...]
    beyond: tuple[Policy, ...]
    extent: frozenset[str]
    moving: bool

    @property
    def weight(self) -> int:
        return min(policy.weight for policy in (*self.policies, *self.beyond))


def query_route(operation: Operation, snapshot: Snapshot, query: QueryFacts | None) -> Route:
    """Return the route of a query; `query` is None if it may write and is not understood."""
    reason = header_obstacle(operation)
    if query is None or (query.modifies and not query.writes):
        return opaque(operation, snapshot, anywhere(operation), reason or _NOT_UNDERSTOOD)
    if query.modifies:
        return captured(operation, snapshot, tuple(f"{operation.database}/{name}" for name in sorted(query.writes)))
    reads = _reads(operation.database, snapshot, query)
    if reads is None:
        return _unknown_extent(operation, snapshot, reason or _NOT_UNDERSTOOD)
    if reason or not reads.policies or not all(policy.compare for policy in reads.policies):
        return _uncompared(operation, snapshot, query, reads, reason)
    weight = reads.weight
    servable = query.deterministic or (query.takes_any and weight >= 100)
    return Route(
        Action.READ,
        reads.names,
        target=servable and in_percentage(operation.body, weight),
        compare=True,
        hold=reads.moving,
        extent=reads.extent,
    )


def extent_of(database: str, snapshot: Snapshot, query: QueryFacts) -> frozenset[str]:
    """Return what a query whose text does not show all that it reads may read in PostgreSQL; empty if its text does.

    That is every collection of its database that is compared and that the origin has. Its run is limited to that: a
    document of another collection ends it there, and ArangoDB answers. It counts for the collections that its text
    names; PostgreSQL serves it if all of its extent is flipped.
    """
    if not query.dynamic:
        return frozenset()
    prefix = f"{database}/"
    there = (name for name in snapshot.collections if name.startswith(prefix) and name not in snapshot.absent)
    compared = {name for name in there if snapshot.policy(name).compare}
    return frozenset(name.removeprefix(prefix) for name in compared) | query.reads


def _reads(database: str, snapshot: Snapshot, query: QueryFacts) -> _Reads | None:
    """Return what a query reads; None if that is not known."""
    extent = extent_of(database, snapshot, query)
    # without a name in its text it counts for whatever it may read
    reads = extent if query.dynamic and not query.reads else query.reads
    if not query.understood or (query.dynamic and not reads):
        return None
    names = tuple(f"{database}/{name}" for name in sorted(reads))
    policies = tuple(map(snapshot.policy, names))
    beyond = tuple(snapshot.policy(f"{database}/{name}") for name in extent)
    moving = any(policy.hold_queries for policy in (*policies, *beyond))
    return _Reads(names, policies, beyond, extent, moving or (query.dynamic and _moving(database, snapshot)))


def _uncompared(operation: Operation, snapshot: Snapshot, query: QueryFacts, reads: _Reads, reason: str) -> Route:
    """Return the route of a query that ArangoDB answers and nothing compares."""
    gap = (reason or _NOT_IN_SHADOW) if any(policy.compare for policy in reads.policies) else ""
    if query.dynamic and snapshot.database_has(operation.database, Stage.SHADOW):  # what it meets may be in the shadow
        gap = reason or _NOT_IN_SHADOW
        return Route(Action.READ, reads.names, hold=reads.moving, gap=gap, extent=reads.extent)
    return Route(Action.READ, reads.names, hold=reads.moving, gap=gap) if reads.moving or gap else FORWARD


def _moving(database: str, snapshot: Snapshot) -> bool:
    """Return True if a collection of the database is in the middle of its flip."""
    prefix = database + "/"
    return any(snapshot.policy(name).hold_queries for name in snapshot.transitions if name.startswith(prefix))


def _unknown_extent(operation: Operation, snapshot: Snapshot, reason: str) -> Route:
    """Return the route of a query whose reads are unknown: the origin answers, and it counts for the whole database."""
    if not snapshot.database_has(operation.database, Stage.SHADOW):
        return FORWARD
    return Route(Action.READ, anywhere(operation), hold=_moving(operation.database, snapshot), gap=reason)
