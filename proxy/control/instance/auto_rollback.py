"""Automatic rollback on one instance: compare its reads with the armed budgets twice a second, and roll back.

There is no leader: each instance judges its own reads, and any of them may roll back; for the second one nothing is
left to do. An instance that cannot reach PostgreSQL keeps its verdict and tries until it can; by then its read lease
has expired, so it serves no reads from PostgreSQL meanwhile.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Final

import structlog

from proxy.base.database import Database
from proxy.base.errors import DatabaseError, error_label
from proxy.base.log_throttle import LogThrottle
from proxy.control import rollback_budgets
from proxy.control.instance.deadline import Deadline
from proxy.control.read_stats import Readings
from proxy.control.rollback_budgets import CollectionBudget
from proxy.model.stages import Snapshot

log = structlog.get_logger(__name__)

_INTERVAL: Final = 0.5  # seconds between two checks
_TIMEOUT: Final = 2.0  # seconds for a statement


class AutoRollback:
    """The task that checks. Start it after the lease, close it before. snapshot: to see if anything is flipped."""

    def __init__(
        self, database: Database, readings: Readings, snapshot: Callable[[], Snapshot], *, instance: str
    ) -> None:
        self._database = database
        self._readings = readings
        self._snapshot = snapshot
        self._actor = f"auto-rollback of instance {instance}"
        self._deadline = Deadline()
        self._trouble = LogThrottle()
        self._armed: tuple[CollectionBudget, ...] = ()
        self._verdicts: dict[tuple[str, int], str] = {}  # (collection, epoch) -> reason, until it is carried out
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="auto_rollback")

    async def close(self) -> None:
        """Stop; the other instances continue to check."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._deadline.close(_TIMEOUT)

    def figures(self) -> dict[str, object]:
        """Return what this instance counted of each armed collection, for `/status`."""
        found: dict[str, object] = {}
        for one in self._armed:
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
                await self.check()
                self._trouble.ended()
            except DatabaseError as error:
                if self._trouble.should_log(error_label(error)):
                    log.info("auto_rollback_check_failed", error=str(error))

    async def check(self) -> None:
        """Check once, and roll back if needed. Raise DatabaseError; the verdict is then kept until the next check."""
        served = any(state.serves_target for state in self._snapshot().collections.values())
        if not served and not self._verdicts:
            self._watch(())
            return
        try:
            self._watch(tuple(one for one in await self._read() if one.armed))
        finally:  # without PostgreSQL: by the budgets last read
            self._judge()
        for one in self._armed:
            why = self._verdicts.get((one.collection, one.epoch))
            if why is not None:
                await self._roll_back(one, why)

    async def _read(self) -> tuple[CollectionBudget, ...]:
        return await self._deadline(rollback_budgets.read(self._database), _TIMEOUT)

    async def _roll_back(self, one: CollectionBudget, why: str) -> None:
        generation = await self._deadline(rollback_budgets.trip(self._database, one, why, actor=self._actor), _TIMEOUT)
        self._verdicts.pop((one.collection, one.epoch), None)
        if generation is not None:
            log.error("auto_rollback", collection=one.collection, reason=why)

    def _watch(self, budgets: tuple[CollectionBudget, ...]) -> None:
        self._armed = budgets
        armed = {(one.collection, one.epoch) for one in budgets}
        self._verdicts = {key: why for key, why in self._verdicts.items() if key in armed}
        self._readings.watch({one.collection: one.budget.seconds or math.inf for one in budgets})

    def _judge(self) -> None:
        for one in self._armed:
            why = rollback_budgets.judge(one.budget, one.mismatched, self._readings.figures(one.collection))
            if why:
                self._verdicts.setdefault((one.collection, one.epoch), why)
