"""When an instance may acknowledge a phase: conditions on what the application reports, pure (mirror-protocol, "Flip").

begin towards flipped   the backlog is empty; from here on every answer that is derived from ArangoDB waits until
                        PostgreSQL has what it shows
begin towards mirror    no write that was forwarded without being captured is still in flight
begin towards shadow    the instance runs at it
hold                    new queries of ArangoDB wait, and the running ones are answered
drain                   every write that was forwarded before is applied
hold of a promotion     nothing of the collections is under way: no forwarded write, no query of ArangoDB, no running
                        transaction that wrote them, no open intent (promotion-protocol, "Promote", 1)
drain of a demotion     nothing: nobody waits for it
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from proxy.model.stages import Phase, Snapshot, Stage

Scope = frozenset[str] | None  # `database/name`, or `db/*` for a default; None is everything


@dataclass(frozen=True, slots=True)
class AckConditions:
    """The conditions of the application that the lease checks: cheap functions, called often.

    Counts are of the collections of the scope. Counting more is safe, and only takes longer under load: an operation of
    unknown extent counts for every collection that it may write. Writes that wait for both databases before their
    answer are in no backlog, which would otherwise never be empty under load.

    backlog: intents whose write was acknowledged (or whose outcome is unknown) and that PostgreSQL does not have yet.
    lag_seconds: age of the oldest open intent that does not belong to a running transaction. uncaptured_pending: writes
    in flight without an intent. origin_queries: queries that ArangoDB runs, or whose answer has not left. unapplied:
    writes forwarded before the instance ran at its present generation, and not applied. under_way: whatever may write
    at ArangoDB, or be open in the journal, answered or not. journal_clean: no intent was
    open when this process opened its journal; else it drains before it holds a lease, and its backlog counts these.
    """

    backlog: Callable[[Scope], int]
    lag_seconds: Callable[[], float]
    uncaptured_pending: Callable[[Scope], int]
    origin_queries: Callable[[Scope], int]
    unapplied: Callable[[Scope], int]
    under_way: Callable[[Scope], int]
    journal_clean: Callable[[], bool]


def ready(snapshot: Snapshot, conditions: AckConditions) -> bool:
    """Return True if the conditions of the snapshot's phase hold for an instance that runs at the snapshot."""
    if snapshot.phase is Phase.IDLE:
        return True
    transitions = snapshot.transitions.values()
    promoting = frozenset(transition.collection for transition in transitions if transition.promotes)
    if promoting and (conditions.under_way(promoting) > 0 or conditions.origin_queries(promoting) > 0):
        return False
    flipping = frozenset(
        transition.collection
        for transition in transitions
        if transition.after.stage.at_least(Stage.FLIPPED) and not transition.promotes and not transition.withholds
    )
    mirroring = frozenset(
        transition.collection
        for transition in transitions
        if transition.after.stage.at_least(Stage.MIRROR) and not transition.before.stage.at_least(Stage.MIRROR)
    )
    if mirroring and conditions.uncaptured_pending(mirroring) > 0:
        return False
    if not flipping:
        return True
    if snapshot.phase is Phase.BEGIN:
        return conditions.backlog(flipping) == 0
    if snapshot.phase is Phase.HOLD:
        return conditions.origin_queries(flipping) == 0
    return conditions.unapplied(flipping) == 0
