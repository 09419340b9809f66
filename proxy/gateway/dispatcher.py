"""Carries out a Route: the only module that touches origin, mirror, target and shadow for one request.

    read    origin -> client, then the shadow; or target (fenced) -> client, then the shadow the other way round
    write   `proxy.capture`: journal -> origin -> client -> mirror; or, opaque, the collections become unverified (I10)

A handler that has begun is never cancelled by its client's going: what ArangoDB took is mirrored all the same (I3).

What ArangoDB refuses is no traffic: gaps, shapes and comparisons are counted behind its answer (`capture.refusals`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from urllib.parse import quote

import msgspec
import structlog

from proxy.base import metrics
from proxy.base.config import Settings
from proxy.base.errors import ArangoError, DatabaseError, IsolationError, UpstreamError, error_label
from proxy.base.waits import counted
from proxy.capture import LeaseView, TransactionRegistry, WriteContext, WriteDispatcher, collect
from proxy.capture.refusals import authorised
from proxy.gateway import velocypack_answers
from proxy.gateway.request_body import TOO_LARGE, Bodies, must_read_body
from proxy.gateway.service_proxy import Services
from proxy.gateway.target_reads import TargetReads
from proxy.isolation import LIGHT, Lane
from proxy.model.endpoint import Capture, Effect, Endpoint, Family, Read
from proxy.model.in_flight import InFlight
from proxy.model.message import Headers, Request, Response, Streaming
from proxy.model.operations import Change, Operation, Outcome
from proxy.model.revision import decode_rev
from proxy.model.stages import Snapshot, Stage
from proxy.replication.coverage_gaps import Gaps, Uncovered
from proxy.replication.mirror import Mirror
from proxy.routing.bypass import bypass, outside
from proxy.routing.query_facts import QueryFactsCache
from proxy.routing.route import Action, Route
from proxy.routing.routes import route
from proxy.routing.scope import read_of
from proxy.shadow.comparator import Shadow
from proxy.shadow.normalize import normalize, plain_outcome
from proxy.shadow.shape_coverage import NOT_YET, Coverage
from proxy.stores.arango import Requester
from proxy.stores.postgres import PostgresStore
from proxy.stores.postgres.answers import wanted_items, wanted_keys
from proxy.wire.decode import decode
from proxy.wire.encode import encode, error_outcome
from proxy.wire.velocypack import in_json

log = structlog.get_logger(__name__)

_SECONDS = 20.0  # that a worker has to read a large body
# who answered, as `X-Crossfade-Served-By` says it
_NAMES = {"origin": b"arangodb", "target": b"postgresql", "proxy": b"crossfade"}


class _Revision(msgspec.Struct):
    key: str = msgspec.field(name="_key")
    rev: str = msgspec.field(name="_rev")


class _Named(msgspec.Struct):
    name: str


_REVISION = msgspec.json.Decoder(_Revision)
_NAMED = msgspec.json.Decoder(_Named)


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
        coverage: Coverage,
        lease: LeaseView,
        serving: TargetReads,
        gaps: Gaps,
        services: Services,
        flight: InFlight,
        rollback: Callable[[Sequence[str], str], Awaitable[None]],
        registry: TransactionRegistry,
        lane: Lane | None = None,
    ) -> None:
        """lane: workers that read what is large; None: it is read here."""
        self._settings = settings
        self._origin = origin
        self._target = target
        self._mirror = mirror
        self._shadow = shadow
        self._coverage = coverage
        self._lease = lease
        self._serving = serving
        self._gaps = gaps
        self._services = services
        self.flight = flight
        self._kit = WriteContext(settings, origin, mirror, lease, gaps, flight, rollback, lane)
        self._writes = WriteDispatcher(self._kit, self.handle, registry)
        self._lane = lane
        self._facts = QueryFactsCache(lane)
        self._bodies = Bodies(settings.max_captured_body, settings.capture_memory, settings.request_timeout)

    async def close(self) -> None:
        """Ends what is kept from request to request."""
        await self._writes.close()

    async def handle(self, request: Request, *, opened: bool = False) -> Response:
        """Answers one request of the traffic listener. opened: its body has been put together, or is too large."""
        if not request.target.startswith(b"/_"):
            return await self._services.handle(request)
        request.tunnel = None  # ArangoDB's upgrades are other protocols, whose requests would go unseen (I10)
        started = time.perf_counter()
        operation = decode(request)
        if operation.headers and velocypack_answers.wanted(operation) and self._reads_answer(operation):
            return await self._in_velocypack(request, operation, opened=opened)
        served_by = "proxy"
        try:
            closed = not opened and (not isinstance(request.body, bytes) or "content-encoding" in operation.headers)
            if closed and must_read_body(operation, self._lease.snapshot):
                return await self._bodies.opened(request, lambda readable: self.handle(readable, opened=True))
            if operation.headers and isinstance(request.body, bytes) and _packed(operation):
                # in JSON it is captured and compared; what JSON cannot say goes on as it came, its answer in JSON
                readable = await self._read_packed(request)
                request = readable or velocypack_answers.in_json(request)
                operation = decode(request)
            if operation.collection is not None and operation.collection[:1].isdigit() and _matters(operation):
                operation = await self._by_name(request, operation)
            if operation.effect is Effect.QUERY:
                operation = await self._facts.known(operation)
            snapshot = self._lease.snapshot
            whole = isinstance(request.body, bytes)
            way = self._routed(operation, snapshot) if whole else _unseen(operation, snapshot)
            if way.extent:
                operation = msgspec.structs.replace(operation, extent=way.extent)
            if way.action is Action.FORWARD:
                response, served_by = await self._forward(request, operation, way)
            elif way.action is Action.READ:
                response, served_by = await self._read(request, operation, way, snapshot, started)
            else:
                response, served_by = await self._writes.carry_out(request, operation, way), "origin"
        except UpstreamError as error:
            metrics.UPSTREAM_ERRORS.labels("origin", type(error).__name__).inc()
            response = encode(error_outcome(ArangoError(503, f"ArangoDB does not answer: {error}", status=503)))
        except ArangoError as error:
            response = encode(error_outcome(error))
        except RecursionError:  # of a body that was looked into before it went on: ArangoDB takes none so deep
            response = encode(error_outcome(ArangoError(600, "VPackError error: Array or Object nesting too deep")))
        by = "target" if served_by == "target" else "origin"
        metrics.TRAFFIC.observe(operation.endpoint.name, response.status, by, time.perf_counter() - started)
        if operation.headers.get("x-crossfade-explain", "0") != "0":
            response.headers = [*response.headers, *self._explained(served_by)]
        return response

    async def _read_packed(self, request: Request) -> Request | None:
        """A request in JSON whose body is VelocyPack; None where JSON cannot say it, or no worker could in time."""
        assert isinstance(request.body, bytes)
        if self._lane is None or len(request.body) <= LIGHT:
            return in_json(request)
        try:
            return await self._lane.run(in_json, request, seconds=_SECONDS)
        except IsolationError as error:
            log.warning("a body in VelocyPack was not read", reason=error.reason)
            return None

    def _reads_answer(self, operation: Operation) -> bool:
        """Whether the answer must be read here, or is made here, and not only handed on."""
        snapshot, endpoint = self._lease.snapshot, operation.endpoint
        if operation.effect is Effect.READ and "x-arango-async" in operation.headers:
            return False
        return (
            must_read_body(operation, snapshot)
            or endpoint.family is Family.JOB
            or (_through_database(endpoint) and snapshot.database_has(operation.database, Stage.MIRROR))
            or self._target.owns_cursor(operation)
            or self._writes.owns(operation)
            or (endpoint.family is Family.CURSOR and self._shadow.follows(operation))
        )

    async def _in_velocypack(self, request: Request, operation: Operation, *, opened: bool) -> Response:
        """The answer that the same request has in JSON, in VelocyPack.

        A read that is too large to be put together is asked for again as the client asked, and streams.
        """
        response = await self.handle(velocypack_answers.in_json(request), opened=opened)
        body = response.body
        if not isinstance(body, bytes):
            if isinstance(request.body, bytes) and self._repeatable(operation):
                if isinstance(body, AsyncGenerator):
                    await body.aclose()
                return await self._origin.request(request, idempotent=True)
            response.body = await collect(body)
        return await velocypack_answers.packed(response, self._lane)

    def _repeatable(self, operation: Operation) -> bool:
        """Whether it changes nothing to run it twice."""
        if operation.effect is Effect.QUERY:
            facts = self._facts.of_operation(operation)
            return facts is not None and not facts.modifies
        return operation.endpoint.read.by_key or operation.endpoint.read is Read.QUERY_LIKE

    def _explained(self, served_by: str) -> Headers:
        """For who asks by `X-Crossfade-Explain: 1`, and for nobody else (I6): who answered, and by which epoch."""
        epoch = str(self._lease.snapshot.epoch).encode()
        return [(b"X-Crossfade-Served-By", _NAMES[served_by]), (b"X-Crossfade-Epoch", epoch)]

    # ---- ways

    async def _forward(self, request: Request, operation: Operation, way: Route) -> tuple[Response, str]:
        if self._target.owns_cursor(operation):
            if await self._serving.may_go_on(request.header(b"authorization"), operation.database):
                return encode(await self._of_target(operation)), "target"
            return await self._origin.request(request), "origin"  # it says why not, in its own words
        if self._writes.owns(operation):
            return await self._writes.go_on(request, operation), "origin"
        snapshot = self._lease.snapshot
        if not way.writes:
            again = request.method in ("GET", "HEAD", "OPTIONS")  # a batch that is asked for twice is a batch lost
            if operation.endpoint.family is not Family.CURSOR:
                request.streaming = Streaming.OPEN_ENDED  # nothing of it is read here
            try:
                response = await self._origin.request(request, idempotent=again)
            finally:
                if operation.endpoint.changes_rights and not again:  # whatever became of the answer
                    self._serving.rights_changed()
            if operation.endpoint.family is Family.CURSOR and self._shadow.follows(operation):
                self._shadow.went_on(operation, _whole(response))
        else:
            self._writes.uncaptured(operation, way)
            with self.flight.during(self.flight.uncaptured, way.writes, self._lease.generation):
                response = await self._origin.request(request)
        if authorised(response.status, response.body):
            if way.gap:
                self._kit.gap(operation, Uncovered.READ, way.gap)
            elif operation.effect is Effect.PASSTHROUGH:
                known = snapshot.database_has(operation.database, Stage.MIRROR)  # clients name databases
                database = operation.database if known else ""
                self._gaps.add(database, "", operation.endpoint.name, Uncovered.PASSTHROUGH, "passthrough")
            self._seen(operation, way, snapshot)
        return response, "origin"

    async def _read(
        self, request: Request, operation: Operation, way: Route, snapshot: Snapshot, started: float
    ) -> tuple[Response, str]:
        collections, first, generation = way.collections, way, snapshot.generation
        if way.hold:
            way, generation = await self._held(operation)
        trouble = False
        if way.target:
            # the generation that the way was found by: after a rollback since then, the fence says no
            authorization = request.header(b"authorization")
            if way.extent:
                operation = msgspec.structs.replace(operation, extent=way.extent)
            allowed = (*way.collections, *(f"{operation.database}/{name}" for name in way.extent))
            found = await self._serving.answer(operation, allowed, generation, authorization)
            if isinstance(found, Outcome):
                if way.compare:
                    self._submit(request, operation, found, way, time.perf_counter() - started)
                return encode(found), "target"
            trouble = found.trouble
            way, _ = await self._held(operation)  # a hold may have begun meanwhile
        collections = way.collections or collections
        running = (*collections, f"{operation.database}/*") if way.extent else collections
        era = self._lease.era  # known before the origin is asked: the stamp of what it shows
        if operation.effect is Effect.QUERY or operation.endpoint.read is Read.QUERY_LIKE:
            with self.flight.during(self.flight.queries, running, self._lease.generation):
                response = await self._origin.request(request, idempotent=True)
        else:
            response = await self._origin.request(request, idempotent=True)
        elapsed = time.perf_counter() - started
        if operation.endpoint.read.by_key and self._kit.flipped(collections[0]):
            await self._bring_up(operation, response, collections[0], era)
        elif trouble and any(self._kit.flipped(name) for name in collections):
            await self._serving.reached_again()
        if not authorised(response.status, response.body):
            return response, "origin"
        if first.gap:
            for name in first.collections:  # of a query, each that it reads: the gate of each must know (I10)
                collection = name.partition("/")[2]
                self._gaps.add(operation.database, collection, operation.endpoint.name, Uncovered.READ, first.gap)
        self._seen(operation, first, snapshot)
        if not isinstance(response.body, bytes) or response.header(b"content-encoding") is not None:
            compared = normalize(operation) if way.compare else None
            if compared is not None:
                reason = "too large" if not isinstance(response.body, bytes) else "compressed"
                self._shadow.skip(compared, collections, reason)
            return response, "origin"
        if way.compare:
            self._submit(request, operation, response, way, elapsed)
        return response, "origin"

    # ---- parts

    async def _of_target(self, operation: Operation) -> Outcome:
        """What the target answers about a cursor of its own. Raises ArangoError: 503 where PostgreSQL fails."""
        try:
            return await self._target.execute(operation)
        except DatabaseError as error:
            log.warning("a cursor breaks off", error=error_label(error), endpoint=operation.endpoint.name)
            raise ArangoError(503, "PostgreSQL does not answer", status=503) from error

    def _routed(self, operation: Operation, snapshot: Snapshot) -> Route:
        unwritten = "x-arango-trx-id" in operation.headers and not self._writes.wrote_in(operation)
        if operation.effect is not Effect.QUERY:
            return route(operation, snapshot, unwritten=unwritten)
        matters = snapshot.database_has(operation.database, Stage.MIRROR)
        facts = self._facts.of_operation(operation, matters=matters)
        return route(operation, snapshot, facts, unwritten=unwritten)

    def _seen(self, operation: Operation, way: Route, snapshot: Snapshot) -> None:
        """Counts a read that was answered and does not come to the shadow, by what it would be compared as (I9)."""
        if way.compare:
            return
        if operation.effect is Effect.QUERY:
            if snapshot.database_has(operation.database, Stage.MIRROR) and operation.body:
                facts = self._facts.of_operation(operation)
                names = facts.reads if facts is not None and facts.understood else frozenset()
                if facts is not None and not facts.modifies and (names or not facts.understood):
                    self._coverage.query(operation.database, operation.body, names, way.gap or NOT_YET)
            return
        other = operation.endpoint.read.reworded
        collection = read_of(operation) if other or operation.effect is Effect.READ else None
        compared = normalize(operation) if other and collection is not None else operation
        if collection is None or compared is None:
            return
        if compared.effect is Effect.QUERY:
            names = frozenset({collection.partition("/")[2]})
            self._coverage.query(operation.database, compared.body, names, way.gap or NOT_YET)
        else:
            self._coverage.read(collection, compared.endpoint.name, way.gap or NOT_YET)

    async def _by_name(self, request: Request, operation: Operation) -> Operation:
        """The operation on a collection that is named by its number: of that name, where ArangoDB tells it.

        Asked each time, with the client's credentials: a name may change. Raises UpstreamError.
        """
        number = operation.collection or ""
        headers = [pair for pair in request.headers if pair[0].lower() == b"authorization"]
        target = f"/_db/{quote(operation.database, safe='')}/_api/collection/{quote(number, safe='')}"
        response = await self._origin.request(Request("GET", target.encode(), headers), idempotent=True)
        body = await collect(response.body)
        if response.status != 200:
            return operation
        name = _NAMED.decode(body).name
        place = operation.endpoint.collection_at
        path = tuple(name if at == place and part == number else part for at, part in enumerate(operation.path))
        return msgspec.structs.replace(operation, collection=name, path=path)

    @counted("flip")
    async def _held(self, operation: Operation) -> tuple[Route, int]:
        """Routes again, once a flip that is under way is decided, after at most `flip_hold_timeout` seconds.

        Returns the way, and the generation that it was found by.
        """
        limit = time.monotonic() + self._settings.flip_hold_timeout
        while True:
            snapshot = self._lease.snapshot
            way = self._routed(operation, snapshot)
            if not way.hold or time.monotonic() > limit or self._lease.own_lease_over:
                return way, snapshot.generation
            await asyncio.sleep(0.005)

    async def _bring_up(self, operation: Operation, response: Response, collection: str, era: int) -> None:
        """The target has what this answer shows before the client sees it (mirror-protocol, "Flip", 2).

        What cannot be taken from the answer (many documents, a transaction, VelocyPack, compressed) is read again.
        """
        if response.status not in (200, 304, 404, 412):
            return
        body, read_again = response.body, bool(bypass(operation)) or response.header(b"content-encoding") is not None
        if operation.endpoint.read is Read.DOCUMENT and response.status == 200 and not read_again:
            with contextlib.suppress(msgspec.DecodeError, ValueError):
                shown = _REVISION.decode(body) if isinstance(body, bytes) else None
                if shown is not None and isinstance(body, bytes):
                    change = Change(collection, shown.key, decode_rev(shown.rev), body)
                    async with self._serving.overload(collection):
                        await self._kit.ensure_replica_has(collection, (change,), stamp=era)
                    return
        keys = (operation.key,) if operation.key is not None else tuple(_keys_asked(operation.body))
        if keys:
            async with self._serving.overload(collection):
                await self._kit.ensure_replica_has(collection, (), keys)

    def _submit(
        self, request: Request, operation: Operation, answer: Outcome | Response, way: Route, seconds: float
    ) -> None:
        """Hands a read to the shadow. answer: the target's Outcome, or what the origin responded with a whole body.

        What was read in a transaction is looked at again outside of it.
        """
        operation = outside(operation)
        compared, outcome = normalize(operation), None
        if compared is not operation:  # in other words: so is its answer
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):  # no answer of ArangoDB's
                outcome = plain_outcome(operation, _outcome(answer))
            if compared is None or outcome is None:
                return
        taken = self._shadow.sampled(compared, way.collections, reversed=isinstance(answer, Outcome))
        if taken is None:
            return
        trace = request.header(b"traceparent")
        route, text = self._services.route_of_trace(trace), (trace or b"").decode("latin-1")
        self._shadow.submit(taken, compared, outcome or _outcome(answer), seconds, route, trace=text)


def _outcome(response: Outcome | Response) -> Outcome:
    """What the shadow keeps of a response whose body is whole."""
    if isinstance(response, Outcome):
        return response
    assert isinstance(response.body, bytes)
    return Outcome(response.status, response.body, tuple(response.headers))


def _whole(response: Response) -> Outcome | None:
    """The answer to what goes on with a cursor; None where it is none that can be read here."""
    if not isinstance(response.body, bytes) or response.header(b"content-encoding") is not None:
        return None
    return Outcome(response.status, response.body)


def _packed(operation: Operation) -> bool:
    """Whether the body is VelocyPack that somebody here has to read."""
    known = _matters(operation) or operation.endpoint.capture is Capture.TRANSACTION
    return known and "velocypack" in operation.headers.get("content-type", "")


def _matters(operation: Operation) -> bool:
    """Whether the collection's name says what to do with a request."""
    return operation.effect is not Effect.PASSTHROUGH or operation.endpoint.read.reworded


def _through_database(endpoint: Endpoint) -> bool:
    """Return True if its answer is read in a database of which any collection is mirrored."""
    return endpoint.read is Read.GRAPH_DOCUMENT or endpoint.capture is Capture.TRANSACTION


def _unseen(operation: Operation, snapshot: Snapshot) -> Route:
    """The way of a request whose body streams: it passes through, or it is too large to be looked into (I10)."""
    way = route(operation, snapshot)
    if way.action in (Action.FORWARD, Action.OPAQUE):
        return way
    if way.action is Action.READ:
        return msgspec.structs.replace(way, target=False, compare=False, gap=TOO_LARGE)
    return msgspec.structs.replace(way, action=Action.OPAQUE, gap=f"{operation.endpoint.name}: {TOO_LARGE}")


def _keys_asked(body: bytes) -> list[str]:
    """The keys of a read of many documents; none where the body is no such list."""
    try:
        return wanted_keys(wanted_items(body))
    except ArangoError:
        return []
