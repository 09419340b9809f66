"""Requests to collections whose writes PostgreSQL takes, or whose writer is changing.

While that is decided a request waits here. It is carried out by whatever is decided, and by nothing else: PostgreSQL
tests in its own statements that it may, and what it refuses has done nothing, so that the request is routed again by
the next snapshot. ArangoDB is never asked instead (promotion-protocol, "Promote" 1, "Demote" 1).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol

import msgspec

from proxy.base import metrics
from proxy.base.errors import ArangoError, DatabaseError, FenceRefused, Unsupported
from proxy.base.waits import timed_wait
from proxy.gateway import velocypack_answers
from proxy.gateway.operation_reader import OperationReader
from proxy.gateway.target_reads import FallbackReason, TargetReads
from proxy.isolation import Lane
from proxy.model.endpoint import CollectionIn, Effect, Read, Verb
from proxy.model.lease_view import LeaseView
from proxy.model.message import Request, Response
from proxy.model.operations import Fence, LargeBody, Operation, Outcome
from proxy.model.stages import Snapshot, Stage, Writer
from proxy.replication.coverage_gaps import Gaps, Uncovered
from proxy.routing.ownership import Owner, Ownership, ownership
from proxy.routing.query_facts import QueryFactsCache
from proxy.stores.base import Store
from proxy.wire.encode import encode
from proxy.wire.encoding import without
from proxy.wire.velocypack import to_json

_POLL: Final = 0.005  # seconds between two looks at the snapshot
_LONGEST: Final = 0.1  # seconds after which a request that the fence refused is tried again by the same snapshot
_PIECE: Final = 256 << 10  # bytes of a body that are sent together
_MIXED: Final = "promoted and other collections"
# ArangoDB would answer these reads, and here it must not: PostgreSQL cannot at all
_CANNOT: Final = frozenset({FallbackReason.UNSUPPORTED, FallbackReason.REFUSED, FallbackReason.LIMIT})


class PromotedStore(Protocol):
    """PostgreSQL as the server of promoted collections; it starts when it is needed first."""

    async def at(self, generation: int) -> Store:
        """Return the store, which knows what was promoted up to that generation. Raise DatabaseError."""
        ...

    async def whole(self) -> Store:
        """Return PostgreSQL as the whole server, once every collection is complete. Raise DatabaseError."""

    async def rights_taken(self, collections: Sequence[str]) -> bool:
        """Return True if ArangoDB's users do not have back what a promotion took. Raise DatabaseError."""
        ...

    async def named(self, database: str, number: str, generation: int) -> str | None:
        """Return the name of a promoted collection with that number; None if there is none. Raise DatabaseError."""
        ...


