"""Carries out a Route: the only module that touches origin, mirror, target and shadow for one request.

    read    origin -> client, then the shadow; or target (fenced) -> client, then the shadow the other way round
    write   `proxy.writing`: journal -> origin -> client -> mirror; or, opaque, the collections become unverified (I10)

A handler that has begun is never cancelled by its client's going: what ArangoDB took is mirrored all the same (I3).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog

from proxy import metrics
from proxy.aql import analyse, parse
from proxy.config import Settings
from proxy.credentials import Credentials
from proxy.errors import ArangoError, DatabaseError, UpstreamError
from proxy.flight import Flight
from proxy.gaps import Gaps
from proxy.mirror.pipeline import Mirror
from proxy.operations import Change, Effect, Operation, Outcome
from proxy.revision import decode_rev
from proxy.routing import Action, QueryFacts, Route, route
from proxy.services import Services
from proxy.shadow.runner import Shadow
from proxy.stores.arango import Requester
from proxy.stores.postgres import PostgresStore
from proxy.wire.decode import decode
from proxy.wire.encode import encode, error_outcome
from proxy.wire.message import Request, Response
from proxy.writing import Kit, LeaseView, Writes, collect

log = structlog.get_logger(__name__)

_QUERY_CACHE = 2000
# AQL writes only where one of these words stands (aql-semantics, section 9); they survive any escaping of JSON
_MODIFICATION = re.compile(rb"insert|update|replace|remove|upsert|\\\\u", re.IGNORECASE)
_UNPARSED = QueryFacts(frozenset(), frozenset(), modifies=False, deterministic=False)


class _Cursor(msgspec.Struct):
    query: str = ""
    bind_vars: dict[str, object] = msgspec.field(name="bindVars", default_factory=dict)


class _Revision(msgspec.Struct):
    key: str = msgspec.field(name="_key")
    rev: str = msgspec.field(name="_rev")


_CURSOR = msgspec.json.Decoder(_Cursor)
_REVISION = msgspec.json.Decoder(_Revision)


class Dispatcher:
    """The handler of the traffic listener. `rollback` takes flipped collections back at once, with a reason."""

    def __init__(
        self,
        settings: Settings,
        *,
        origin: Requester,
        target: PostgresStore,
        mirror: Mirror,
        shadow: Shadow,
        lease: LeaseView,
        credentials: Credentials,
        gaps: Gaps,
        services: Services,
        flight: Flight,
        rollback: Callable[[Sequence[str], str], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._origin = origin
        self._target = target
        self._mirror = mirror
        self._shadow = shadow
        self._lease = lease
        self._credentials = credentials
        self._gaps = gaps
        self._services = services
        self.flight = flight
        self._kit = Kit(settings, origin, mirror, lease, gaps, flight, rollback)
        self._writes = Writes(self._kit, self.handle)
        self._facts: OrderedDict[str, QueryFacts] = OrderedDict()

    async def close(self) -> None:
        """Ends what is kept from request to request."""
        await self._writes.close()

    async def handle(self, request: Request) -> Response:
        """Answers one request of the traffic listener."""
        if not request.target.startswith(b"/_"):
            return await self._services.handle(request)
        started = time.perf_counter()
        operation = decode(request)
        served_by = "origin"
        try:
            if operation.effect is Effect.QUERY and not isinstance(request.body, bytes):
                request.body = await collect(request.body, self._settings.max_body)  # its text says what it does
                operation = decode(request)
            way = self._routed(operation)
            if way.action is Action.FORWARD:
                response = await self._forward(request, operation, way)
            elif way.action is Action.READ:
                response, served_by = await self._read(request, operation, way, started)
            else:
                response = await self._writes.carry_out(request, operation, way)
        except UpstreamError as error:
            metrics.UPSTREAM_ERRORS.labels("origin", type(error).__name__).inc()
            response = encode(error_outcome(ArangoError(503, f"ArangoDB does not answer: {error}", status=503)))
        except ArangoError as error:
            response = encode(error_outcome(error))
        metrics.TRAFFIC.observe(operation.endpoint, response.status, served_by, time.perf_counter() - started)
        return response

    # ---- ways

    async def _forward(self, request: Request, operation: Operation, way: Route) -> Response:
        if self._target.owns_cursor(operation):
            return encode(await self._target.execute(operation))
        if self._writes.owns(operation):
            return await self._writes.go_on(request, operation)
        if way.gap:
            self._kit.gap(operation, way.gap)
        elif operation.effect is Effect.PASSTHROUGH:
            self._gaps.add(operation.database, "", operation.endpoint, "passthrough")
        if not way.writes:
            return await self._origin.request(request, idempotent=True)
        with self.flight.during(self.flight.uncaptured, way.writes, self._lease.generation):
            return await self._origin.request(request)

    async def _read(self, request: Request, operation: Operation, way: Route, started: float) -> tuple[Response, str]:
        if way.gap:
            for name in way.collections:  # of a query, each that it reads: the gate of each must know (I10)
                self._gaps.add(operation.database, name.partition("/")[2], operation.endpoint, way.gap)
        if way.hold:
            way = await self._held(operation)
        if way.target and self._lease.may_read_target:
            outcome = await self._from_target(request, operation, way)
            if outcome is not None:
                if way.compare:
                    self._submit(operation, outcome, way, time.perf_counter() - started, reverse=True)
                return encode(outcome), "target"
        era = self._lease.era  # known before the origin is asked: the stamp of what it shows
        if operation.effect is Effect.QUERY:
            with self.flight.during(self.flight.queries, way.collections, self._lease.generation):
                response = await self._origin.request(request, idempotent=True)
        else:
            response = await self._origin.request(request, idempotent=True)
        elapsed = time.perf_counter() - started
        if not isinstance(response.body, bytes):
            if way.compare:
                self._shadow.skip(operation, frozenset(way.collections), "too large")
            return response, "origin"
        if operation.effect is Effect.READ and self._kit.flipped(way.collections[0]):
            await self._bring_up(operation, response, way.collections[0], era)
        if way.compare and operation.body is not None and not response.header(b"content-encoding"):
            outcome = Outcome(response.status, response.body, tuple((n.lower(), v) for n, v in response.headers))
            self._submit(operation, outcome, way, elapsed, reverse=False)
        return response, "origin"

    # ---- parts

    def _routed(self, operation: Operation) -> Route:
        facts = self._query_facts(operation) if operation.effect is Effect.QUERY else None
        return route(operation, self._lease.snapshot, facts)

    async def _from_target(self, request: Request, operation: Operation, way: Route) -> Outcome | None:
        """The target's answer; None where it may not or cannot answer, and the origin must."""
        authorization = request.header(b"authorization")
        for collection in way.collections:
            if not await self._credentials.may_read(authorization, collection):
                return None
        try:
            return await self._target.fenced(operation, self._lease.generation)
        except (DatabaseError, ArangoError) as error:
            # an error of the target's own making is never an answer: the origin has every write
            log.info("a read goes to the origin", error=str(error), endpoint=operation.endpoint)
            return None

    async def _held(self, operation: Operation) -> Route:
        """Waits until the flip that is under way is decided, at most `hold_limit` seconds, and routes again."""
        limit = time.monotonic() + self._settings.hold_limit
        while True:
            way = self._routed(operation)
            if not way.hold or time.monotonic() > limit or self._lease.own_lease_over:
                return way
            await asyncio.sleep(0.005)

    async def _bring_up(self, operation: Operation, response: Response, collection: str, era: int) -> None:
        """The target has what this answer shows before the client sees it (mirror-protocol, "Flip", 2)."""
        assert isinstance(response.body, bytes)
        if "x-arango-trx-id" in operation.headers:  # it may show what is not committed: the committed state is read
            await self._kit.until_both(self._mirror.bring_up(collection, (), (operation.key,) if operation.key else ()))
        elif operation.endpoint == "document.read" and response.status == 200:
            shown = _REVISION.decode(response.body)
            changes = (Change(collection, shown.key, decode_rev(shown.rev), response.body),)
            await self._kit.until_both(self._mirror.bring_up(collection, changes, stamp=era))
        elif operation.key is not None and response.status in (200, 304, 404, 412):
            await self._kit.until_both(self._mirror.bring_up(collection, (), (operation.key,)))

    def _query_facts(self, operation: Operation) -> QueryFacts | None:
        """What the query's text says; None where it may write and cannot be parsed (the origin judges it)."""
        try:
            cursor = _CURSOR.decode(operation.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None if _MODIFICATION.search(operation.body) else _UNPARSED
        binds = {name: value for name, value in cursor.bind_vars.items() if name.startswith("@")}
        cached = f"{cursor.query}\0{sorted(binds.items())}" if binds else cursor.query
        if cached in self._facts:
            self._facts.move_to_end(cached)
            return self._facts[cached]
        try:
            found = analyse(parse(cursor.query), cursor.bind_vars)
        except ArangoError:  # not kept: other bind values may put it right
            return None if _MODIFICATION.search(cursor.query.encode()) else _UNPARSED
        facts = QueryFacts(found.reads, found.writes, found.modifies, found.deterministic)
        self._facts[cached] = facts
        if len(self._facts) > _QUERY_CACHE:
            self._facts.popitem(last=False)
        return facts

    def _submit(self, operation: Operation, outcome: Outcome, way: Route, seconds: float, *, reverse: bool) -> None:
        self._shadow.submit(operation, outcome, frozenset(way.collections), seconds, "unknown", reversed=reverse)
