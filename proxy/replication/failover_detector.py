"""Detects a failover of PostgreSQL by its timeline: commits may be lost (mirror-protocol, "Limits").

Eras that were handed out may be lost, so the era is raised far beyond them. Tombstones may be lost, so every stamp
floor is raised as well, and whatever was stamped before is read again. Revisions that PostgreSQL gave may be lost: new
ones are above the clock, and so above all of these. Applied versions may be lost, so every database
is marked as in need of a verification, and no flip outlives that. One instance does all of it, in one transaction; the
others find it done.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

import sql
from proxy.base.database import Database
from proxy.base.errors import DatabaseError, StatementError, error_label
from proxy.journal.dirty_collections import EVERYTHING
from proxy.state import control_row, missing_writes

log = structlog.get_logger(__name__)

_INTERVAL: Final = 2.0  # seconds between two checks
_CLOCKS_DIFFER: Final = 10_000  # milliseconds by which the clocks of two servers may differ
_REASON: Final = "PostgreSQL's timeline changed: a failover may have lost commits"


class FailoverDetector:
    """Checks the timeline from time to time."""

    def __init__(self, database: Database, instance: str) -> None:
        self._database = database
        self._instance = instance
        self._warned = False

    async def step(self) -> bool:
        """Check once. Return True if the timeline was new, and all that was done. Raise DatabaseError."""
        row = await self._database.fetchval(sql.mirror.TIMELINE)
        if row.noted == row.present:
            return False
        if row.noted is None:
            await self._database.execute(sql.mirror.NOTE_TIMELINE, row.present)
            return False
        async with self._database.transaction() as session:
            await control_row.lock(session)  # before any stamp floor: every writer of marks locks in that order
            moved = await session.fetch(sql.mirror.MOVE_TIMELINE, row.present, row.noted)
            if not moved:
                return False
            await session.fetch(sql.mirror.LEAP)
            await session.execute(sql.mirror.LEAP_REVISIONS, _CLOCKS_DIFFER)
            await missing_writes.mark_in(session, [EVERYTHING], [_REASON], self._instance)
        log.error("databases_unverified", reason=_REASON)
        return True

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            try:
                await self.step()
            except StatementError as error:  # this role may not read it, or the server is still a replica
                if not self._warned:
                    log.warning("timeline_unknown", sqlstate=error.sqlstate)
                self._warned = True
            except DatabaseError as error:
                log.debug("timeline_check_waits", error=error_label(error))
            await asyncio.sleep(_INTERVAL)
