"""Removes old tombstones (mirror-protocol, answer 3): safe at any moment, since older stamps are refused from then on.

Tombstones are kept for `tombstone_seconds`, only to save re-reads. What an era means in time is known from the eras
that this process raised itself: before an era that was raised that long ago, all tombstones are old enough.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import structlog

import sql
from proxy.base.database import Database
from proxy.base.errors import DatabaseError, error_label
from proxy.replication.target_writer import TargetWriter

log = structlog.get_logger(__name__)

_ROWS: Final = 1000  # of one transaction: writes to the collection wait for its end
_LOCK_WAIT: Final = "10s"  # for writes that are under way: a stream transaction may last longer


async def purge(database: Database, collection: str, relation: str, era: int) -> int:
    """Remove tombstones marked before `era`. Return their number. Raise DatabaseError.

    The stamp floor is raised in the transaction that removes the first rows, and only if there are any.
    """
    total = 0
    while True:
        keys = await database.fetch(sql.mirror.OLD_TOMBSTONES.on(relation), era, _ROWS)
        if not keys:
            return total
        async with database.transaction() as session:
            await session.fetchval(sql.complete.LOCK_WAIT, _LOCK_WAIT)
            await session.execute(sql.mirror.RAISE_STAMP_FLOOR, collection, era)
            await session.execute(sql.mirror.PURGE.on(relation), era, keys)
        total += len(keys)


class Purger:
    """Purges every collection from time to time. keep: seconds. interval: seconds between two steps."""

    def __init__(self, database: Database, target: TargetWriter, keep: float) -> None:
        self._database = database
        self._target = target
        self._keep = keep
        self.interval = keep / 4
        self._eras: list[tuple[float, int]] = []  # (monotonic time, era raised then)

    async def step(self, now: float) -> int:
        """Raise an era, and purge what is older than those of `keep` seconds ago. Raise DatabaseError."""
        old = [(at, era) for at, era in self._eras if now - at >= self._keep]
        self._eras.append((now, await self._target.raise_era()))
        if not old:
            return 0
        self._eras = [(at, era) for at, era in self._eras if (at, era) >= old[-1]]
        total = 0
        for row in await self._database.fetch(sql.collections.ALL):
            try:
                total += await purge(self._database, row.collection, row.relation, old[-1][1])
            except DatabaseError as error:  # it is dropped, or a transaction has it for long
                log.debug("tombstones_stay", collection=row.collection, error=error_label(error))
        return total

    async def purge(self) -> None:
        """Take a step now, and log what it removed. Raise DatabaseError."""
        removed = await self.step(time.monotonic())
        if removed:
            log.info("tombstones_removed", number=removed)

    async def run(self) -> None:
        """Purge until cancelled."""
        while True:
            try:
                await self.purge()
            except DatabaseError as error:
                log.debug("tombstone_gc_waits", error=error_label(error))
            await asyncio.sleep(self.interval)
