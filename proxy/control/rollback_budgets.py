"""Automatic rollback: budgets of errors, latency and mismatches for flipped collections.

A budget is armed in the transaction of its flip, and stored in PostgreSQL. Every instance compares it with its own
reads (`read_stats`) and with the mismatches that all instances have confirmed. The first one that finds it exceeded
rolls the collections back in one compare-and-set, and records the reason in the audit. Collections that were flipped
together are rolled back together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sql
from proxy.base.database import Database, Session
from proxy.control.read_stats import WINDOW, ReadFigures
from proxy.model.stages import CollectionState, Stage, Transition
from proxy.state import control_row

_FEW: Final = 3  # fewer errors, or slow reads, within the window do not count
_SLOW_SHARE: Final = 0.01  # p99 is within the limit if at most one read in a hundred is slower


@dataclass(frozen=True, slots=True)
class RollbackBudget:
    """Limits: errors and latency of one instance within the window, mismatches on all instances since it was armed.

    errors_percent: of the reads of PostgreSQL. seconds: highest p99; None: no limit.
    """

    errors_percent: float = 1.0
    seconds: float | None = 0.25
    mismatches: int = 0


@dataclass(frozen=True, slots=True)
class CollectionBudget:
    """The newest budget of a collection, armed or ended. why: the reason of the rollback; None if there was none."""

    collection: str
    epoch: int
    budget: RollbackBudget
    mismatched: int
    state: CollectionState
    armed_at: datetime
    armed_by: str
    ended_at: datetime | None
    ended_by: str | None
    why: str | None

    @property
    def armed(self) -> bool:
        return self.ended_at is None


def judge(budget: RollbackBudget, mismatched: int, figures: ReadFigures) -> str:
    """Return why the collection must be rolled back, or an empty string. Pure."""
    if mismatched > budget.mismatches:
        return f"confirmed mismatches since automatic rollback was armed: {mismatched}, allowed: {budget.mismatches}"
    reads, errors, slow = figures.reads, figures.errors, figures.slow
    if errors >= _FEW and 100 * errors > budget.errors_percent * reads:
        return (
            f"{errors} of {reads} reads failed on PostgreSQL within {WINDOW} s ({errors / reads:.1%}, "
            f"{budget.errors_percent:g} % are allowed)"
        )
    if budget.seconds is not None and slow >= _FEW and slow > _SLOW_SHARE * reads:
        return (
            f"{slow} of {reads} reads on PostgreSQL took longer than {1000 * budget.seconds:g} ms within {WINDOW} s "
            f"({slow / reads:.1%}, 1 % are allowed; the longest {1000 * figures.worst:.0f} ms)"
        )
    return ""


async def arm(session: Session, collections: Sequence[str], epoch: int, budget: RollbackBudget, *, actor: str) -> None:
    """Arm automatic rollback, in the transaction of the flip that it belongs to."""
    await session.execute(
        sql.auto_rollback.ARM,
        list(collections),
        epoch,
        budget.errors_percent,
        budget.seconds,
        budget.mismatches,
        actor,
    )


async def disarm(session: Session, collections: Sequence[str], *, actor: str) -> tuple[str, ...]:
    """Disarm, and leave the collections flipped. Return those that were armed."""
    rows = await session.fetch(sql.auto_rollback.DISARM, list(collections), actor)
    return tuple(sorted(rows))


async def read(database: Database) -> tuple[CollectionBudget, ...]:
    """Return every budget, armed ones first. Raise DatabaseError."""
    return tuple(_budget(row) for row in await database.fetch(sql.auto_rollback.ALL))


async def trip(database: Database, armed: CollectionBudget, why: str, *, actor: str) -> int | None:
    """Roll back what was flipped together with this collection; return the new generation, None if it is disarmed."""
    async with database.transaction() as session:
        control = await control_row.lock(session)
        names = await session.fetch(sql.auto_rollback.TOGETHER, armed.collection)
        if armed.collection not in names:
            return None
        states, _ = await control_row.collection_states(session)
        transitions = [
            Transition(name, states[name], CollectionState(Stage.SHADOW))
            for name in names
            if states[name].stage is Stage.FLIPPED
        ]
        await session.execute(sql.auto_rollback.TRIPPED, names, actor, why)
        if not transitions:
            return None
        budget = {"collection": armed.collection, "armed_by": armed.armed_by, **as_json(armed.budget)}
        _, generation = await control_row.immediate(
            session,
            control,
            transitions,
            actor=actor,
            action="rollback",
            reason=f"{armed.collection}: {why}",
            detail={"auto_rollback": budget},
            by=control_row.By.AUTO_ROLLBACK,
        )
        return generation


def as_json(budget: RollbackBudget) -> dict[str, float | int | None]:
    """Return the budget as the audit stores it."""
    return {"errors_percent": budget.errors_percent, "seconds": budget.seconds, "mismatches": budget.mismatches}


def _budget(row: sql.auto_rollback.AutoRollbackRow) -> CollectionBudget:
    return CollectionBudget(
        row.collection,
        row.epoch,
        RollbackBudget(row.max_error_percent, row.max_p99_seconds, row.max_mismatches),
        max(0, row.mismatched),
        CollectionState(Stage(row.stage), row.weight),
        row.armed_at,
        row.armed_by,
        row.ended_at,
        row.ended_by,
        row.reason,
    )
