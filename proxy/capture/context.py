"""The context of every kind of write: the origin, the mirror, the lease, and waiting for both databases."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import quote

import structlog

from proxy.base.config import Settings
from proxy.base.errors import ArangoError, DatabaseError, FenceRefused, IsolationError, UpstreamError
from proxy.base.waits import timed_wait
from proxy.capture.attempt import Attempt, Undo
from proxy.capture.bodies import collect
from proxy.capture.refusals import error
from proxy.capture.transaction_plan import Buffer
from proxy.isolation import Lane
from proxy.journal.intent import Ending, Intent
from proxy.model.in_flight import InFlight, overlap
from proxy.model.lease_view import LeaseView
from proxy.model.message import Request
from proxy.model.operations import Change, Operation
from proxy.rehearsal.rehearser import Rehearser
from proxy.replication.coverage_gaps import Gaps, Uncovered
from proxy.replication.mirror import Mirror
from proxy.stores.arango import Requester
from proxy.wire.auth import expiry_of, owner_of

log = structlog.get_logger(__name__)


Result = TypeVar("Result")
T = TypeVar("T")
Odd = TypeVar("Odd")
_INLINE_LIMIT: Final = 256 << 10  # bytes of a write that is parsed in this process: milliseconds
_SECONDS = 20.0  # that a worker has to parse a larger one
_NO_UNDO: Final = Undo()
_AGAIN = 0.05  # seconds


def error_number(body: object) -> int:
    """Return ArangoDB's `errorNum` of an answer; 0 if there is none."""
    return error(body)[0]


