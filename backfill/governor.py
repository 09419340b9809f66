"""Pauses workers as long as the limits require, while they keep their chunks: the I/O around `throttle`.

Limits come from the command line (for one worker) and from _crossfade.throttle (for all workers together, adjustable
while they run). The measurements are read at most twice a second, once for all workers of the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os.path
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import sql
from backfill import run_store
from backfill.run_store import Claim
from backfill.source import ArangoSource
from backfill.throttle import Latency, LoadFigures, Meter, ThrottleLimits, as_options, decide
from proxy.base.database import Database
from proxy.state import audit

REFRESH: Final = 0.5  # seconds that measurements are reused
_RENEW: Final = 1.0  # seconds between two lease renewals of a waiting worker


@dataclass(frozen=True, slots=True)
class Setting:
    """The limits in _crossfade.throttle, and the measurements. limits.max_rate is for all workers together."""

    limits: ThrottleLimits
    lag: float
    workers: int
    replica_lag: float | None
    changed_by: str | None


async def setting(database: Database) -> Setting:
    """Read the operators' limits and the current measurements. Raise DatabaseError."""
    return _setting(await database.fetchval(sql.backfill.THROTTLE))


async def change(
    database: Database,
    wanted: Callable[[Setting], ThrottleLimits],
    *,
    action: str,
    actor: str,
    reason: str | None = None,
) -> None:
    """Set the limits of all workers on all machines, with an audit entry. Workers apply them within a second.

    Raise DatabaseError, and what `wanted` raises.
    """
    async with database.transaction() as session:
        await session.execute(sql.backfill.LOCK_THROTTLE)
        limits = wanted(_setting(await session.fetchval(sql.backfill.THROTTLE)))
        await session.execute(
            sql.backfill.SET_THROTTLE,
            limits.max_rate,
            limits.max_lag,
            limits.max_replica_lag,
            limits.max_slowdown,
            limits.flag_file,
            limits.paused,
            actor,
        )
        await audit.record(session, actor=actor, action=action, reason=reason, detail=as_options(limits))


def _setting(row: sql.backfill.ThrottleRow) -> Setting:
    limits = ThrottleLimits(
        max_rate=row.max_rate,
        max_lag=row.max_lag,
        max_replica_lag=row.max_replica_lag,
        max_slowdown=row.max_slowdown,
        flag_file=row.flag_file,
        paused=row.paused,
    )
    return Setting(limits, row.lag, row.workers, row.replica_lag, row.changed_by)


class Governor:
    """Decides when the workers of one process may continue. own: limits for each of these workers."""

    def __init__(self, database: Database, source: ArangoSource, own: ThrottleLimits | None = None) -> None:
        self._database = database
        self._source = source
        self._own = own or ThrottleLimits()
        self._known: Setting | None = None
        self._until = 0.0
        self._flagged = False
        self._reading = asyncio.Lock()
        self._origin, self._target = Latency(), Latency()

    def meter(self) -> Meter:
        """Return a new meter: one for each chunk that a worker holds."""
        return Meter(time.monotonic)

    async def pause_if_limited(
        self, claim: Claim, meter: Meter, documents: int, *, stop: asyncio.Event, lease: float, key: str | None = None
    ) -> None:
        """Count `documents` as done, then wait as the limits require, renewing the lease; return early at `stop`.

        key: a document to read on both sides to measure their response times. Raise LeaseLost, and what reading raises.
        """
        noted, renewed = "", time.monotonic()
        while not stop.is_set():
            known = await self._read(claim, key)
            limits = self._own.combined_with(known.limits.shared(known.workers))
            meter.add(documents, limits.max_rate)
            documents = 0
            decision = decide(
                limits,
                LoadFigures(
                    documents=meter.documents,
                    seconds=meter.seconds,
                    lag=known.lag,
                    replica_lag=known.replica_lag,
                    origin=self._origin.times,
                    target=self._target.times,
                    flagged=self._flagged,
                ),
            )
            if decision.wait == 0:
                return
            now = time.monotonic()
            if noted != decision.reason.partition(" ")[0] or now - renewed > min(_RENEW, lease / 4):
                await run_store.renew(self._database, claim, lease, decision.reason)
                noted, renewed = decision.reason.partition(" ")[0], now
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), decision.wait)

    async def _read(self, claim: Claim, key: str | None) -> Setting:
        async with self._reading:
            if self._known is None or time.monotonic() >= self._until:
                self._known = await setting(self._database)
                limits = self._own.combined_with(self._known.limits)
                flag = limits.flag_file
                self._flagged = flag is not None and await asyncio.to_thread(os.path.exists, flag)
                if limits.max_slowdown is not None and key is not None:
                    await self._time(claim, key)
                self._until = time.monotonic() + REFRESH
            return self._known

    async def _time(self, claim: Claim, key: str) -> None:
        began = time.monotonic()
        await self._source.read(claim.table.database, claim.table.name, [key])
        between = time.monotonic()
        await self._database.fetch(sql.documents.REVISIONS.on(claim.table.relation), [key])
        self._origin.add(between - began)
        self._target.add(time.monotonic() - between)
