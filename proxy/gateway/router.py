"""The route of a request as the instance is now: `routing` with the facts of queries and the open transactions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec

from proxy.base.waits import timed_wait
from proxy.gateway.request_body import TOO_LARGE
from proxy.model.endpoint import Effect, Read
from proxy.model.lease_view import LeaseView
from proxy.model.operations import Operation
from proxy.model.stages import Snapshot, Stage
from proxy.routing.query_facts import QueryFactsCache
from proxy.routing.route import Action, QueryFacts, Route
from proxy.routing.routes import route

_POLL = 0.005  # seconds between two checks whether a flip is decided


class Router:
    """Routes the requests of one dispatcher.

    wrote_in: returns True if the request's stream transaction is known to have written. hold_timeout: seconds that a
    request waits for a flip.
    """

    def __init__(
        self, facts: QueryFactsCache, lease: LeaseView, wrote_in: Callable[[Operation], bool], hold_timeout: float
    ) -> None:
        self._facts = facts
        self._lease = lease
        self._wrote_in = wrote_in
        self._hold_timeout = hold_timeout

    def route(self, operation: Operation, snapshot: Snapshot) -> Route:
        """Return the route of a request whose body is whole."""
        unwritten = "x-arango-trx-id" in operation.headers and not self._wrote_in(operation)
        if operation.effect is not Effect.QUERY:
            return route(operation, snapshot, unwritten=unwritten)
        matters = snapshot.database_has(operation.database, Stage.MIRROR)
        facts = self._facts.of_operation(operation, matters=matters)
        return route(operation, snapshot, facts, unwritten=unwritten)

    @timed_wait("flip")
    async def decided(self, operation: Operation) -> tuple[Route, int]:
        """Route again, once a flip that is under way is decided, after at most `hold_timeout` seconds.

        Returns the route, and the generation that it was found by.
        """
        limit = time.monotonic() + self._hold_timeout
        while True:
            snapshot = self._lease.snapshot
            way = self.route(operation, snapshot)
            if not way.hold or time.monotonic() > limit or self._lease.own_lease_expired:
                return way, snapshot.generation
            await asyncio.sleep(_POLL)

    def facts(self, operation: Operation) -> QueryFacts | None:
        """Return what a query reads and writes; None if it may write and is not understood."""
        return self._facts.of_operation(operation)

    def repeatable(self, operation: Operation) -> bool:
        """Return True if a request changes nothing, so that it can be sent twice."""
        if operation.effect is Effect.QUERY:
            facts = self.facts(operation)
            return facts is not None and not facts.modifies
        return operation.endpoint.read.by_key or operation.endpoint.read is Read.QUERY_LIKE


def streamed_route(operation: Operation, snapshot: Snapshot) -> Route:
    """Return the route of a request whose body streams: it passes through, or it is too large to be decoded (I10)."""
    way = route(operation, snapshot)
    if way.action in (Action.FORWARD, Action.OPAQUE):
        return way
    if way.action is Action.READ:
        return msgspec.structs.replace(way, target=False, compare=False, gap=TOO_LARGE)
    return msgspec.structs.replace(way, action=Action.OPAQUE, gap=f"{operation.endpoint.name}: {TOO_LARGE}")
