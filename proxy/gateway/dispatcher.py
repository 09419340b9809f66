"""The handler of the traffic listener: decodes a request, routes it and carries the Route out.

    forward  origin -> client; or a cursor or a job of this proxy, which continues here
    read     `gateway.reads`: origin -> client, then the shadow; or target (fenced) -> client, then the shadow reversed
    write    `proxy.capture`: journal -> origin -> client -> mirror; or, opaque, the collections become unverified (I10)

A handler that has begun is never cancelled because its client left: what ArangoDB took is mirrored all the same (I3).

A request that ArangoDB refuses does not count as traffic: gaps, shapes and comparisons are counted after its answer
(`capture.refusals`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import msgspec
import structlog

from proxy.base import metrics
from proxy.base.config import Settings
from proxy.base.errors import ArangoError, DatabaseError, FenceRefused, IsolationError, UpstreamError, error_label
from proxy.base.spool import SpooledAnswer
from proxy.capture import TransactionRegistry, WriteContext, WriteDispatcher, collect
from proxy.capture.refusals import authorised
from proxy.gateway import velocypack_answers
from proxy.gateway.answered_reads import AnsweredReads
from proxy.gateway.operation_reader import OperationReader
from proxy.gateway.promoted_requests import PromotedRequests, PromotedStore
from proxy.gateway.reads import ReadRequest, Reads
from proxy.gateway.request_body import Bodies, must_read_body
from proxy.gateway.router import Router, streamed_route
from proxy.gateway.service_proxy import Services
from proxy.gateway.target_reads import TargetReads
from proxy.isolation import INLINE_LIMIT, Lane
from proxy.model.endpoint import Effect, Endpoint, Family, Read, WriteRoute
from proxy.model.in_flight import InFlight
from proxy.model.lease_view import LeaseView
from proxy.model.message import Headers, Request, Response, Streaming
from proxy.model.operations import Operation, Outcome
from proxy.model.stages import Stage
from proxy.rehearsal.rehearser import Rehearser
from proxy.replication.coverage_gaps import Gaps, Uncovered
from proxy.replication.mirror import Mirror
from proxy.routing.query_facts import QueryFactsCache
from proxy.routing.route import Action, Route
from proxy.shadow.comparator import Shadow
from proxy.shadow.shape_coverage import Coverage
from proxy.stores.arango import Requester
from proxy.stores.postgres import PostgresStore
from proxy.wire.decode import decode
from proxy.wire.encode import encode, error_outcome
from proxy.wire.velocypack import in_json

log = structlog.get_logger(__name__)

_NOTHING: Final = contextlib.nullcontext()
_SECONDS = 20.0  # time of a worker to read a large body
# values of `X-Crossfade-Served-By`
_NAMES = {"origin": b"arangodb", "target": b"postgresql", "proxy": b"crossfade"}


class _Named(msgspec.Struct):
    name: str


_NAMED = msgspec.json.Decoder(_Named)


class Dispatcher:
    """The handler of the traffic listener. rollback: takes flipped collections back immediately, with a reason."""

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
        promoted: PromotedStore,
        reader: OperationReader,
        lane: Lane | None = None,
        rehearser: Rehearser | None = None,
    ) -> None:
        """promoted: carries out requests to promoted collections, which `reader` reads.

        lane: workers that read large bodies; None: they are read here. rehearser: None: no write is rehearsed.
        """
        self._origin = origin
        self._target = target
        self._lease = lease
        self._serving = serving
        self._gaps = gaps
        self._services = services
        self.flight = flight
        self._context = WriteContext(settings, origin, mirror, lease, gaps, flight, rollback, lane, rehearser)
        self._writes = WriteDispatcher(self._context, self.handle, registry)
        self._lane = lane
        self._facts = QueryFactsCache(lane)
        self._router = Router(self._facts, lease, self._writes.wrote_in, settings.flip_hold_timeout)
        self._promoted = PromotedRequests(
            promoted, lease, serving, self._facts, gaps, reader, hold=settings.flip_hold_timeout, lane=lane
        )
        self._answered = AnsweredReads(shadow, coverage, services, self._router)
        self._reads = Reads(self._context, lease, serving, self._router, self._answered)
        self._bodies = Bodies(settings.max_captured_body, settings.capture_memory, settings.request_timeout)

    async def close(self) -> None:
        """End the cursors, jobs and transactions that are kept from request to request."""
        await self._writes.close()

    async def handle(self, request: Request, *, opened: bool = False) -> Response:
        """Answer one request of the traffic listener. opened: its body has been decoded, or is too large for that."""
        if not for_database(request.target):
            return await self._services.handle(request)
        request.tunnel = None  # ArangoDB's upgrades are other protocols, whose requests would be unseen (I10)
        started = time.perf_counter()
        operation = decode(request)
        limit: float | None = None
        while True:
            snapshot = self._lease.snapshot
            try:
                if snapshot.has_other_writers:
                    answer = await self._of_promoted(request, operation, started, opened=opened)
                    if answer is not None:
                        return answer
                return await self._handle(request, operation, started, opened=opened)
            except FenceRefused:  # the writer of a collection began to change since it was routed: nothing was sent
                limit = limit or self._promoted.limit
                try:
                    await self._promoted.later(snapshot, limit)
                except ArangoError as error:
                    return self._ended(operation, encode(error_outcome(error)), "proxy", started)

    async def _of_promoted(
        self, request: Request, operation: Operation, started: float, *, opened: bool
    ) -> Response | None:
        """Return the answer to a request that ArangoDB may not carry out; None for any other."""
        try:
            if not opened and self._promoted.needs_body(operation) and _closed(request, operation):
                return await self._bodies.opened(request, lambda readable: self.handle(readable, opened=True))
            response = await self._promoted.answer(request, operation)
        except ArangoError as error:
            response = encode(error_outcome(error))
        except UpstreamError as error:  # what became of the client's body
            response = encode(error_outcome(ArangoError(503, str(error), status=503)))
        return None if response is None else self._ended(operation, response, "target", started)

    async def _handle(self, request: Request, operation: Operation, started: float, *, opened: bool) -> Response:
        """Answer a request that is ArangoDB's, and PostgreSQL's as far as it mirrors and is flipped.

        Raise FenceRefused if it is not any more: nothing was sent.
        """
        if operation.headers and velocypack_answers.wanted(operation) and self._reads_answer(operation):
            return await self._in_velocypack(request, operation, opened=opened)
        served_by = "proxy"
        try:
            if not opened and self._must_open(request, operation):
                return await self._bodies.opened(request, lambda readable: self.handle(readable, opened=True))
            response, served_by = await self._answer(request, operation, started)
        except UpstreamError as error:
            metrics.UPSTREAM_ERRORS.labels("origin", type(error).__name__).inc()
            response = encode(error_outcome(ArangoError(503, f"ArangoDB does not answer: {error}", status=503)))
        except ArangoError as error:
            response = encode(error_outcome(error))
        except RecursionError:  # of a body that was decoded before it was forwarded: ArangoDB takes none so deep
            response = encode(error_outcome(ArangoError(600, "VPackError error: Array or Object nesting too deep")))
        return self._ended(operation, response, served_by, started)

    def _ended(self, operation: Operation, response: Response, served_by: str, started: float) -> Response:
        """Count an answer, and return it as the client gets it."""
        by = "target" if served_by == "target" else "origin"
        metrics.TRAFFIC.observe(operation.endpoint.name, response.status, by, time.perf_counter() - started)
        if operation.headers.get("x-crossfade-explain", "0") != "0":
            response.headers = [*response.headers, *self._explained(served_by)]
        return response

    async def _answer(self, request: Request, operation: Operation, started: float) -> tuple[Response, str]:
        """Return the client's answer, and who gave it. ArangoDB's refusal of a write may be out of date."""
        if _unclear(operation):
            request, operation = await self._understood(request, operation)
        response, served_by, collections = await self._carry_out(request, operation, started)
        if response.status == HTTPStatus.FORBIDDEN and isinstance(request.body, bytes) and collections:
            response.body = await collect(response.body)
            if await self._promoted.check_rights(collections):
                response, served_by, _ = await self._carry_out(request, operation, started)
                if response.status == HTTPStatus.FORBIDDEN:
                    response.body = await collect(response.body)
                    await self._promoted.check_rights(collections)
        return response, served_by

    async def _carry_out(
        self, request: Request, operation: Operation, started: float
    ) -> tuple[Response, str, Sequence[str]]:
        """Route a request and carry that out. Return the answer, who gave it, and the collections that it may write."""
        self._promoted.check(operation)
        snapshot = self._lease.snapshot
        whole = isinstance(request.body, bytes)
        way = self._router.route(operation, snapshot) if whole else streamed_route(operation, snapshot)
        if way.extent:
            operation = msgspec.structs.replace(operation, extent=way.extent)
        if way.action is Action.READ:
            response, served_by = await self._reads.answer(ReadRequest(request, operation, way, snapshot, started))
            return response, served_by, ()
        if way.action is Action.FORWARD:
            response, served_by = await self._forward(request, operation, way)
        else:
            response, served_by = await self._writes.carry_out(request, operation, way), "origin"
        return response, served_by, way.collections or (operation.qualified or "",)

    # ---- before it is routed

    def _must_open(self, request: Request, operation: Operation) -> bool:
        """Return True if the body streams or is encoded, and has to be read here."""
        return _closed(request, operation) and must_read_body(operation, self._lease.snapshot)

    async def _understood(self, request: Request, operation: Operation) -> tuple[Request, Operation]:
        """Return the request in JSON if it can be, its collection by name, and what is known of a large query."""
        if operation.headers and isinstance(request.body, bytes) and _packed(operation):
            # in JSON it is captured and compared; what JSON cannot express continues as it came, its answer in JSON
            readable = await self._read_packed(request)
            request = readable or velocypack_answers.in_json(request)
            operation = decode(request)
        if operation.collection is not None and operation.collection[:1].isdigit() and _matters(operation):
            operation = await self._by_name(request, operation)
        if operation.effect is Effect.QUERY:
            operation = await self._facts.known(operation)
        return request, operation

    async def _read_packed(self, request: Request) -> Request | None:
        """Return a request in VelocyPack in JSON; None if JSON cannot express it, or no worker could in time."""
        assert isinstance(request.body, bytes)
        if self._lane is None or len(request.body) <= INLINE_LIMIT:
            return in_json(request)
        try:
            return await self._lane.run(in_json, request, seconds=_SECONDS)
        except IsolationError as error:
            log.warning("velocypack_body_unread", reason=error.reason)
            return None

    def _reads_answer(self, operation: Operation) -> bool:
        """Return True if the answer must be read here, or is made here, and is not only forwarded."""
        snapshot, endpoint = self._lease.snapshot, operation.endpoint
        if operation.effect is Effect.READ and "x-arango-async" in operation.headers:
            return False
        return (
            must_read_body(operation, snapshot)
            or endpoint.family is Family.JOB
            or (_through_database(endpoint) and snapshot.database_has(operation.database, Stage.MIRROR))
            or self._target.owns_cursor(operation)
            or self._writes.owns(operation)
            or (endpoint.family is Family.CURSOR and self._answered.follows(operation))
        )

    async def _in_velocypack(self, request: Request, operation: Operation, *, opened: bool) -> Response:
        """Return the answer to the same request in JSON, written in VelocyPack.

        A read that is too large to be held is sent again as the client sent it, and its answer streams.
        """
        response = await self.handle(velocypack_answers.in_json(request), opened=opened)
        body = response.body
        if isinstance(body, SpooledAnswer):  # PostgreSQL's, of promoted collections
            return await velocypack_answers.packed(response, self._lane)
        if not isinstance(body, bytes):
            if isinstance(request.body, bytes) and self._router.repeatable(operation):
                if isinstance(body, AsyncGenerator):
                    await body.aclose()
                return await self._origin.request(request, idempotent=True)
            response.body = await collect(body)
        return await velocypack_answers.packed(response, self._lane)

    def _explained(self, served_by: str) -> Headers:
        """Return who answered, by which epoch: for clients that send `X-Crossfade-Explain: 1` only (I6)."""
        epoch = str(self._lease.snapshot.epoch).encode()
        return [(b"X-Crossfade-Served-By", _NAMES[served_by]), (b"X-Crossfade-Epoch", epoch)]

    # ---- ways

    async def _forward(self, request: Request, operation: Operation, way: Route) -> tuple[Response, str]:
        if self._target.owns_cursor(operation):
            if await self._serving.may_continue(request.header(b"authorization"), operation.database):
                return encode(await self._of_target(operation)), "target"
            return await self._origin.request(request), "origin"  # its own words state why not
        if self._writes.owns(operation):
            return await self._writes.continue_request(request, operation), "origin"
        snapshot = self._lease.snapshot
        if way.writes:
            self._writes.uncaptured(operation, way)
            with self.flight.track(self.flight.uncaptured, way.writes, self._lease.generation):
                response = await self._origin.request(request)
        else:
            response = await self._pass_through(request, operation)
        if authorised(response.status, response.body):
            if way.gap:
                self._context.gap(operation, Uncovered.READ, way.gap)
            elif operation.effect is Effect.PASSTHROUGH:
                known = snapshot.database_has(operation.database, Stage.MIRROR)  # clients name databases
                database = operation.database if known else ""
                self._gaps.add(database, "", operation.endpoint.name, Uncovered.PASSTHROUGH, "passthrough")
            self._answered.uncompared(operation, way, snapshot)
        return response, "origin"

    async def _pass_through(self, request: Request, operation: Operation) -> Response:
        """Forward a request that writes no document that is, or will soon be, mirrored."""
        again = request.method in ("GET", "HEAD", "OPTIONS")  # a batch that is requested twice is a batch lost
        continues = operation.endpoint.family is Family.CURSOR
        if not continues:
            request.streaming = Streaming.OPEN_ENDED  # nothing of it is read here
        changes: contextlib.AbstractContextManager[object] = _NOTHING
        if operation.effect is Effect.CONTROL:
            names = (operation.qualified or f"{operation.database}/*",)
            changes = self.flight.track(self.flight.changes, names, self._lease.generation)
        try:
            with changes:
                response = await self._origin.request(request, idempotent=again)
        finally:
            if operation.endpoint.changes_rights and not again:  # whatever the answer is
                self._serving.rights_changed()
        if continues and self._answered.follows(operation):
            self._answered.continued(operation, response)
        return response

    # ---- parts

    async def _of_target(self, operation: Operation) -> Outcome:
        """Continue a cursor that PostgreSQL opened. Raise ArangoError: 503 if PostgreSQL fails."""
        try:
            return await self._target.execute(operation)
        except DatabaseError as error:
            log.warning("cursor_lost", error=error_label(error), endpoint=operation.endpoint.name)
            raise ArangoError(503, "PostgreSQL does not answer", status=503) from error

    async def _by_name(self, request: Request, operation: Operation) -> Operation:
        """Return the operation with its collection's name instead of its number, if ArangoDB gives the name.

        Requested each time, with the client's credentials: a name may change. Raise UpstreamError.
        """
        number = operation.collection or ""
        target = f"/_db/{quote(operation.database, safe='')}/_api/collection/{quote(number, safe='')}"
        response = await self._origin.request(Request("GET", target.encode(), request.credentials()), idempotent=True)
        body = await collect(response.body)
        if response.status != 200:
            return operation
        name = _NAMED.decode(body).name
        place = operation.endpoint.collection_at
        path = tuple(name if at == place and part == number else part for at, part in enumerate(operation.path))
        return msgspec.structs.replace(operation, collection=name, path=path)


def for_database(target: bytes) -> bool:
    """Return True for a path of ArangoDB, which takes several slashes for one: `//_api/version` as well."""
    return target.startswith(b"/_") or (target.startswith(b"//") and target.lstrip(b"/").startswith(b"_"))


def _closed(request: Request, operation: Operation) -> bool:
    """Return True if the body is not in memory, or encoded."""
    return not isinstance(request.body, bytes) or "content-encoding" in operation.headers


def _packed(operation: Operation) -> bool:
    """Return True if the body is VelocyPack that capture or comparison has to read."""
    known = _matters(operation) or operation.endpoint.write_route is WriteRoute.WHOLE_DATABASE
    return known and "velocypack" in operation.headers.get("content-type", "")


def _unclear(operation: Operation) -> bool:
    """Return True if a request may have to be translated before it can be routed: most need not."""
    name = operation.collection
    return bool(operation.headers) or operation.effect is Effect.QUERY or (name is not None and name[:1].isdigit())


def _matters(operation: Operation) -> bool:
    """Return True if the collection's name decides what is done with a request."""
    return operation.effect is not Effect.PASSTHROUGH or operation.endpoint.read.reworded


def _through_database(endpoint: Endpoint) -> bool:
    """Return True if its answer is read in a database of which any collection is mirrored."""
    return endpoint.read is Read.GRAPH_DOCUMENT or endpoint.write_route is WriteRoute.WHOLE_DATABASE
