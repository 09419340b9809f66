"""What ArangoDB lacks of PostgreSQL's writes: figures, and answers that wait until ArangoDB has a write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

import sql
from proxy.base import metrics
from proxy.base.database import Database
from proxy.base.errors import DatabaseError, error_label
from proxy.base.periodic import Periodic
from proxy.base.supervise import cancelled, supervise
from proxy.reverse import outbox
from sql.statements.outbox import BacklogRow, RefusedRow

log = structlog.get_logger(__name__)

_REFRESH: Final = 1.0  # seconds
_LOOK: Final = 0.01  # seconds between two looks while answers wait
_SHOWN: Final = 20  # refused documents that `/status` names


async def lost_without_postgresql(database: Database) -> BacklogRow:
    """Return what would be lost if ArangoDB took over now, without PostgreSQL: how many writes, how old the oldest is.

    Raise DatabaseError.
    """
    return await outbox.backlog(database)


class ReverseBacklog:
    """The figures of one process, and its waiting answers. needed: whether PostgreSQL takes any collection's writes."""

    def __init__(self, database: Database, needed: Callable[[], bool] = lambda: True) -> None:
        self._database = database
        self._needed = needed
        self._figures = BacklogRow(0, 0.0, 0)
        self._refused: list[RefusedRow] = []
        self._refresh = Periodic(self._refresh_if_needed, "reverse figures", _REFRESH, first=self.refresh)
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._newcomers: list[asyncio.Future[None]] = []
        self._came = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._refresh.start()
        self._task = asyncio.create_task(supervise(self._look, "reverse waits"), name="reverse waits")

    async def close(self) -> None:
        await self._refresh.close()
        if self._task is not None:
            await cancelled(self._task)
            self._task = None

    async def _refresh_if_needed(self) -> None:
        if self._needed() or self._figures.rows:
            await self.refresh()

    async def refresh(self) -> None:
        """Read the figures. Raise DatabaseError."""
        self._figures = await lost_without_postgresql(self._database)
        self._refused = await outbox.refused(self._database, _SHOWN) if self._figures.refused else []
        metrics.REVERSE_ROWS.set(self._figures.rows)
        metrics.REVERSE_LAG.set(self._figures.age)
        metrics.REVERSE_REFUSED.set(self._figures.refused)

    def figures(self) -> dict[str, object]:
        """Return what `/status` shows."""
        return {
            "rows": self._figures.rows,
            "lag_seconds": round(self._figures.age, 3),
            "refused": self._figures.refused,
            "refused_documents": [row._asdict() for row in self._refused],
        }

    async def carried(self, seconds: float) -> bool:
        """Wait until ArangoDB has all that was committed before, without documents that it refuses.

        Return False if it does not within the time.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._newcomers.append(future)
        self._came.set()
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            return False
        return True

    async def _look(self) -> None:
        """Let those go on whose rows are gone: all rows that were committed when they came."""
        while True:
            if not self._newcomers and not self._waiting:
                self._came.clear()
                await self._came.wait()
            try:
                await self._look_once()
            except DatabaseError as error:
                log.debug("reverse_wait_blind", error=error_label(error))
            await asyncio.sleep(_LOOK)

    async def _look_once(self) -> None:
        came, self._newcomers = self._newcomers, []
        if came:
            try:
                newest = await self._database.fetchval(sql.outbox.NEWEST)
            except DatabaseError:
                self._newcomers = came + self._newcomers
                raise
            self._waiting += [(newest, future) for future in came]
        oldest = await self._database.fetchval(sql.outbox.OLDEST)
        still = []
        for newest, future in self._waiting:
            if future.done():
                continue
            if oldest and oldest <= newest:
                still.append((newest, future))
            else:
                future.set_result(None)
        self._waiting = still
