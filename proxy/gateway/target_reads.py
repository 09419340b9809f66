"""Reads that PostgreSQL serves: allowed, fenced, bounded in time, and counted if the origin must answer instead.

If anything prevents the target's answer, the origin answers: it has every write. If PostgreSQL may be out of reach, the
origin's answer is held until a read of the control row that began later succeeds, or this instance's lease has expired
(mirror-protocol, "Flip", 7): a proxy that is cut off must not show what others cannot see yet.

**An overload of PostgreSQL is not an outage.** A read waits for a connection, in order, for as long as a read may take.
Beyond that its client gets the 503 that an ArangoDB with a full queue gives, and ArangoDB is not asked: one overload
must not become the work of two databases, nor end a flip. For the same reason a read that ArangoDB answered, and that
waits for PostgreSQL to be brought up to date, ends in 503 before the flip would be given up for it, if PostgreSQL
answers other reads of that collection meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import time
from collections.abc import AsyncIterator
from typing import Final

import structlog

from proxy.base import metrics
from proxy.base.config import Settings
from proxy.base.errors import ArangoError, DatabaseBusy, DatabaseError, DatabaseTimedOut, OverLimit, Unsupported
from proxy.base.waits import timed_wait
from proxy.control.read_stats import Readings
from proxy.gateway.authorization import Credentials
from proxy.model.lease_view import LeaseView
from proxy.model.operations import Operation, Outcome
from proxy.stores.postgres import PostgresStore

log = structlog.get_logger(__name__)

_LEAST_LIMIT: Final = 5.0  # seconds that a statement of the target may take at least
QUEUE: Final = 5.0  # seconds that a read waits for a connection
_SHARE: Final = 2.5  # leases, of the three after which a flip is given up for an answer that waits
_POLL: Final = 0.01
_CHECK: Final = 0.05  # seconds between two checks whether the target may still answer reads under way


def statement_limit(settings: Settings) -> float:
    """Return the seconds that one statement of a read may take."""
    return max(_LEAST_LIMIT, 3 * settings.lease)


def worker_limit(settings: Settings) -> float:
    """Return the seconds that a worker has for one read; another read may have waited as long for its turn."""
    return 0.8 * statement_limit(settings)


def _overloaded() -> ArangoError:
    return ArangoError(503, "service unavailable: PostgreSQL is overloaded", status=503)


class FallbackReason(enum.StrEnum):
    """The reason for which the origin answers a read that was routed to the target."""

    LEASE = "lease"  # this instance may not read there now
    FENCE = "fence"  # the statement's own check of generation and leases refused it
    PERMISSION = "permission"  # only ArangoDB can decide whether these credentials may
    UNSUPPORTED = "unsupported"  # the target cannot run it
    REFUSED = "refused"  # an error: the origin gives its own, or an answer
    SLOW = "slow"  # not within the time that the target has
    UNAVAILABLE = "unavailable"  # no connection, or it broke
    LIMIT = "limit"  # a worker did not finish it within the limits for one query
    BUSY = "busy"  # every connection is in use: the client gets 503

    @property
    def trouble(self) -> bool:
        """True if PostgreSQL may be out of reach of this instance."""
        return self in (FallbackReason.SLOW, FallbackReason.UNAVAILABLE, FallbackReason.LIMIT)


class TargetReads:
    """The target as the store that answers clients. readings: what automatic rollback checks. Start and close it.

    A read that hangs on a dead connection to PostgreSQL ends as soon as this instance's lease has expired, and not only
    at its time limit: an outage costs one pause of about a lease.
    """

    def __init__(
        self,
        settings: Settings,
        target: PostgresStore,
        lease: LeaseView,
        credentials: Credentials,
        readings: Readings,
    ) -> None:
        self._time_limit = QUEUE + statement_limit(settings)
        self._lease_seconds = settings.lease
        self._answered: dict[str, float] = {}  # when the target last answered for a collection
        self._target = target
        self._lease = lease
        self._credentials = credentials
        self._readings = readings
        self._open: set[asyncio.Timeout] = set()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._look(), name="reads of the target")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_CHECK)
            if self._open and self._lease.own_lease_expired:
                for limit in self._open:
                    if not limit.expired():  # else its time ended just now, and its task has not run since
                        limit.reschedule(loop.time())
                self._open.clear()

    async def answer(
        self, operation: Operation, collections: tuple[str, ...], generation: int, authorization: bytes | None
    ) -> Outcome | FallbackReason:
        """Return the target's answer under the fence of that generation, or why the origin must answer.

        Raise ArangoError (503) if PostgreSQL is overloaded.
        """
        found = await self._answer(operation, collections, generation, authorization)
        if not isinstance(found, FallbackReason):
            self._answered.update(dict.fromkeys(collections, time.monotonic()))
            return found
        metrics.READ_FALLBACKS.labels(found.value).inc()
        if found is FallbackReason.BUSY:
            raise _overloaded()
        return found

    @contextlib.asynccontextmanager
    async def overload(self, collection: str) -> AsyncIterator[None]:
        """Bound what a read waits for after the origin's answer.

        Raise ArangoError (503) if PostgreSQL is overloaded: slow here, while it answers other reads.
        """
        began, loop = time.monotonic(), asyncio.get_running_loop()
        async with contextlib.AsyncExitStack() as stack:

            def look() -> None:
                if self._answered.get(collection, 0.0) > began and not limit.expired():
                    limit.reschedule(loop.time())

            try:
                async with asyncio.timeout(None) as limit:
                    timer = loop.call_later(_SHARE * self._lease_seconds, look)
                    stack.callback(timer.cancel)
                    yield
            except TimeoutError as error:
                metrics.READ_FALLBACKS.labels(FallbackReason.BUSY.value).inc()
                raise _overloaded() from error

    async def _answer(
        self, operation: Operation, collections: tuple[str, ...], generation: int, authorization: bytes | None
    ) -> Outcome | FallbackReason:
        if not self._lease.may_read_target:
            return FallbackReason.LEASE
        for collection in collections:
            if not await self._credentials.may_read(authorization, collection):
                return FallbackReason.PERMISSION
        reading = self._readings.begin(collections)
        failed, counts = False, True
        try:
            async with asyncio.timeout(self._time_limit) as limit:
                self._open.add(limit)
                try:
                    outcome = await self._target.fenced(operation, generation)
                finally:
                    self._open.discard(limit)
            counts = outcome is not None
            return outcome if outcome is not None else FallbackReason.FENCE
        except OverLimit as error:  # one client's query, not a failure of PostgreSQL: no flip is rolled back for it
            log.info("read_fallback", error=error.feature, endpoint=operation.endpoint.name)
            counts = False
            return FallbackReason.LIMIT
        except Unsupported:
            counts = False
            return FallbackReason.UNSUPPORTED
        except ArangoError as error:
            # an error that the target makes is never an answer
            log.info("read_fallback", error=type(error).__name__, endpoint=operation.endpoint.name)
            return FallbackReason.REFUSED
        except DatabaseBusy:
            log.warning(
                "read_refused", error="every connection to PostgreSQL is in use", endpoint=operation.endpoint.name
            )
            return FallbackReason.BUSY
        except (DatabaseError, TimeoutError) as error:
            log.info("read_fallback", error=type(error).__name__, endpoint=operation.endpoint.name)
            failed = True
            slow = isinstance(error, TimeoutError | DatabaseTimedOut) or error.sqlstate == "57014"
            return FallbackReason.SLOW if slow else FallbackReason.UNAVAILABLE
        finally:
            self._readings.end(reading, failed=failed, counts=counts)

    async def may_continue(self, authorization: bytes | None, database: str) -> bool:
        """Return True if ArangoDB lets these credentials into the database; the store checks whose cursor it is."""
        return await self._credentials.may_enter(authorization, database)

    def rights_changed(self) -> None:
        """Forget what was allowed: users or rights have changed through this proxy, or may have."""
        self._credentials.forget()

    @timed_wait("cut off")
    async def reached_again(self) -> None:
        """Hold the origin's answer after the target was out of reach; ends after a lease at most.

        The clock is the lease's own, `time.monotonic`.
        """
        since = time.monotonic()
        self._lease.heartbeat_now()
        while self._lease.last_heartbeat < since:
            if self._lease.own_lease_expired:
                self._lease.record_origin_only_ack()  # no await since: mirror-protocol, "Flip", 7
                return
            await asyncio.sleep(_POLL)
