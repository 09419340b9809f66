"""The compare-and-set transactions of the control row, for the controller and for an instance that rejoins.

Every function runs in the caller's transaction, which locked the control row with `lock` first: changes of stages run
one after the other. The generation increases by one when the transaction commits, and a read of PostgreSQL that tests
the generation in its own statement sees either all of the change or nothing of it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

import sql
from proxy.base.database import Session
from proxy.base.errors import PreconditionFailed
from proxy.model.stages import CollectionState, Phase, Stage, Transition, Writer, phases
from proxy.state import audit
from proxy.state.codec import decode_transitions, encode_transitions

# once any read may come from PostgreSQL, or while that is being prepared, an instance may not simply come back
_TO_TARGET: Final = Stage.FLIPPED
# the advisory lock of the process that drives an epoch, on a dedicated connection: it ends with that process
DRIVER: Final = 0x0C0_55FADF


class By(enum.StrEnum):
    """Who rolled reads back. `crossfade status` shows automatic rollbacks until an operator acknowledges them."""

    OPERATOR = "operator"
    AUTO_ROLLBACK = "auto_rollback"
    INSTANCE = "instance"


@dataclass(frozen=True, slots=True)
class Control:
    """The control row as a transaction read it. transitions: those of the open epoch; none if it is settled."""

    generation: int
    epoch: int
    phase: Phase
    transitions: tuple[Transition, ...]

    @property
    def open(self) -> bool:
        return self.phase is not Phase.IDLE

    @property
    def towards_target(self) -> bool:
        """True if an open epoch would send reads, or writes, to PostgreSQL."""
        return any(
            transition.after.stage.at_least(_TO_TARGET) and not transition.withholds for transition in self.transitions
        )


async def lock(session: Session) -> Control:
    """Lock the control row until the transaction ends, and return it."""
    row = await session.fetchval(sql.control.CONTROL_LOCK)
    transitions = decode_transitions(orjson.loads(row.moves)) if row.moves else ()
    return Control(row.generation, row.epoch, Phase(row.phase), transitions)


async def advance(session: Session, control: Control, epoch: int, phase: Phase) -> int:
    """Increase the generation and return it; every instance is notified when the transaction commits."""
    generation = await session.fetchval(sql.control.CONTROL_SET, control.generation, epoch, phase.value)
    await session.execute(sql.control.NOTIFY, str(generation))
    return generation


async def collection_states(session: Session) -> tuple[dict[str, CollectionState], dict[str, Stage]]:
    """Return every registered collection's state, and the default stages by database."""
    collections = await session.fetch(sql.control.COLLECTION_STAGES)
    return states_of(collections), stages_of(await session.fetch(sql.control.DEFAULTS))


def states_of(rows: Iterable[sql.control.CollectionStageRow]) -> dict[str, CollectionState]:
    """Return rows of collections by collection."""
    return {row.collection: CollectionState(Stage(row.stage), row.weight) for row in rows}


def stages_of(rows: Iterable[sql.control.DefaultStageRow]) -> dict[str, Stage]:
    """Return rows of default stages by database."""
    return {row.database: Stage(row.stage) for row in rows}


async def abort(session: Session, control: Control, *, actor: str, reason: str) -> None:
    """Close the open epoch without its transitions, if one is open; the caller advances the control row.

    PostgreSQL takes the writes again of collections whose demotion or completion had begun.
    """
    if not control.open:
        return
    withheld = _names(transition for transition in control.transitions if transition.withholds)
    if withheld:
        await session.fetchval(sql.promotion.RESUME, withheld)
    await session.execute(sql.control.EPOCH_CLOSE, control.epoch, "aborted")
    await audit.record(
        session,
        actor=actor,
        action="abort",
        reason=reason,
        detail={"epoch": control.epoch, "phase": control.phase.value, "moves": encode_transitions(control.transitions)},
    )


async def carry_out(session: Session, transitions: Sequence[Transition], epoch: int) -> None:
    """Write the transitions into the control tables: databases first, then collections in the order of their names.

    The shadow locks the rows of comparisons in the same order, which excludes a deadlock. Who takes the writes changes
    here, for a demotion; for a promotion the caller did it in this transaction (`take_writes`). Raise
    PreconditionFailed if it did not; StatementError if ArangoDB lacks a write of a demoted or completed collection, or
    if the transitions do not start from who takes the writes now.
    """
    demoted = _names(transition for transition in transitions if transition.demotes)
    if demoted:
        await session.fetchval(sql.promotion.GIVE_BACK, demoted)
    completed = _names(transition for transition in transitions if transition.completes)
    if completed:
        await session.fetchval(sql.promotion.COMPLETE, completed)
    promoted = _names(transition for transition in transitions if transition.promotes)
    if promoted:
        missed = await session.fetch(sql.promotion.OTHER_WRITERS, promoted, Writer.TARGET.value)
        if missed:
            raise PreconditionFailed(f"PostgreSQL does not take the writes of {', '.join(missed)}: nothing changed")
    for transition in sorted(
        transitions, key=lambda transition: "" if transition.collection.endswith("/*") else transition.collection
    ):
        if transition.collection.endswith("/*"):
            database = transition.collection.removesuffix("/*")
            await session.execute(sql.control.SET_DEFAULT, database, transition.after.stage.value)
            if transition.before.stage is Stage.OFF:
                await session.execute(sql.control.ADOPT_DEFAULT, database, transition.after.stage.value, epoch)
            continue
        await session.execute(
            sql.control.SET_COLLECTION_STAGE,
            transition.collection,
            transition.after.stage.value,
            transition.after.weight,
        )
        if transition.after.stage is not Stage.FLIPPED:
            await session.execute(sql.auto_rollback.OVER, transition.collection)
        if (
            Stage.OFF in (transition.before.stage, transition.after.stage)
            and transition.before.stage is not transition.after.stage
        ):
            await session.execute(sql.control.CANCEL_RUNS, transition.collection)
        # while a flip advances, at 10 percent and then at 100, earlier comparisons continue to count
        advances = transition.after.stage is Stage.FLIPPED and phases(transition.before, transition.after)
        if not advances or transition.demotes:
            await session.execute(sql.control.RESET_COMPARISON, transition.collection)