class PromotedRequests:
    """Carries them out. hold: the greatest number of seconds that a request waits. lane: workers for large answers."""

    def __init__(
        self,
        store: PromotedStore,
        lease: LeaseView,
        serving: TargetReads,
        facts: QueryFactsCache,
        gaps: Gaps,
        reader: OperationReader,
        *,
        hold: float,
        lane: Lane | None = None,
    ) -> None:
        self._store = store
        self._lease = lease
        self._serving = serving
        self._facts = facts
        self._gaps = gaps
        self._reader = reader
        self._hold = hold
        self._lane = lane

    @staticmethod
    def needs_body(operation: Operation) -> bool:
        """Return True if the body of a request shows which collections it concerns."""
        endpoint = operation.endpoint
        in_body = endpoint.collection_in in (CollectionIn.BODY, CollectionIn.BODY_NAME)
        return endpoint.read is Read.QUERY or endpoint.explains or endpoint.verb is Verb.BEGIN or in_body

    async def answer(self, request: Request, operation: Operation) -> Response | None:
        """Return the answer; None if the request is ArangoDB's to carry out, by the snapshot at the return.

        Raise ArangoError: 503 if it was not decided in time, or PostgreSQL does not answer; 501 by name.
        """
        operation = await self._understood(operation)
        read: Operation | None = None
        limit = time.monotonic() + self._hold
        async with contextlib.AsyncExitStack() as stack:
            while True:
                snapshot = self._lease.snapshot
                decided = self._decide(operation, snapshot)
                response: Response | None = None
                match decided.owner:
                    case Owner.ORIGIN:
                        if read is not None:
                            _put_back(request, read)
                        return None
                    case Owner.MIXED:
                        raise self._refused(operation, decided, snapshot)
                    case Owner.OWN:
                        if read is None:
                            room = self._reader.room(request)
                            if room is not None:
                                await stack.enter_async_context(room)
                            read = await self._reader.read(request)
                            continue  # the client may have been slow
                        response = await self._own(read, decided, snapshot)
                    case Owner.FENCED:
                        response = await self._fenced(request, operation, decided, snapshot)
                    case Owner.WAIT:
                        with contextlib.suppress(DatabaseError):
                            await self._store.at(snapshot.generation)  # it will be needed
                if response is not None:
                    return await self._packed(operation, response)
                await self.later(snapshot, limit)

    def check(self, operation: Operation) -> None:
        """Return if the request is still ArangoDB's to carry out. Raise FenceRefused: begin again."""
        snapshot = self._lease.snapshot
        if snapshot.has_other_writers and self._decide(operation, snapshot).owner is not Owner.ORIGIN:
            raise FenceRefused("the writer of a collection is changing")

    async def check_rights(self, collections: Sequence[str]) -> bool:
        """Return False if a refusal by ArangoDB, for want of rights, is an answer. Raise FenceRefused: try again.

        Return True if no right is missing now, but one may have been when ArangoDB refused: try once more.

        Rights that a promotion took are given back after its abort, or after a demotion; until then ArangoDB takes the
        writes, and its users may not write (promotion-protocol, "Promote", "rights follow the row").
        """
        policies = [self._lease.snapshot.policy(name) for name in collections]
        if not any(policy.state.stage.at_least(Stage.FLIPPED) for policy in policies):
            return False
        with contextlib.suppress(DatabaseError):
            if await self._store.rights_taken(collections):
                raise FenceRefused("ArangoDB's users do not have their rights back yet")
        return True

    @timed_wait("promotion")
    async def later(self, snapshot: Snapshot, limit: float) -> None:
        """Wait for a later snapshot, or for a moment if there is none. Raise ArangoError (503) at the limit."""
        self._lease.heartbeat_now()
        pause = time.monotonic() + _LONGEST
        while time.monotonic() < min(pause, limit):
            await asyncio.sleep(_POLL)
            if self._lease.generation != snapshot.generation:
                return
        if time.monotonic() >= limit:
            raise ArangoError(503, "service unavailable: the writes of a collection are being moved", status=503)

    @property
    def limit(self) -> float:
        """The moment until which a request that comes now may wait, by `time.monotonic`."""
        return time.monotonic() + self._hold

    # ---- parts

    async def _understood(self, operation: Operation) -> Operation:
        """Return the operation with what shows its collections: in JSON, and by name. Only to decide by."""
        if operation.body and "velocypack" in operation.headers.get("content-type", ""):
            with contextlib.suppress(ArangoError):
                operation = msgspec.structs.replace(operation, body=to_json(operation.body))
        number = operation.collection or ""
        if number[:1].isdigit():
            with contextlib.suppress(DatabaseError):
                name = await self._store.named(operation.database, number, self._lease.generation)
                if name is not None:
                    operation = msgspec.structs.replace(operation, collection=name)
        return await self._facts.known(operation) if operation.effect is Effect.QUERY else operation

    def _decide(self, operation: Operation, snapshot: Snapshot) -> Ownership:
        endpoint = operation.endpoint
        query = endpoint.read is Read.QUERY or endpoint.explains
        return ownership(operation, snapshot, self._facts.of_operation(operation) if query else None)

    async def _own(self, operation: Operation, decided: Ownership, snapshot: Snapshot) -> Response | None:
        """Return PostgreSQL's answer; None if its fence refuses: then nothing was done."""
        only_reads = decided.only_reads
        try:
            if decided.whole:
                outcome = await (await self._store.whole()).execute(operation)
            else:
                store = await self._store.at(snapshot.generation)
                fence = Fence(snapshot.generation, decided.collections, only_reads=only_reads)
                outcome = await store.execute(msgspec.structs.replace(operation, fence=fence))
        except FenceRefused:
            return None
        except DatabaseError as error:
            raise ArangoError(503, "PostgreSQL does not answer", status=503) from error
        if outcome.status == 501:
            metrics.UNSUPPORTED.labels(operation.endpoint.name).inc()
        return encode(outcome)

    async def _fenced(
        self, request: Request, operation: Operation, decided: Ownership, snapshot: Snapshot
    ) -> Response | None:
        """Return PostgreSQL's answer under the fence of a flip; None if that does not hold now."""
        names = decided.collections
        if operation.effect is Effect.QUERY:
            extent = frozenset(name.partition("/")[2] for name in names)
            operation = msgspec.structs.replace(operation, extent=extent)
        found = await self._serving.answer(operation, names, snapshot.generation, request.header(b"authorization"))
        if isinstance(found, Outcome):
            return encode(found)
        if found in _CANNOT and all(snapshot.policy(name).writer is not Writer.NONE for name in names):
            raise self._refused(operation, decided, snapshot)
        return None

    def _refused(self, operation: Operation, decided: Ownership, snapshot: Snapshot) -> Unsupported:
        """Return the refusal of a request that concerns collections of both databases, and count it."""
        metrics.UNSUPPORTED.labels(operation.endpoint.name).inc()
        kind = Uncovered.READ if decided.only_reads else Uncovered.WRITE
        for name in decided.collections:
            if snapshot.policy(name).writer is Writer.TARGET:
                self._gaps.add(operation.database, name, operation.endpoint.name, kind, _MIXED)
        return Unsupported(decided.reason or f"{operation.endpoint.name} of {_MIXED}: promote them together")

    async def _packed(self, operation: Operation, response: Response) -> Response:
        if operation.headers and velocypack_answers.wanted(operation):
            return await velocypack_answers.packed(response, self._lane)
        return response


def _put_back(request: Request, read: Operation) -> None:
    """Give a request the body that was read from it, without encoding."""
    size = len(read.body) if read.large is None else read.large.size
    others = [pair for pair in without(request.headers) if pair[0].lower() != b"content-length"]
    request.headers = [*others, (b"content-length", b"%d" % size)]
    request.body = read.body if read.large is None else _pieces(read.large)


async def _pieces(body: LargeBody) -> AsyncIterator[bytes]:
    for start in range(0, body.size, _PIECE):
        yield body.read(start, min(start + _PIECE, body.size))
