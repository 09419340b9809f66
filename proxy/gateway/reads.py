"""Carries out a READ: PostgreSQL under the fence, or ArangoDB; then the shadow gets what was answered.

A flipped collection whose read ArangoDB answers (a part of the percentage, a fallback) has PostgreSQL brought up to
date with that answer before the client sees it: no later read of PostgreSQL may show less (mirror-protocol, "Flip", 2).
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

import msgspec

from proxy.base.errors import ArangoError
from proxy.capture import WriteContext
from proxy.capture.refusals import authorised
from proxy.gateway.answered_reads import AnsweredReads
from proxy.gateway.router import Router
from proxy.gateway.target_reads import FallbackReason, TargetReads
from proxy.model.endpoint import Effect, Read
from proxy.model.lease_view import LeaseView
from proxy.model.message import Request, Response
from proxy.model.operations import Change, Operation, Outcome
from proxy.model.revision import decode_rev
from proxy.model.stages import Snapshot
from proxy.replication.coverage_gaps import Uncovered
from proxy.routing.header_obstacles import header_obstacle
from proxy.routing.route import Route
from proxy.stores.postgres.answers import wanted_items, wanted_keys
from proxy.wire.encode import encode


class _Revision(msgspec.Struct):
    key: str = msgspec.field(name="_key")
    rev: str = msgspec.field(name="_rev")


_REVISION = msgspec.json.Decoder(_Revision)


@dataclass(slots=True)
class ReadRequest:
    """One read on its way. way: its route by that snapshot. started: when it came, by `time.perf_counter`."""

    request: Request
    operation: Operation
    way: Route
    snapshot: Snapshot
    started: float

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started


class Reads:
    """Answers the reads of one dispatcher."""

    def __init__(
        self, context: WriteContext, lease: LeaseView, target: TargetReads, router: Router, answered: AnsweredReads
    ) -> None:
        self._context = context
        self._lease = lease
        self._target = target
        self._router = router
        self._answered = answered

    async def answer(self, read: ReadRequest) -> tuple[Response, str]:
        """Return the client's answer, and who gave it.

        Raise UpstreamError, ArangoError for an overload, FenceRefused if it must be routed again.
        """
        way, generation = read.way, read.snapshot.generation
        if way.hold:
            way, generation = await self._router.decided(read.operation)
        if not way.target:
            return await self._of_origin(read, way, trouble=False), "origin"
        found = await self._of_target(read, way, generation)
        if isinstance(found, Outcome):
            self._answered.compare(read.request, read.operation, found, way, read.seconds)
            return encode(found), "target"
        way, _ = await self._router.decided(read.operation)  # a hold may have begun meanwhile
        return await self._of_origin(read, way, trouble=found.trouble), "origin"

    async def _of_target(self, read: ReadRequest, way: Route, generation: int) -> Outcome | FallbackReason:
        """Read under the fence of the generation that the route was found by: after a rollback the fence refuses."""
        if way.extent:
            read.operation = msgspec.structs.replace(read.operation, extent=way.extent)
        allowed = (*way.collections, *(f"{read.operation.database}/{name}" for name in way.extent))
        return await self._target.answer(read.operation, allowed, generation, read.request.header(b"authorization"))

    async def _of_origin(self, read: ReadRequest, way: Route, *, trouble: bool) -> Response:
        """Return ArangoDB's answer. trouble: PostgreSQL could not answer, and may be out of reach of this instance."""
        operation = read.operation
        collections = way.collections or read.way.collections
        self._context.refuse_held((*collections, *(f"{operation.database}/{name}" for name in way.extent)))
        era = self._lease.era  # known before the origin is asked: the stamp of what it shows
        if operation.effect is Effect.QUERY or operation.endpoint.read is Read.QUERY_LIKE:
            running = (*collections, f"{operation.database}/*") if way.extent else collections
            with self._context.flight.track(self._context.flight.queries, running, self._lease.generation):
                response = await self._context.origin.request(read.request, idempotent=True)
        else:
            response = await self._context.origin.request(read.request, idempotent=True)
        seconds = read.seconds
        if operation.endpoint.read.by_key and self._context.flipped(collections[0]):
            await self._ensure_target_has(operation, response, collections[0], era)
        elif trouble and any(self._context.flipped(name) for name in collections):
            await self._target.reached_again()
        if authorised(response.status, response.body):
            self._count(read)
            self._answered.compare(read.request, operation, response, way, seconds)
        return response

    def _count(self, read: ReadRequest) -> None:
        operation, way = read.operation, read.way
        for name in way.collections if way.gap else ():  # of a query, each: the gate of each must know (I10)
            collection = name.partition("/")[2]
            self._context.gaps.add(operation.database, collection, operation.endpoint.name, Uncovered.READ, way.gap)
        self._answered.uncompared(operation, way, read.snapshot)

    async def _ensure_target_has(self, operation: Operation, response: Response, collection: str, era: int) -> None:
        """Bring PostgreSQL up to date with what this answer shows, before the client sees it.

        What cannot be taken from the answer (many documents, a transaction, VelocyPack, compressed) is read again.
        """
        if response.status not in (200, 304, 404, 412):
            return
        change = _shown(operation, response, collection)
        if change is not None:
            async with self._target.overload(collection):
                await self._context.ensure_replica_has(collection, (change,), stamp=era)
            return
        keys = (operation.key,) if operation.key is not None else tuple(_keys_asked(operation.body))
        if keys:
            async with self._target.overload(collection):
                await self._context.ensure_replica_has(collection, (), keys)


def _shown(operation: Operation, response: Response, collection: str) -> Change | None:
    """Return the version of the document that an answer shows; None if it shows none, or not that of the collection."""
    body, whole = response.body, not header_obstacle(operation) and response.header(b"content-encoding") is None
    if operation.endpoint.read is not Read.DOCUMENT or response.status != 200 or not whole:
        return None
    with contextlib.suppress(msgspec.DecodeError, ValueError):
        if isinstance(body, bytes):
            shown = _REVISION.decode(body)
            return Change(collection, shown.key, decode_rev(shown.rev), body)
    return None


def _keys_asked(body: bytes) -> list[str]:
    """Return the keys of a read of many documents; none if the body is not such a list."""
    try:
        return wanted_keys(wanted_items(body))
    except ArangoError:
        return []
