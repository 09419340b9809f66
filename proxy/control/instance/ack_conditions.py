"""When an instance may acknowledge a phase: pure, over what the application tells of itself (mirror-protocol, "Flip").

begin towards flipped   the backlog is empty and no asynchronous answer is pending; from here on every answer that
                        is derived from the origin first brings the target up to date
begin towards mirror    no write of the older behaviour, which was not captured, is still under way
begin towards shadow    it behaves by it
hold                    new origin queries wait, and the running ones are answered
drain                   nothing that was forwarded before is unapplied
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from proxy.model.stages import Phase, Snapshot, Stage

Scope = frozenset[str] | None  # `database/name`, or `db/*` for a default; None is everything


def _nothing() -> None:
    """For an application that keeps no state of its own about a rejoin."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the application tells the lease, each by a cheap function that is called often.

    Counts are of the collections of the scope; counting more than that is safe, and only takes longer under load. An
    operation of unknown extent counts for every collection that it may touch. Writes that wait for both stores before
    their answer are in no backlog: it would never be empty under load.

    backlog: intents whose write was acknowledged (or whose outcome is unknown) and that PostgreSQL does not have yet.
    lag_seconds: age of the oldest open intent that is of no running transaction. asynchronous_pending: writes under way
    that will be, or were, acknowledged without waiting for PostgreSQL. uncaptured_pending: writes under way without an
    intent.
    origin_queries: queries that the origin is running, or whose answer has not left. unapplied: writes forwarded
    before the instance behaved by its present generation, and not applied. diverged: it gave up a flipped write.
    acknowledged_alone: since `rejoined` was last called, an answer of a flipped collection left without the target.
    journal_clean: no intent was open when this process opened its journal; else it drains before it holds a lease,
    and its backlog counts these. rejoined: told when a lease is held again.
    """

    backlog: Callable[[Scope], int]
    lag_seconds: Callable[[], float]
    asynchronous_pending: Callable[[Scope], int]
    uncaptured_pending: Callable[[Scope], int]
    origin_queries: Callable[[Scope], int]
    unapplied: Callable[[Scope], int]
    diverged: Callable[[], bool]
    acknowledged_alone: Callable[[], bool]
    journal_clean: Callable[[], bool]
    rejoined: Callable[[], None] = _nothing


def ready(snapshot: Snapshot, conditions: Conditions) -> bool:
    """Whether the conditions of the snapshot's phase hold for an instance that behaves by the snapshot."""
    if snapshot.phase is Phase.SETTLED:
        return True
    moves = snapshot.moves.values()
    flipping = frozenset(move.collection for move in moves if move.after.stage.at_least(Stage.FLIPPED))
    mirroring = frozenset(
        move.collection
        for move in moves
        if move.after.stage.at_least(Stage.MIRROR) and not move.before.stage.at_least(Stage.MIRROR)
    )
    if mirroring and conditions.uncaptured_pending(mirroring) > 0:
        return False
    if not flipping:
        return True
    if snapshot.phase is Phase.BEGIN:
        return conditions.asynchronous_pending(flipping) == 0 and conditions.backlog(flipping) == 0
    if snapshot.phase is Phase.HOLD:
        return conditions.origin_queries(flipping) == 0
    return conditions.unapplied(flipping) == 0