@dataclass(frozen=True, slots=True)
class WriteContext:
    """Shared by all kinds of writes. rollback: rolls flipped collections back immediately, with a reason.

    lane: workers that parse what is large; None: it is parsed here. rehearser: None: no write is rehearsed.
    """

    settings: Settings
    origin: Requester
    mirror: Mirror
    lease: LeaseView
    gaps: Gaps
    flight: InFlight
    rollback: Callable[[Sequence[str], str], Awaitable[None]]
    lane: Lane | None = None
    rehearser: Rehearser | None = None

    async def read(
        self, function: Callable[..., T], *arguments: Any, size: int, odd: Odd, inline_limit: int = _INLINE_LIMIT
    ) -> T | Odd:
        """Return a pure function of `size` bytes, by a worker if they are many; `odd` if none could in time."""
        if self.lane is None:
            return function(*arguments)
        try:
            return await self.lane.run_if_large(
                function, *arguments, size=size, seconds=_SECONDS, inline_limit=inline_limit
            )
        except IsolationError:
            return odd

    @property
    def generation(self) -> int:
        """The version of the stages that this instance runs at."""
        return self.lease.generation

    def gap(self, operation: Operation, uncovered: Uncovered, reason: str) -> None:
        """Count what is not captured or not compared (I10)."""
        name = operation.qualified or f"{operation.database}/*"
        self.gaps.add(operation.database, name, operation.endpoint.name, uncovered, reason)

    def refuse_held(self, collections: Sequence[str]) -> None:
        """Return if ArangoDB may be asked about the collections now: call it before anything is sent.

        Raise FenceRefused if who takes their writes has changed, or is changing, since the request was routed.
        `db/*`: if it is changing for one of the database.
        """
        snapshot = self.lease.snapshot
        if not snapshot.has_other_writers:
            return
        for name in collections:
            moving = [each for each in snapshot.transitions if overlap(each, name)] if name.endswith("/*") else [name]
            if not all(snapshot.policy(each).asks_origin for each in moving):
                raise FenceRefused("the writer of a collection is changing")

    def flipped(self, collection: str) -> bool:
        """Return True if an answer about the collection waits for PostgreSQL; `db/*`: about any of the database."""
        snapshot = self.lease.snapshot
        if collection.endswith("/*"):
            prefix = collection[:-1]
            names = (*snapshot.collections, *snapshot.transitions)
            return any(snapshot.policy(name).synchronous for name in names if name.startswith(prefix))
        return snapshot.policy(collection).synchronous

    async def roll_back(self, collections: Sequence[str], reason: str) -> None:
        """Roll back those of the collections that are flipped: PostgreSQL does not have what was written.

        For a write that ArangoDB carried out, or may have, between its answer and that to the client: until then the
        write and every read run at the same time, so that either value is right; from the rollback's commit on no
        instance reads PostgreSQL, by the fence in each read's own statement. A request that was refused does not come
        here (`capture.refusals`).
        """
        flipped = [name for name in collections if self.flipped(name)]
        if flipped:
            await self.wait_for_replica(self._roll_back(flipped, reason))

    async def _roll_back(self, collections: Sequence[str], reason: str) -> None:
        await self.rollback(collections, reason)
        while any(self.flipped(name) for name in collections):
            await asyncio.sleep(0.005)

    def write(
        self,
        *,
        undo: Undo = _NO_UNDO,
        buffer: Buffer | None = None,
        apart: bool = False,
        counted: bool = True,
        continues: bool = False,
    ) -> Attempt:
        """Return the scope of a write; see `capture.attempt` for all parameters."""
        return Attempt(self, undo, buffer, apart=apart, counted=counted, continues=continues)

    async def applied(self, intents: Sequence[Intent]) -> None:
        """For flipped collections, wait until PostgreSQL has what these intents stand for, or is not read (I7)."""
        for intent in intents:
            if self.flipped(intent.collection):  # looked up when answering, not before
                how = await self.wait_for_replica(self.mirror.applied(intent), intent.collection)
                if how is Ending.GIVEN_UP:
                    await self.roll_back((intent.collection,), "a write was given up")

    async def applied_soon(self, intents: Sequence[Intent], reason: str) -> None:
        """Wait as `applied`, for a search or a comparison of unknown length: it has as long as a lease.

        What takes longer rolls the flip of its collection back, for that reason; the client has no answer meanwhile.
        """
        until = time.monotonic() + self.settings.lease
        for intent in intents:
            if self.flipped(intent.collection):
                how = await self.wait_for_replica(self._by(intent, until), intent.collection)
                if how is Ending.GIVEN_UP:
                    await self.roll_back((intent.collection,), reason)

    async def _by(self, intent: Intent, until: float) -> Ending:
        try:
            async with asyncio.timeout(until - time.monotonic()):
                return await self.mirror.applied(intent)
        except TimeoutError:
            return Ending.GIVEN_UP

    async def ensure_replica_has(
        self, collection: str, changes: Sequence[Change] = (), absent: Sequence[str] = (), *, stamp: int | None = None
    ) -> None:
        """Wait until PostgreSQL has at least these versions, and what ArangoDB has of `absent`."""

        async def persistently() -> Ending:
            while True:
                try:
                    return await self.mirror.ensure_target_has(collection, changes, absent, stamp=stamp)
                except (DatabaseError, UpstreamError):  # trouble that passes costs no flip
                    await asyncio.sleep(_AGAIN)

        if await self.wait_for_replica(persistently(), collection) is Ending.GIVEN_UP:
            await self.roll_back((collection,), "a document was given up")

    @timed_wait("both")
    async def wait_for_replica(self, waiting: Awaitable[Result], collection: str | None = None) -> Result | None:
        """Wait for PostgreSQL, or until no read goes to it because of this instance: then the origin answers alone.

        mirror-protocol, "Flip", 7. What lasts for three leases, or fails, while heartbeats still arrive (a lock, a
        right that is missing, a full disk) is given up: the instance declares itself diverged, and drains and rolls
        back before it rejoins. So an answer waits once, and never for ever. `collection`: the wait is over once its
        flip is rolled back, since the mode is looked up when answering. Return what it waited for, or None.
        """
        task = asyncio.ensure_future(waiting)
        limit = time.monotonic() + 3 * self.settings.lease
        try:
            while not task.done() or task.exception() is not None:
                await asyncio.wait({task}, timeout=0.05) if not task.done() else await asyncio.sleep(0.02)
                if task.done() and task.exception() is None:
                    return task.result()
                if self.lease.own_lease_expired:
                    self.lease.record_origin_only_ack()
                    return None
                if collection is not None and not self.flipped(collection):
                    return None
                if task.done() or time.monotonic() > limit:
                    self._give_up(task)
            return task.result()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, DatabaseError, UpstreamError, ArangoError):
                await task

    def _give_up(self, task: asyncio.Future[Result]) -> None:
        failed = task.exception() if task.done() else None
        if failed is not None and not isinstance(failed, DatabaseError | UpstreamError | ArangoError):
            raise failed
        self.lease.give_up(type(failed).__name__ if failed is not None else "it took three leases")

    async def owned(self, request: Request, owner: bytes | None, database: str) -> bool:
        """Return True if a request comes from the user who opened something with the `Authorization` header `owner`.

        The same header proves it as long as its token is valid; another header of the same user if ArangoDB admits it.
        Raise UpstreamError.
        """
        given = request.header(b"authorization")
        if given == owner:
            ends = expiry_of(given)
            if ends is None or ends > time.time():
                return True
        return same_user(given, owner) and await self.admitted(request, database)

    async def admitted(self, request: Request, database: str) -> bool:
        """Return True if ArangoDB admits these credentials to the database."""
        target = f"/_db/{quote(database, safe='')}/_api/database/current".encode()
        response = await self.origin.request(Request("GET", target, request.credentials()), idempotent=True)
        await collect(response.body)
        return response.status not in (401, 403, 404)  # an overloaded server does not judge them


def same_user(one: bytes | None, other: bytes | None) -> bool:
    """Return True if two `Authorization` headers name one user; whether they are valid is for ArangoDB to decide."""
    first, second = (owner_of(header.decode("latin-1") if header is not None else None) for header in (one, other))
    return first == second
