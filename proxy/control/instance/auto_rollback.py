"""The guards as one instance keeps them: looks twice a second, and takes back what must go back, however long it takes.

Nobody is elected: each instance judges its own reads, any of them may act, and the second one finds nothing to do. An
instance that cannot reach PostgreSQL remembers its judgement until it can; meanwhile its lease has run out, and nobody
reads there.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Final

import structlog

from proxy.base.database import Database
from proxy.base.errors import DatabaseError, error_label
from proxy.base.repeated import Repeated
from proxy.control import guard
from proxy.control.guard import Guarded
from proxy.control.instance.deadline import Deadline
from proxy.control.read_stats import Readings
from proxy.model.stages import Snapshot

log = structlog.get_logger(__name__)

_INTERVAL: Final = 0.5  # seconds between two checks
_TIMEOUT: Final = 2.0  # seconds for a statement


class AutoRollback:
    """Start it with the lease, close it before. `snapshot` shows whether anything is flipped at all."""

    def __init__(
        self, database: Database, readings: Readings, snapshot: Callable[[], Snapshot], *, instance: str
    ) -> None:
        self._database = database
        self._readings = readings
        self._snapshot = snapshot
        self._actor = f"guard of instance {instance}"
        self._bounded = Deadline()
        self._trouble = Repeated()
        self._guards: tuple[Guarded, ...] = ()
        self._verdicts: dict[tuple[str, int], str] = {}  # (collection, epoch) -> reason, until it is carried out
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="guards")

    async def close(self) -> None:
        """Stop; other instances judge the same."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._bounded.close(_TIMEOUT)

    def figures(self) -> dict[str, object]:
        """Return for `/status` what this instance has counted of each armed collection."""
        found: dict[str, object] = {}
        for one in self._guards:
            seen = self._readings.figures(one.collection)
            found[one.collection] = {
                "reads": seen.reads,
                "errors": seen.errors,
                "slow": seen.slow,
                "worst_seconds": round(seen.worst, 4),
            }
        return found

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL)
            try:
                await self.look()
                self._trouble.over()
            except DatabaseError as error:
                if self._trouble.now(error_label(error)):
                    log.info("auto_rollback_check_failed", error=str(error))

    async def look(self) -> None:
        """Check once, and roll back if needed. Raises DatabaseError; the verdict then holds until the next check."""
        served = any(standing.serves_target for standing in self._snapshot().collections.values())
        if not served and not self._verdicts:
            self._watch(())
            return
        try:
            self._watch(tuple(one for one in await self._ask() if one.armed))
        finally:  # without PostgreSQL from what was known
            self._judge()
        for one in self._guards:
            why = self._verdicts.get((one.collection, one.epoch))
            if why is not None:
                await self._take_back(one, why)

    async def _ask(self) -> tuple[Guarded, ...]:
        return await self._bounded(guard.read(self._database), _TIMEOUT)

    async def _take_back(self, one: Guarded, why: str) -> None:
        generation = await self._bounded(guard.trip(self._database, one, why, actor=self._actor), _TIMEOUT)
        self._verdicts.pop((one.collection, one.epoch), None)
        if generation is not None:
            log.error("auto_rollback", collection=one.collection, reason=why)

    def _watch(self, guards: tuple[Guarded, ...]) -> None:
        self._guards = guards
        armed = {(one.collection, one.epoch) for one in guards}
        self._verdicts = {key: why for key, why in self._verdicts.items() if key in armed}
        self._readings.watch({one.collection: one.budget.seconds or math.inf for one in guards})

    def _judge(self) -> None:
        for one in self._guards:
            why = guard.judge(one.budget, one.mismatched, self._readings.figures(one.collection))
            if why:
                self._verdicts.setdefault((one.collection, one.epoch), why)
