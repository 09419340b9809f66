"""The states that operators watch: read from PostgreSQL, exported by every instance, shown by `crossfade status`.

A rollback that no operator started is reported. An automatic rollback, or an instance that rejoins or diverges, records
itself in the audit by `taken_back_by`; `status` and the metric `crossfade_automatic_rollback` name it until an operator
acknowledges it or its collections are flipped again.

States are gauges: an alert on `> 0` fires with their first sample, and ends with the state. A counter whose series
begins with its first event has no increase then, and never fires for that event. `crossfade_rollbacks_total` is counted
in PostgreSQL: every instance shows the same number, through restarts, and 0 from its first scrape on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

import sql
from proxy.base import metrics
from proxy.base.database import Database
from proxy.base.errors import DatabaseError, error_label
from proxy.base.log_throttle import LogThrottle
from proxy.base.supervise import supervise
from proxy.control import thresholds
from proxy.model.stages import Stage
from proxy.state import audit
from proxy.state.control_row import By

log = structlog.get_logger(__name__)

_INTERVAL: Final = 3.0  # seconds
_WATCHED: Final = (Stage.MIRROR.value, Stage.SHADOW.value, Stage.FLIPPED.value)
_STATES: Final = ("live", "silent", "diverged")


@dataclass(frozen=True, slots=True)
class AutomaticRollback:
    """A rollback that no operator started. id: of its row in the audit; by: auto_rollback or instance."""

    id: int
    at: datetime
    actor: str
    reason: str | None
    by: str
    collections: tuple[str, ...]


async def automatic_rollbacks(database: Database) -> tuple[AutomaticRollback, ...]:
    """Return those that were neither acknowledged nor followed by a new flip, the newest first. Raise DatabaseError."""
    return tuple(
        AutomaticRollback(row.id, row.at, row.actor, row.reason, row.by, tuple(row.collections))
        for row in await database.fetch(sql.states.AUTOMATIC_ROLLBACKS)
    )


async def acknowledge(database: Database, seen: Sequence[AutomaticRollback], *, actor: str, reason: str | None) -> None:
    """Stop reporting these rollbacks; later ones are reported again. Raise DatabaseError."""
    async with database.transaction() as session:
        await audit.record(
            session,
            actor=actor,
            action="acknowledge",
            reason=reason,
            detail={
                "until": max(one.id for one in seen),
                "collections": sorted({name for one in seen for name in one.collections}),
            },
        )


def families(
    collections: Sequence[sql.states.CollectionRow],
    instances: Mapping[str, int],
    rollbacks: Mapping[str, int],
    back: Sequence[AutomaticRollback],
    watch_seconds: float,
) -> metrics.Samples:
    """Return what is exported: metric -> labels -> value. Pure."""
    behind = [one.behind for one in collections if one.watchable]
    watched = [seconds for seconds in behind if seconds is not None]
    alive = len(watched) == len(behind) and all(seconds <= watch_seconds for seconds in watched)
    return {
        "crossfade_rollbacks": {(by.value,): rollbacks.get(by.value, 0) for by in By},
        "crossfade_automatic_rollback": {(name, one.by): 1 for one in back for name in one.collections},
        "crossfade_unverified": _by_collection(collections, "unverified"),
        "crossfade_dead_letter_documents": _by_collection(collections, "dead"),
        "crossfade_open_mismatches": _by_collection(collections, "mismatches"),
        "crossfade_out_of_band_writes": _by_collection(collections, "out_of_band"),
        "crossfade_auto_rollback_armed": _by_collection(collections, "armed"),
        "crossfade_stage": {(one.collection,): Stage(one.stage).rank for one in collections},
        "crossfade_flip_percent": _by_collection(collections, "weight"),
        "crossfade_instances": {(state,): instances.get(state, 0) for state in _STATES},
        "crossfade_out_of_band_watch_alive": {(): int(alive)} if behind else {},
        "crossfade_out_of_band_watch_lag_seconds": {(): max(watched)} if watched else {},
    }


def _by_collection(collections: Sequence[sql.states.CollectionRow], name: str) -> dict[tuple[str, ...], float]:
    return {(one.collection,): float(getattr(one, name)) for one in collections}


class States:
    """Read the states every few seconds for /metrics. Without PostgreSQL the last ones stay, with their age."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._task: asyncio.Task[None] | None = None
        self._trouble = LogThrottle()

    async def start(self) -> None:
        """Read the states immediately, so that the first scrape has every series, then periodically."""
        await self._try()
        self._task = asyncio.create_task(supervise(self._run, "states"), name="states")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def refresh(self) -> None:
        """Read the states once. Raise DatabaseError."""
        collections = await self._database.fetch(sql.states.COLLECTIONS, list(_WATCHED))
        instances = {row.state: row.number for row in await self._database.fetch(sql.states.INSTANCES)}
        rollbacks = {row.by: row.number for row in await self._database.fetch(sql.states.ROLLBACKS)}
        back = await automatic_rollbacks(self._database)
        limits = await thresholds.read(self._database)
        metrics.CONTROL_PLANE.replace(
            families(collections, instances, rollbacks, back, limits.bypass_lag_seconds), at=time.monotonic()
        )

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL)
            await self._try()

    async def _try(self) -> None:
        try:
            await self.refresh()
            self._trouble.ended()
        except DatabaseError as error:
            if self._trouble.should_log(error_label(error)):
                log.info("states_unreadable", error=error_label(error))
