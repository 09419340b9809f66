"""Coverage gaps: requests that were neither captured nor compared, counted by name in PostgreSQL (I10).

Clients choose the names of collections, so both are bounded: what waits in memory, and the rows of one database. What
is new beyond that is counted under one name for all collections of the database, so that it still fails their gates.
"""

from __future__ import annotations

from enum import StrEnum

import sql
from proxy.base import metrics
from proxy.base.database import Database
from proxy.base.errors import DatabaseError
from proxy.base.periodic import Periodic

_LIMIT = 2000  # distinct (database, collection, endpoint, reason) between two flushes
_ROWS = 1000  # of one database
OTHER = ("other", "more kinds than are kept")  # endpoint and reason of what is beyond the bounds


class Uncovered(StrEnum):
    """The kind of coverage that a request lacks: the closed set of reasons of `crossfade_uncovered_requests_total`."""

    WRITE = "not_captured"
    READ = "not_compared"
    PASSTHROUGH = "passthrough"


class Gaps:
    """Counts in memory, flushed every interval. They are kept while PostgreSQL is away, up to _LIMIT names."""

    def __init__(self, database: Database, interval: float = 1.0) -> None:
        self._database = database
        self._counts: dict[tuple[str, str, str, str], int] = {}
        self._periodic = Periodic(self.flush, "gaps", interval)

    def add(self, database: str, collection: str, endpoint: str, uncovered: Uncovered, reason: str) -> None:
        """Count a request. Never blocks.

        collection: its name, or `database/name`, which is what is stored: the gates search for that. Empty: no
        collection.
        """
        if collection and "/" not in collection:
            collection = f"{database}/{collection}"
        metrics.UNCOVERED_REQUESTS.labels(endpoint, uncovered.value).inc()
        key = (database, collection, endpoint, reason)
        if key not in self._counts and len(self._counts) >= _LIMIT:
            key = (database, f"{database}/*" if database else "", *OTHER)
        self._counts[key] = self._counts.get(key, 0) + 1

    async def start(self) -> None:
        self._periodic.start()

    async def close(self) -> None:
        """Flush once more."""
        await self._periodic.finish(self.flush)

    async def flush(self) -> None:
        """Add the counts to _crossfade.uncovered. Raise DatabaseError, and then keep them."""
        if not self._counts:
            return
        counts, self._counts = self._counts, {}
        rows = [(*key, seen) for key, seen in sorted(counts.items())]
        try:
            await self._database.execute(
                sql.uncovered.ADD, *(list(column) for column in zip(*rows, strict=True)), _ROWS, *OTHER
            )
        except DatabaseError:
            for key, seen in counts.items():
                self._counts[key] = self._counts.get(key, 0) + seen
            raise
