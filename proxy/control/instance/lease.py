"""The instance's side of the flip: heartbeat, snapshot, acknowledgements, read lease, rejoin (mirror-protocol, "Flip").

The end of a lease is absolute and in PostgreSQL's time. If an answer with PostgreSQL's clock P came at local time r,
then a heartbeat sent at local time s asks for P + (s - r) + L. So PostgreSQL never holds the lease longer than until s
+ L on the local clock, however late the statement arrives, and this instance may read until s + L too. At most one
heartbeat that extends the lease is unanswered: after a failure the next ones only read.

When an instance may hold a lease again after trouble: `rejoin`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from proxy.base import failpoints, metrics
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import DatabaseError, DatabaseUnavailable, PreconditionFailed, error_label
from proxy.base.log_throttle import LogThrottle
from proxy.base.machine import boot_id, directory_id
from proxy.base.supervise import supervise
from proxy.control.instance.ack_conditions import AckConditions, ready
from proxy.control.instance.local_state import HeartbeatCount, StateFiles
from proxy.control.instance.registry import OLDER, Heartbeat, InstanceRegistry
from proxy.control.instance.rejoin import Rejoin
from proxy.control.instance.target_clock import TargetClock
from proxy.control.overdue import Overdue
from proxy.model.stages import Phase, Snapshot, Stage

log = structlog.get_logger(__name__)

_UNKNOWN: Final = -1  # a generation that the control row never has
# every write is captured, no read is served from PostgreSQL
_NOTHING_KNOWN: Final = Snapshot(generation=_UNKNOWN, defaults={"*": Stage.MIRROR})
_PRESENT: Final = HeartbeatCount(
    2**62, rebooted=False
)  # of a process that was registered: it knows of all its heartbeats
_SYNC: Final = 5.0  # seconds between two moments at which the disk has the count of heartbeats
_ACK_POLL: Final = 0.01  # seconds between two checks of the conditions while an epoch waits for this instance


class Lease:
    """The control plane as one instance sees it. Start it before the listener; close it after the last answer."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        instance: str,
        conditions: AckConditions,
        *,
        host: str | None = None,
        admin_url: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._settings = settings
        self._instance = instance
        self._conditions = conditions
        self._clock = clock
        self._files = StateFiles(settings.state_dir, boot_id())
        self._registry = InstanceRegistry(
            database,
            instance,
            lease=settings.lease,
            host=host,
            admin_url=admin_url,
            place=directory_id(settings.state_dir),
        )
        self._snapshot = Snapshot(generation=_UNKNOWN)
        self._promotes = False  # the open epoch is a promotion, which needs the file with the snapshot
        self._era = 0
        self._acknowledged = 0
        self._registered = False
        self._fresh = False  # the instance was not registered before this process registered it
        self._joined = False  # this process was registered once
        self._answered: tuple[datetime, float] | None = None  # PostgreSQL's clock, local time of that answer
        self._target_clock = TargetClock(settings.lease)
        self._current = False  # the last beat was answered
        self._last_heartbeat = 0.0  # local: when the last beat began that was answered
        self._lease_end = 0.0  # local: by then PostgreSQL holds no lease of this instance
        self._read_until = 0.0  # local: reads from PostgreSQL are allowed before
        self._diverged_in_row = False  # PostgreSQL has it: no instance reads from the target because of us
        self._overdue = Overdue(database, settings, f"instance {instance}", clock)
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._rejoin = Rejoin(database, instance, conditions, self._files, timeout=settings.connect_timeout)
        self._bounded = self._rejoin.bounded
        self._trouble = LogThrottle()

    # ---- queries of the rest of the proxy

    @property
    def instance(self) -> str:
        return self._instance

    @property
    def snapshot(self) -> Snapshot:
        """The stages that this instance runs at. They may change at each await: look them up when answering."""
        return self._snapshot

    @property
    def generation(self) -> int:
        return self._snapshot.generation

    @property
    def era(self) -> int:
        """The era of the last heartbeat: the stamp of a write that is forwarded now."""
        return self._era

    @property
    def connected(self) -> bool:
        """True if the last heartbeat was answered."""
        return self._current

    @property
    def last_heartbeat(self) -> float:
        """The time at which the last answered heartbeat began, on this instance's clock; 0 before the first."""
        return self._last_heartbeat

    @property
    def diverged(self) -> bool:
        """True if PostgreSQL may lack what this instance acknowledged, or if an operator forbade to read it."""
        return self._rejoin.diverged

    @property
    def may_read_target(self) -> bool:
        """True if a heartbeat that began less than L ago showed all leases held and no instance diverged.

        The fence in each statement decides.
        """
        return self._clock() < self._read_until and not self.diverged and not self._rejoin.draining

    @property
    def own_lease_expired(self) -> bool:
        """True if no instance reads from PostgreSQL because of this one, until it has rolled back.

        Its lease has run out in PostgreSQL's time, or its row there is diverged. Only then may it answer for flipped
        collections from ArangoDB alone; call `record_origin_only_ack` before such an answer leaves. While it drains the
        journal of an earlier process, and PostgreSQL answers, it waits although it holds no lease.
        """
        drains = self._rejoin.draining and not self._rejoin.unsafe
        drains = drains and self._clock() < self._last_heartbeat + 3 * self._settings.lease
        return self._diverged_in_row or (self._clock() >= self._lease_end and not drains)

    def record_origin_only_ack(self) -> None:
        """Note that an answer leaves from ArangoDB alone: before it does, with no await since `own_lease_expired`."""
        if self._rejoin.record_origin_only_ack():
            self._read_until = 0.0
            log.warning("origin_only", instance=self._instance)

    def give_up(self, reason: str) -> None:
        """Become diverged until the backlog is drained: a flipped write cannot be applied although PostgreSQL answers.

        No instance reads from PostgreSQL once the row is diverged (`own_lease_expired`); then flipped collections are
        rolled back.
        """
        if not self._rejoin.unsafe:
            self._rejoin.unsafe = True
            self._read_until = 0.0
            log.warning("replica_diverged", instance=self._instance, reason=reason)
            self._wake.set()

    def heartbeat_now(self) -> None:
        """Send a heartbeat immediately, not at the next interval."""
        self._wake.set()

    # ---- life

    async def start(self) -> None:
        """Register, read the stages, and start sending heartbeats.

        Without PostgreSQL, run at the snapshot of the last process if that is still registered, else without known
        stages if the settings allow it and nothing was promoted when this directory was last used. Raise
        DatabaseUnavailable otherwise, SchemaOutdated, or PreconditionFailed if another process has this id.
        """
        self._rejoin.start()
        self._lease_end = self._clock() + self._settings.lease  # of the last life, at the latest
        try:
            await self._join()
            await self._beat(extend=False)
            if not self._rejoin.unsafe:
                await self._tick()
        except DatabaseUnavailable:
            if self.generation == _UNKNOWN:
                last = self._files.kept()
                if last is not None:
                    log.warning("started_from_snapshot", generation=last.generation)
                    self._adopt(last)
                elif self._files.promoted or self._settings.start_without_postgresql == "refuse":
                    raise
                else:
                    log.warning("started_without_snapshot")
                    self._snapshot = _NOTHING_KNOWN
                    self.record_origin_only_ack()
        self._tasks = [
            asyncio.create_task(supervise(self._run, "lease"), name="lease"),
            asyncio.create_task(supervise(self._listen, "lease-listen"), name="lease-listen"),
        ]

    async def close(self, *, deregister: bool = True, failed: bool = False) -> bool:
        """Stop the heartbeats. Deregister if asked, and return True if it did.

        An instance that has a backlog, or answered alone, stays registered: others must count it until it comes back
        and drains, or is evicted. failed: it never served, so it leaves the registry as it was.
        """
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._bounded.close(self._settings.connect_timeout)
        self._tasks = []
        self._read_until = 0.0
        if not deregister or not self._registered:
            return False
        if failed:
            if not self._fresh:
                return False
        elif self._rejoin.unsafe or self._conditions.backlog(None) > 0:
            return False
        try:
            gone = await self._registry.deregister()
        except DatabaseError as error:
            log.warning("deregister_failed", error=str(error))
            return False
        if gone:
            self._files.forget()
        return gone

    # ---- the loop

    async def _run(self) -> None:
        synced = self._clock()
        while True:
            self._wake.clear()
            try:
                again = await self._tick()
                if self._trouble.ended():
                    log.info("heartbeat_recovered")
            except (DatabaseError, PreconditionFailed) as error:
                again = False
                self._current = False
                if self._trouble.should_log(error_label(error)):
                    log.info("heartbeat_failed", error=str(error))
            if self._clock() - synced > _SYNC:
                synced = self._clock()
                await asyncio.to_thread(self._files.sync)
            metrics.READ_LEASE_HELD.set(self.may_read_target)
            metrics.DIVERGED.set(self.diverged)
            if not again:
                await self._pause()

    async def _pause(self) -> None:
        """Wait until the next interval, a notification, or the moment that an epoch's conditions hold."""
        until = self._clock() + self._settings.heartbeat
        while (left := until - self._clock()) > 0 and not self._wake.is_set():
            if self._can_acknowledge():
                return
            waiting = self._snapshot.phase is not Phase.IDLE and self._acknowledged != self.generation
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, _ACK_POLL) if waiting else left):
                    await self._wake.wait()

    async def _tick(self) -> bool:
        """Take one step; return True if the next should follow immediately. Raise DatabaseError, PreconditionFailed."""
        self._rejoin.check_files()
        if not self._registered:
            await self._join()
        if not self._current:
            await self._beat(extend=False)
            return True
        if not await self._rejoin.done(self._snapshot):
            return await self._beat(extend=False)
        await self._give_up_epoch()
        if self._can_acknowledge():
            self._acknowledged = self.generation
        return await self._beat(extend=True)

    async def _join(self) -> None:
        """Register; wait until the lease of another process with this id ends, or raise PreconditionFailed."""
        deadline = self._clock() + 3 * self._settings.lease + 1
        while True:
            joined = await self._bounded(
                self._registry.register(self._files.found if not self._joined else _PRESENT, again=self._joined),
                self._settings.connect_timeout,
            )
            if joined.registered:
                break
            if self._clock() > deadline:
                raise PreconditionFailed(
                    f"instance {self._instance} already runs as process {joined.pid} on {joined.host}, which sends "
                    f"heartbeats: {self._settings.state_dir} is a copy of its state directory (a clone of the machine, "
                    "a snapshot of the volume), or both use one. Start this one with an empty directory "
                    "(CROSSFADE_STATE_DIR), or stop the other one and remove the copy"
                )
            await asyncio.sleep(self._settings.heartbeat)
        if joined.older:
            log.error("databases_unverified", reason=OLDER)
        self._rejoin.unsafe = self._rejoin.unsafe or joined.diverged or joined.older
        self._fresh = joined.fresh and not self._joined
        self._files.beats_from(joined.beats)
        self._registered, self._joined, self._current = True, True, False

    async def _beat(self, *, extend: bool) -> bool:
        """Send a heartbeat; return True if it brought a new generation, or if this instance was evicted."""
        began, length = self._clock(), self._settings.lease
        until = None
        if extend and self._answered is not None:
            server_time, at = self._answered
            until = server_time + timedelta(seconds=began - at + length)
            self._lease_end = began + length
        diverged = self.diverged
        # once a statement may write something else, the row is not known to be diverged
        self._diverged_in_row = self._diverged_in_row and diverged
        look = await self._bounded(
            self._registry.beat(
                Heartbeat(
                    generation=self.generation,
                    acknowledged=0 if diverged else self._acknowledged,
                    diverged=diverged,
                    backlog=self._conditions.backlog(None),
                    lag_seconds=self._conditions.lag_seconds(),
                    until=until,
                    number=self._files.beat(),
                    synced=self._files.synced,
                ),
                self.generation,
            ),
            length,
        )
        self._answered = (look.now, self._clock())
        if self._target_clock.saw(look.now, began, self._answered[1]):
            log.warning("target_clock_set_back")
        self._era = look.era
        if not look.registered:
            log.warning(
                "instance_rejoins",
                instance=self._instance,
            )
            self._registered, self._rejoin.unsafe, self._read_until = False, True, 0.0
            return True
        self._current = True
        self._last_heartbeat = began
        self._diverged_in_row = diverged and self.diverged
        self._read_until = min(began + length, self._lease_end) if look.everyone and self._target_clock.trusted else 0.0
        self._overdue.saw_pause(paused=look.paused)
        if look.snapshot is None:
            if look.absent != self._snapshot.absent:
                self._snapshot = replace(self._snapshot, absent=look.absent)
            return False
        self._adopt(look.snapshot)
        return True

    def _adopt(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._promotes = any(transition.promotes for transition in snapshot.transitions.values())
        self._overdue.adopt(snapshot.phase)
        self._files.keep(snapshot)
        if self._promotes:
            failpoints.reach("hold-kept")
        metrics.EPOCH.set(snapshot.epoch)
        metrics.GENERATION.set(snapshot.generation)
        log.info("generation_changed", generation=snapshot.generation, epoch=snapshot.epoch, phase=snapshot.phase.value)

    async def _give_up_epoch(self) -> None:
        """Abort an epoch that is open for too long."""
        due = self._overdue.due()
        if due is not None:
            await self._bounded(self._overdue.abort(self.generation, due), self._settings.connect_timeout)

    def _can_acknowledge(self) -> bool:
        return (
            self._acknowledged != self.generation
            and self._current
            and not self.diverged
            and not self._rejoin.draining
            and self._clock() < self._lease_end
            and (not self._promotes or self._files.has(self._snapshot))
            and ready(self._snapshot, self._conditions)
        )

    async def _listen(self) -> None:
        """Wake up at notifications; without them the next heartbeat finds the same."""
        while True:
            try:
                async with self._database.listening("crossfade", lambda _: self._wake.set()) as alive:
                    while alive():
                        await asyncio.sleep(self._settings.heartbeat)
            except DatabaseError as error:
                log.debug("notifications_unavailable", error=str(error))
            await asyncio.sleep(self._settings.heartbeat)
