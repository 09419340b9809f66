"""The owner of the reverse mirror in one process: takes the lease, carries rounds, waits while ArangoDB is away.

Every proxy has one. One of them is the applier; the others try to take its lease, which they can when it has not been
renewed for some seconds. Nothing is in memory but one batch: what ArangoDB lacks is in the outbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

import structlog

from proxy.base import metrics
from proxy.base.backoff import Backoff
from proxy.base.database import Database
from proxy.base.errors import ArangoError, CrossfadeError, DatabaseError, UpstreamError, error_label
from proxy.base.log_throttle import LogThrottle
from proxy.base.supervise import cancelled, supervise
from proxy.reverse.announcements import Announcements
from proxy.reverse.origin import OriginRequests
from proxy.reverse.outbox import Outbox
from proxy.reverse.rounds import RoundResult, Rounds

log = structlog.get_logger(__name__)

LEASE_SECONDS: Final = 3.0
_IDLE: Final = 0.03  # seconds until the next look when everything is carried
_UNNEEDED: Final = 1.0  # seconds between two looks whether there is anything to do
_ABORT_SECONDS: Final = 5.0


class ReverseMirror:
    """The task. holder: names this process. needed: whether PostgreSQL takes the writes of any collection.

    late_request: seconds after which a request that was sent to ArangoDB can no longer run.
    """

    def __init__(
        self,
        database: Database,
        origin: OriginRequests,
        *,
        holder: str,
        needed: Callable[[], bool],
        late_request: float,
        lease: float = LEASE_SECONDS,
        part: int = 0,
    ) -> None:
        self._outbox = Outbox(database, part=part, holder=holder, lease=lease)
        self._origin = origin
        self._needed = needed
        self._lease = lease
        self._announcements = Announcements(database, late_request)
        self._task: asyncio.Task[None] | None = None
        self._token: int | None = None
        self._throttle = LogThrottle()
        self._wake = asyncio.Event()
        self.waits_for = ""

    @property
    def is_applier(self) -> bool:
        """Whether this process has the lease, as far as it knows."""
        return self._token is not None

    def figures(self) -> dict[str, object]:
        """Return what `/status` shows of this process."""
        return {"applier": self.is_applier, "waits_for": self.waits_for}

    def start(self) -> None:
        self._task = asyncio.create_task(supervise(self._run, "reverse mirror"), name="reverse mirror")

    async def close(self) -> None:
        """End the task; another process can take the lease at once."""
        if self._task is not None:
            await cancelled(self._task)
            self._task = None
        token, self._token = self._token, None
        if token is not None:
            with contextlib.suppress(DatabaseError):
                await self._outbox.give_up(token)

    def wake(self) -> None:
        """Look at the outbox now: something was written."""
        self._wake.set()

    async def _run(self) -> None:
        backoff = Backoff()
        while True:
            try:
                if not self._needed() and not await self._has_rows():
                    await self._pause(_UNNEEDED)
                    continue
                await self._carry(backoff)
            except (DatabaseError, UpstreamError, ArangoError) as error:
                self.waits_for = error_label(error)
                if isinstance(error, DatabaseError):
                    self._token = None
                if self._throttle.should_log(self.waits_for):
                    log.warning("reverse_mirror_waits", error=self.waits_for)
                await backoff.wait()

    async def _has_rows(self) -> bool:
        return await self._outbox.has_rows()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    async def _carry(self, backoff: Backoff) -> None:
        """Be the applier while there is need, and the lease is this process's."""
        if self._token is None:
            self._token = await self._outbox.take()
            if self._token is None:
                await asyncio.sleep(self._lease / 4)
                return
            metrics.REVERSE_LEASES.inc()
            log.info("reverse_lease_taken", token=self._token)
            await self._abort_left_open()
        rounds = Rounds(self._outbox, self._origin, self._announcements, self._token)
        checked = time.monotonic()
        while True:
            progress = await rounds.carry()
            self.waits_for = rounds.waits_for
            if progress is RoundResult.LEASE_LOST:
                self._token = await self._outbox.surpass(self._token, rounds.newer) if rounds.newer else None
                return
            if progress is RoundResult.WAITS:
                await backoff.wait()
            else:
                backoff.reset()
                if self._throttle.ended():
                    log.info("reverse_mirror_continues")
            if progress in (RoundResult.IDLE, RoundResult.CAUGHT_UP):
                await self._pause(_IDLE)  # so that the next push has the writes of some time
            if time.monotonic() - rounds.renewed > self._lease / 3:
                if not await self._outbox.renew(self._token):
                    self._token = None
                    return
                rounds.renewed = time.monotonic()
            if progress is RoundResult.IDLE and time.monotonic() - checked > _UNNEEDED:
                checked = time.monotonic()
                if not self._needed():
                    await self._outbox.give_up(self._token)
                    self._token = None
                    return

    async def _abort_left_open(self) -> None:
        """Abort the stream transaction of a former applier: it would lock the fence document for a minute."""
        left = await self._outbox.left_open()
        if left is not None:
            database, _, transaction = left.rpartition("/")
            with contextlib.suppress(CrossfadeError, TimeoutError):
                async with asyncio.timeout(_ABORT_SECONDS):
                    await self._origin.abort(database, transaction)
