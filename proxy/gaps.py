"""What passed through without being captured or compared: counted, named, kept in PostgreSQL (I10)."""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from proxy import metrics
from proxy.database import Database
from proxy.errors import DatabaseError, named
from sql.loader import queries

log = structlog.get_logger(__name__)

# distinct (database, collection, endpoint, effect) kept between two flushes: clients name collections, so it is bounded
_LIMIT = 2000


class Gaps:
    """Counts in memory, written every few seconds. Counts survive PostgreSQL being away, bounded by _LIMIT names."""

    def __init__(self, database: Database, interval: float = 1.0) -> None:
        self._database = database
        self._interval = interval
        self._counts: dict[tuple[str, str, str, str], int] = {}
        self._task: asyncio.Task[None] | None = None

    def add(self, database: str, collection: str, endpoint: str, effect: str) -> None:
        """One more request. Never blocks; beyond the limit of names, the collection's name is left out.

        collection: its name, or `database/name`, which is what is kept: the gates look for that. Empty: none is named.
        """
        if collection and "/" not in collection:
            collection = f"{database}/{collection}"
        metrics.GAPS.labels(endpoint, effect).inc()
        key = (database, collection, endpoint, effect)
        if key not in self._counts and len(self._counts) >= _LIMIT:
            key = ("", "", endpoint, effect)
        self._counts[key] = self._counts.get(key, 0) + 1

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="gaps")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            with contextlib.suppress(DatabaseError):
                await self.flush()

    async def flush(self) -> None:
        """Adds the counts to crossfade.gap. Raises DatabaseError, and then keeps them."""
        if not self._counts:
            return
        counts, self._counts = self._counts, {}
        rows = [(*key, seen) for key, seen in sorted(counts.items())]
        try:
            await self._database.execute(
                queries("gaps")["add"].text, *(list(column) for column in zip(*rows, strict=True))
            )
        except DatabaseError:
            for key, seen in counts.items():
                self._counts[key] = self._counts.get(key, 0) + seen
            raise

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.flush()
            except DatabaseError as error:
                log.debug("gaps are kept until PostgreSQL is back", error=named(error))
