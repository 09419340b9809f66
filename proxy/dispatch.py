"""Carries out a Route: the only module that touches origin, mirror, target and shadow for one request.

    read    origin -> client, then the shadow; or target (fenced) -> client, then the shadow the other way round
    write   journal.intend -> origin -> capture -> client; where flipped, PostgreSQL has it before the answer (I7)
    opaque  journal -> origin -> the collections become unverified (I10)

A handler that has begun is never cancelled by its client's going: what ArangoDB took is mirrored all the same (I3).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol

import msgspec
import structlog

from proxy import metrics
from proxy.aql import analyse, parse
from proxy.config import Settings
from proxy.credentials import Credentials
from proxy.cutover.stages import Snapshot
from proxy.errors import ArangoError, DatabaseError, UpstreamError, UpstreamLost, UpstreamUnavailable
from proxy.flight import Flight
from proxy.gaps import Gaps
from proxy.mirror import faults
from proxy.mirror.capture import Opaque, Plan, plan, settle
from proxy.mirror.journal import Intent
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

log = structlog.get_logger(__name__)

_QUERY_CACHE = 2000
# errors of a query that was never run: nothing was written (parse, bind, authorisation, unknown collection)
_NEVER_RAN = frozenset({11, 400, 401, 403, 404, 405, 501, 600, 1203, 1228, 1501, 1502, 1540, 1541, 1551, 1552, 1553})


# AQL writes only where one of these words stands (aql-semantics, section 9); they survive any escaping of JSON
_MODIFICATION = re.compile(rb"insert|update|replace|remove|upsert|\\\\u", re.IGNORECASE)
_UNPARSED = QueryFacts(frozenset(), frozenset(), modifies=False, deterministic=False)


class LeaseView(Protocol):
    """What the dispatcher needs of the lease."""

    @property
    def snapshot(self) -> Snapshot: ...
    @property
    def generation(self) -> int: ...
    @property
    def may_read_target(self) -> bool: ...
    @property
    def own_lease_over(self) -> bool: ...
    @property
    def era(self) -> int: ...
    def note_alone(self) -> None: ...


class _Cursor(msgspec.Struct):
    query: str = ""
    bind_vars: dict[str, object] = msgspec.field(name="bindVars", default_factory=dict)


class _Error(msgspec.Struct):
    number: int = msgspec.field(name="errorNum", default=0)


class _Revision(msgspec.Struct):
    key: str = msgspec.field(name="_key")
    rev: str = msgspec.field(name="_rev")


_CURSOR = msgspec.json.Decoder(_Cursor)
_ERROR = msgspec.json.Decoder(_Error)
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
        self._rollback = rollback
        self.flight = flight
        self._facts: OrderedDict[str, QueryFacts | None] = OrderedDict()
        self._metric_children: dict[tuple[str, int, str], tuple[object, object]] = {}

    async def handle(self, request: Request) -> Response:
        """Answers one request of the traffic listener."""
        if not request.target.startswith(b"/_"):
            return await self._services.handle(request)
        started = time.perf_counter()
        operation = decode(request)
        facts = self._query_facts(operation) if operation.effect is Effect.QUERY else None
        way = route(operation, self._lease.snapshot, facts)
        served_by = "origin"
        try:
            if way.action is Action.FORWARD:
                response = await self._forward(request, operation, way)
            elif way.action is Action.READ:
                response, served_by = await self._read(request, operation, way, started)
            elif way.action is Action.CAPTURE:
                response = await self._capture(request, operation, way)
            else:
                response = await self._opaque(request, operation, way)
        except UpstreamError as error:
            metrics.UPSTREAM_ERRORS.labels("origin", type(error).__name__).inc()
            response = encode(error_outcome(ArangoError(503, f"ArangoDB does not answer: {error}", status=503)))
        except ArangoError as error:
            response = encode(error_outcome(error))
        self._count(operation.endpoint, response.status, served_by, time.perf_counter() - started)
        return response

    # ---- ways

    async def _forward(self, request: Request, operation: Operation, way: Route) -> Response:
        if self._target.owns_cursor(operation):
            return encode(await self._target.execute(operation))
        if way.gap:
            self._gap(operation, way.gap)
        elif operation.effect is Effect.PASSTHROUGH:
            self._gaps.add(operation.database, "", operation.endpoint, "passthrough")
        if not way.writes:
            return await self._origin.request(request, idempotent=True)
        with self.flight.during(self.flight.uncaptured, way.writes, self._lease.generation):
            return await self._origin.request(request)

    async def _read(self, request: Request, operation: Operation, way: Route, started: float) -> tuple[Response, str]:
        if way.gap:
            self._gap(operation, way.gap)
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
        if operation.effect is Effect.READ and self._flipped(way.collections[0]):
            await self._bring_up(operation, response, way.collections[0], era)
        if way.compare and operation.body is not None and not response.header(b"content-encoding"):
            outcome = Outcome(response.status, response.body, tuple((n.lower(), v) for n, v in response.headers))
            self._submit(operation, outcome, way, elapsed, reverse=False)
        return response, "origin"

    async def _capture(self, request: Request, operation: Operation, way: Route) -> Response:
        if not isinstance(request.body, bytes):
            request.body = await _collect(request.body, self._settings.max_body)
            operation = decode(request)
        planned = plan(operation)
        if isinstance(planned, Opaque):
            return await self._opaque(request, operation, way)
        collection = way.collections[0]
        intent = self._mirror.intend(collection, planned.keys)
        faults.reach("after-intend")
        mirror, flight = self._mirror, self.flight
        with flight.during(
            flight.captured, way.collections, self._lease.generation, lambda: not mirror.is_open(intent)
        ):
            response = await self._forward_captured(request, planned, intent)
            faults.reach("after-forward")
            body = response.body if isinstance(response.body, bytes) else await _collect(response.body, None)
            try:
                captured = settle(planned, response.status, response.headers, body)
            except ValueError as error:  # an answer that is not ArangoDB's: the outcome is unknown
                log.warning("an answer of the origin was not understood", error=str(error), collection=collection)
                mirror.lost(intent)
                return Response(response.status, response.headers, body, response.reason)
            mirror.answered(intent, captured)
            if self._flipped(collection):  # looked up when answering, not before
                await self._until_both(mirror.applied(intent))
                if not captured.changes and response.status in (404, 409, 412):
                    await self._until_both(mirror.bring_up(collection, (), planned.keys))
        return Response(response.status, captured.headers, captured.body, response.reason)

    async def _forward_captured(self, request: Request, planned: Plan, intent: Intent) -> Response:
        try:
            return await self._origin.request(planned.rewritten(request))
        except UpstreamUnavailable:
            self._mirror.settled_nothing(intent)
            raise
        except (UpstreamLost, asyncio.CancelledError):
            self._mirror.lost(intent)
            raise

    async def _opaque(self, request: Request, operation: Operation, way: Route) -> Response:
        reason = way.gap or operation.endpoint
        flipped = [name for name in way.collections if self._flipped(name)]
        if flipped:  # PostgreSQL would not have it: nobody may read there any more (mirror-protocol, answer 6)
            await self._until_both(self._taken_back(flipped, reason))
        self._gap(operation, reason)
        intent = self._mirror.intend(way.collections[0], way.collections, opaque=reason)
        try:
            response = await self._origin.request(request)
        except UpstreamUnavailable:
            self._mirror.settled_nothing(intent)
            raise
        except (UpstreamLost, asyncio.CancelledError):
            self._mirror.lost(intent)  # marked once the request can no longer run
            raise
        if operation.effect is Effect.QUERY and isinstance(response.body, bytes) and response.status >= 400:
            with contextlib.suppress(msgspec.DecodeError):
                if _ERROR.decode(response.body).number in _NEVER_RAN:
                    self._mirror.settled_nothing(intent)
                    return response
        if response.status in (401, 403, 405):
            self._mirror.settled_nothing(intent)
        else:
            self._mirror.opaque_done(intent, way.collections, reason)
        return response

    # ---- parts

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
            facts = self._query_facts(operation)
            way = route(operation, self._lease.snapshot, facts)
            if not way.hold or time.monotonic() > limit or self._lease.own_lease_over:
                return way
            await asyncio.sleep(0.005)

    async def _bring_up(self, operation: Operation, response: Response, collection: str, era: int) -> None:
        """The target has what this answer shows before the client sees it (mirror-protocol, "Flip", 2)."""
        assert isinstance(response.body, bytes)
        if operation.endpoint == "document.read" and response.status == 200:
            shown = _REVISION.decode(response.body)
            changes = (Change(collection, shown.key, decode_rev(shown.rev), response.body),)
            await self._until_both(self._mirror.bring_up(collection, changes, stamp=era))
        elif operation.key is not None and response.status in (200, 304, 404, 412):
            await self._until_both(self._mirror.bring_up(collection, (), (operation.key,)))

    async def _until_both(self, waiting: Awaitable[object]) -> None:
        """Waits for PostgreSQL; or until this instance's own lease has run out: then the origin alone answers.

        mirror-protocol, "Flip", 7: nobody reads from PostgreSQL any more once the lease is over, since every fenced
        read tests it.
        """
        task = asyncio.ensure_future(waiting)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=0.05)
                if not task.done() and self._lease.own_lease_over:
                    self._lease.note_alone()
                    return
            await task
        except (DatabaseError, UpstreamError, ArangoError) as error:
            log.info("an answer waits until nobody reads from PostgreSQL", error=str(error))
            while not self._lease.own_lease_over:
                await asyncio.sleep(0.02)
            self._lease.note_alone()
        finally:
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, DatabaseError, UpstreamError, ArangoError):
                    await task

    async def _taken_back(self, collections: Sequence[str], reason: str) -> None:
        await self._rollback(collections, reason)
        while any(self._flipped(name) for name in collections):
            await asyncio.sleep(0.005)

    def _flipped(self, collection: str) -> bool:
        snapshot = self._lease.snapshot
        if collection.endswith("/*"):
            prefix = collection[:-1]
            names = (*snapshot.collections, *snapshot.moves)
            return any(snapshot.behaviour(name).synchronous for name in names if name.startswith(prefix))
        return snapshot.behaviour(collection).synchronous

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
            facts: QueryFacts | None = QueryFacts(found.reads, found.writes, found.modifies, found.deterministic)
        except ArangoError:
            facts = None if _MODIFICATION.search(cursor.query.encode()) else _UNPARSED
        self._facts[cached] = facts
        if len(self._facts) > _QUERY_CACHE:
            self._facts.popitem(last=False)
        return facts

    def _submit(self, operation: Operation, outcome: Outcome, way: Route, seconds: float, *, reverse: bool) -> None:
        self._shadow.submit(operation, outcome, frozenset(way.collections), seconds, "unknown", reversed=reverse)

    def _gap(self, operation: Operation, reason: str) -> None:
        collection = operation.qualified or ""
        self._gaps.add(operation.database, collection, operation.endpoint, reason)

    def _count(self, endpoint: str, status: int, served_by: str, seconds: float) -> None:
        key = (endpoint, status, served_by)
        children = self._metric_children.get(key)
        if children is None:
            children = self._metric_children[key] = (
                metrics.REQUESTS.labels(endpoint, f"{status // 100}xx", served_by),
                metrics.REQUEST_SECONDS.labels(endpoint, served_by),
            )
        children[0].inc()  # type: ignore[attr-defined]
        children[1].observe(seconds)  # type: ignore[attr-defined]


async def _collect(parts: AsyncIterator[bytes], limit: int | None) -> bytes:
    """The whole of a streamed body. Raises ArangoError(413) above the limit."""
    collected = bytearray()
    async for part in parts:
        collected += part
        if limit is not None and len(collected) > limit:
            raise ArangoError(413)
    return bytes(collected)
