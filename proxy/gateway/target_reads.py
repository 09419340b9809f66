"""Reads that PostgreSQL serves: allowed, fenced, bounded in time, and counted where the origin must answer instead.

Whatever stands in the way of an answer of the target's is no answer: the origin has every write. Where that was trouble
with PostgreSQL, what the origin says is held back until a look at the control plane succeeds that began later, or the
own lease has run out (mirror-protocol, "Flip", 7): a proxy that is cut off must not show what others cannot see yet.

**An overload of PostgreSQL is no outage of it.** A read waits for a connection, in order, for as long as a read may
take. Beyond, its client gets the 503 that an ArangoDB with a full queue gives, and ArangoDB is not asked: one overload
must not become the work of two databases, nor end a flip. So a read that ArangoDB did answer and that waits for
PostgreSQL to be brought up to date ends in 503 as well, before the flip would be given up for it, where PostgreSQL
answers other reads of that collection meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import time
from collections.abc import AsyncIterator
from typing import Final, Protocol

import structlog

from proxy.base import metrics
from proxy.base.config import Settings
from proxy.base.errors import ArangoError, DatabaseBusy, DatabaseError, DatabaseTimedOut, OverLimit, Unsupported
from proxy.base.waits import counted
from proxy.control.read_stats import Readings
from proxy.gateway.authorization import Credentials
from proxy.model.operations import Operation, Outcome
from proxy.stores.postgres import PostgresStore

log = structlog.get_logger(__name__)

_PATIENCE: Final = 5.0  # seconds that the target may take before the origin is asked
QUEUE: Final = 5.0  # seconds that a read waits for a connection before
_SHARE: Final = 2.5  # leases, of the three after which a flip is given up for an answer that waits
_POLL: Final = 0.01
_LOOK: Final = 0.05  # seconds between looks whether reads under way still can be answered by the target


def statement_limit(settings: Settings) -> float:
    """Seconds that one statement of a read may take."""
    return max(_PATIENCE, 3 * settings.lease)


def worker_limit(settings: Settings) -> float:
    """Seconds that a worker has for one read, of which another may have waited as long for its turn."""
    return 0.8 * statement_limit(settings)


def _overloaded() -> ArangoError:
    return ArangoError(503, "service unavailable: PostgreSQL is overloaded", status=503)


class FallbackReason(enum.StrEnum):
    """Why the origin answers a read that the target was to answer."""

    LEASE = "lease"  # this instance may not read there now
    FENCE = "fence"  # the statement's own test of generation and leases said no
    PERMISSION = "permission"  # ArangoDB says whether these credentials may
    UNSUPPORTED = "unsupported"  # the target cannot run it
    REFUSED = "refused"  # an error of the target's own making, or one that the origin says better
    SLOW = "slow"  # not within the time that the target has
    UNAVAILABLE = "unavailable"  # no connection, or it broke
    LIMIT = "limit"  # a worker was not done with it within the limits for one query
    BUSY = "busy"  # every connection is in use: nobody answers

    @property
    def trouble(self) -> bool:
        """Whether PostgreSQL may be out of reach of this instance."""
        return self in (FallbackReason.SLOW, FallbackReason.UNAVAILABLE, FallbackReason.LIMIT)


class LeaseLook(Protocol):
    """What a read needs of the lease."""

    @property
    def may_read_target(self) -> bool: ...
    @property
    def own_lease_over(self) -> bool: ...
    @property
    def looked_at(self) -> float: ...
    def look_now(self) -> None: ...
    def record_origin_only_ack(self) -> None: ...


class TargetReads:
    """The target as the store that answers clients. `readings` is what the guard looks at. Start and close it.

    A read that hangs on a line to PostgreSQL that is dead is let go as soon as the own lease has run out, and not only
    when its time is up: an outage costs one pause of about a lease.
    """

    def __init__(
        self,
        settings: Settings,
        target: PostgresStore,
        lease: LeaseLook,
        credentials: Credentials,
        readings: Readings,
    ) -> None:
        self._patience = QUEUE + statement_limit(settings)
        self._lease_seconds = settings.lease
        self._answered: dict[str, float] = {}  # when the target last answered of a collection
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
            await asyncio.sleep(_LOOK)
            if self._open and self._lease.own_lease_over:
                for limit in self._open:
                    if not limit.expired():  # its time was up just now, and its task has not run since
                        limit.reschedule(loop.time())
                self._open.clear()

    async def answer(
        self, operation: Operation, collections: tuple[str, ...], generation: int, authorization: bytes | None
    ) -> Outcome | FallbackReason:
        """The target's answer under the fence of that generation, or why the origin must answer.

        Raises ArangoError (503) where PostgreSQL is overloaded.
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
        """For what a read waits for behind the origin's answer.

        Raises ArangoError (503) where PostgreSQL is overloaded: slow here, while it answers others.
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
            async with asyncio.timeout(self._patience) as limit:
                self._open.add(limit)
                try:
                    outcome = await self._target.fenced(operation, generation)
                finally:
                    self._open.discard(limit)
            counts = outcome is not None
            return outcome if outcome is not None else FallbackReason.FENCE
        except OverLimit as error:  # one client's query, and no failure of PostgreSQL's: it takes no flip back
            log.info("a read goes to the origin", error=error.feature, endpoint=operation.endpoint.name)
            counts = False
            return FallbackReason.LIMIT
        except Unsupported:
            counts = False
            return FallbackReason.UNSUPPORTED
        except ArangoError as error:
            # an error of the target's own making is never an answer
            log.info("a read goes to the origin", error=type(error).__name__, endpoint=operation.endpoint.name)
            return FallbackReason.REFUSED
        except DatabaseBusy:
            log.warning("a read is refused: every connection to PostgreSQL is in use", endpoint=operation.endpoint.name)
            return FallbackReason.BUSY
        except (DatabaseError, TimeoutError) as error:
            log.info("a read goes to the origin", error=type(error).__name__, endpoint=operation.endpoint.name)
            failed = True
            slow = isinstance(error, TimeoutError | DatabaseTimedOut) or error.sqlstate == "57014"
            return FallbackReason.SLOW if slow else FallbackReason.UNAVAILABLE
        finally:
            self._readings.end(reading, failed=failed, counts=counts)

    async def may_go_on(self, authorization: bytes | None, database: str) -> bool:
        """Whether a cursor of this database may be read on: ArangoDB says who may enter, the store whose it is."""
        return await self._credentials.may_enter(authorization, database)

    def rights_changed(self) -> None:
        """Users, or what they may do, have changed through this proxy, or may have."""
        self._credentials.forget()

    @counted("cut off")
    async def reached_again(self) -> None:
        """Holds what the origin said after trouble with the target; ends after a lease at most.

        The clock is the lease's own, `time.monotonic`.
        """
        since = time.monotonic()
        self._lease.look_now()
        while self._lease.looked_at < since:
            if self._lease.own_lease_over:
                self._lease.record_origin_only_ack()  # no await since: mirror-protocol, "Flip", 7
                return
            await asyncio.sleep(_POLL)
