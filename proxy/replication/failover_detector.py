"""A failover of PostgreSQL may lose commits (mirror-protocol, "Limits"): its timeline changes, and that is acted upon.

Eras that were given out may be lost, so the era is raised far beyond them; tombstones may be, so every horizon is
raised as well, and whatever was stamped before is read again; applied versions may be, so every database becomes
unverified, and no flip outlives that. One instance does all of it, in one transaction; the others see that it is done.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

import sql
from proxy.base.database import Database
from proxy.base.errors import DatabaseError, StatementError, error_label
from proxy.journal.dirty_collections import EVERYTHING
from proxy.state import control_row, lacking

log = structlog.get_logger(__name__)

_LOOK: Final = 2.0  # seconds between looks
_REASON: Final = "PostgreSQL's timeline changed: a failover may have lost commits"


class FailoverDetector:
    """Looks from time to time."""

    def __init__(self, database: Database, instance: str) -> None:
        self._database = database
        self._instance = instance
        self._told = False

    async def step(self) -> bool:
        """Whether this look found a new timeline and acted. Raises DatabaseError."""
        row = await self._database.fetchval(sql.mirror.TIMELINE)
        if row.noted == row.present:
            return False
        if row.noted is None:
            await self._database.execute(sql.mirror.NOTE_TIMELINE, row.present)
            return False
        async with self._database.transaction() as session:
            await control_row.lock(session)  # before any horizon, as whoever marks takes them
            moved = await session.fetch(sql.mirror.MOVE_TIMELINE, row.present, row.noted)
            if not moved:
                return False
            await session.fetch(sql.mirror.LEAP)
            await lacking.mark_in(session, [EVERYTHING], [_REASON], self._instance)
        log.error("databases_unverified", reason=_REASON)
        return True

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                await self.step()
            except StatementError as error:  # a server that does not tell, or one that is still a replica
                if not self._told:
                    log.warning("timeline_unknown", sqlstate=error.sqlstate)
                self._told = True
            except DatabaseError as error:
                log.debug("timeline_check_waits", error=error_label(error))
            await asyncio.sleep(_LOOK)