async def immediate(
    session: Session,
    control: Control,
    transitions: Sequence[Transition],
    *,
    actor: str,
    action: str,
    reason: str | None,
    by: By,
    detail: Mapping[str, Any] | None = None,
) -> tuple[int, int]:
    """Abort the open epoch, if any, and carry out the transitions in this transaction; return (epoch, generation).

    For every rollback: no acknowledgement is needed, since each read of PostgreSQL tests the generation in its own
    statement (mirror-protocol, "Flip", 6). by: noted if reads are rolled back (`states`).
    """
    lowered = any(
        transition.before.stage is Stage.FLIPPED and not transition.after.stage.at_least(_TO_TARGET)
        for transition in transitions
    )
    await abort(session, control, actor=actor, reason=f"replaced by {action}")
    epoch = control.epoch + 1
    await session.execute(sql.control.EPOCH_RECORD, epoch, actor, reason, _transitions_text(transitions))
    await carry_out(session, transitions, epoch)
    generation = await advance(session, control, epoch, Phase.IDLE)
    await audit.record(
        session,
        actor=actor,
        action=action,
        reason=reason,
        detail={
            "epoch": epoch,
            "generation": generation,
            "moves": encode_transitions(transitions),
            **({"taken_back_by": by.value} if lowered else {}),
            **(detail or {}),
        },
    )
    return epoch, generation


async def roll_back_all(session: Session, *, actor: str, reason: str, expected: int | None = None) -> int | None:
    """Roll every flipped collection back to `shadow` and abort an epoch towards `flipped`; return the new generation.

    None if there was nothing to roll back. expected: the generation on which the caller decided; raise
    PreconditionFailed if it is another by now.
    """
    control = await lock(session)
    if expected is not None and control.generation != expected:
        raise PreconditionFailed(f"the control row is at generation {control.generation}, not {expected}: look again")
    collections, _ = await collection_states(session)
    transitions = tuple(
        Transition(name, state, CollectionState(Stage.SHADOW))
        for name, state in collections.items()
        if state.stage is Stage.FLIPPED
    )
    if not transitions and not control.towards_target:
        return None
    _, generation = await immediate(
        session, control, transitions, actor=actor, action="rollback", reason=reason, by=By.INSTANCE
    )
    return generation


async def give_up(session: Session, expected: int, *, actor: str, reason: str) -> bool:
    """Abort the open epoch if the control row is still at that generation. Return True if it did."""
    control = await lock(session)
    if control.generation != expected or not control.open:
        return False
    await abort(session, control, actor=actor, reason=reason)
    await advance(session, control, control.epoch, Phase.IDLE)
    return True


async def has_controller(session: Session) -> bool:
    """Return True if a controller drives the open epoch: its connection to PostgreSQL is open."""
    return not await session.fetchval(sql.control.NO_DRIVER, DRIVER)


async def begin(
    session: Session,
    control: Control,
    transitions: Sequence[Transition],
    first: Phase,
    *,
    actor: str,
    reason: str | None,
) -> tuple[int, int]:
    """Open an epoch in its first phase; return (epoch, generation).

    From the begin of a demotion or completion on, PostgreSQL takes no writes of its collections. That waits for the
    writes under way: DatabaseUnavailable if a limit of the transaction ends it.
    """
    epoch = control.epoch + 1
    withheld = _names(transition for transition in transitions if transition.withholds)
    if withheld:
        await session.fetchval(sql.promotion.WITHHOLD, withheld)
    await session.execute(sql.control.EPOCH_OPEN, epoch, actor, reason, _transitions_text(transitions))
    generation = await advance(session, control, epoch, first)
    return epoch, generation


async def commit(
    session: Session,
    control: Control,
    *,
    actor: str,
    reason: str | None,
    detail: Mapping[str, Any],
    action: str = "change",
) -> int:
    """Carry out the open epoch's transitions and settle; return the new generation."""
    await session.execute(sql.control.EPOCH_CLOSE, control.epoch, "committed")
    await carry_out(session, control.transitions, control.epoch)
    generation = await advance(session, control, control.epoch, Phase.IDLE)
    await audit.record(
        session,
        actor=actor,
        action=action,
        reason=reason,
        detail={
            "epoch": control.epoch,
            "generation": generation,
            "moves": encode_transitions(control.transitions),
            **detail,
        },
    )
    return generation


def _names(transitions: Iterable[Transition]) -> list[str]:
    return sorted(transition.collection for transition in transitions)


def _transitions_text(transitions: Sequence[Transition]) -> str:
    return orjson.dumps(encode_transitions(transitions)).decode()
