"""Changes of collections that were announced on a fence document, and may still run in ArangoDB."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import sql
from proxy.base.database import Database

_MOST: Final = 1_000
SENT_WITHIN: Final = 0.25  # of the time after which a request can no longer run, from before it was announced


class Announcements:
    """What this process knows of them. late_request: seconds after which a request that was sent can no longer run."""

    def __init__(self, database: Database, late_request: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._late_request = late_request
        self._clock = clock
        self._found: dict[int, float] = {}  # by the outbox row of the change
        self._ended: set[int] = set()

    def ended(self, row: int) -> None:
        """Note that the request for a row was answered, or not sent: it cannot run later."""
        if len(self._ended) >= _MOST:
            self._ended.clear()  # they are found again to be gone
        self._ended.add(row)
        self._found.pop(row, None)

    def deadline(self) -> float:
        """Return until when a request must be sent that is announced from now on, by the clock."""
        return self._clock() + self._late_request * SENT_WITHIN

    def may_be_sent(self, row: int, deadline: float) -> bool:
        """Return True if the announced request for a row is sent in time; from now on it may run late."""
        in_time = self._clock() <= deadline
        if in_time:
            self._ended.discard(row)
            self._found.pop(row, None)
        else:
            self.ended(row)
        return in_time

    async def may_pass(self, row: int) -> bool:
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
