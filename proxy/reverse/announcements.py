"""Changes of collections that were announced on a fence document, and may still run in ArangoDB."""

from __future__ import annotations

import time
from collections.abc import Callable

import sql
from proxy.base.database import Database


class Announcements:
    """What this process knows of them. late_request: seconds after which a request that was sent can no longer run."""

    def __init__(self, database: Database, late_request: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._late_request = late_request
        self._clock = clock
        self._found: dict[int, float] = {}  # by the outbox row of the change
        self._ended: set[int] = set()

    def ended(self, row: int) -> None:
        """Note that the request for a row was answered: it cannot run later."""
        self._ended.add(row)
        self._found.pop(row, None)

    def sent(self, row: int) -> None:
        """Note that a request for a row may be sent from now on."""
        self._ended.discard(row)
        self._found.pop(row, None)

    async def may_pass(self, _database: str, row: int) -> bool:
        """Return True if the request for a row can no longer run: its row is gone, or it is late. Raise DatabaseError.

        The time counts from when the announcement was found, whoever announced it.
        """
        if row in self._ended:
            return True
        if not await self._database.fetchval(sql.outbox.WAITING, row):
            self.ended(row)
            return True
        found = self._found.setdefault(row, self._clock())
        return self._clock() - found > self._late_request
