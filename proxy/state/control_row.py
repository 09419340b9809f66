"""The compare-and-set transactions of the control row: what the controller and an instance that rejoins both do.

Every function runs within the caller's transaction, which took the control row with `lock` first: whoever changes
stages waits for whoever is changing them. All of it is one generation further when the transaction commits, and a
target read that tests the generation in its own statement sees exactly one side of it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

import sql
from proxy.base.database import Session
from proxy.base.errors import RefusedError
from proxy.model.stages import Move, Phase, Stage, Standing, phases
from proxy.state import audit
from proxy.state.codec import decode_moves, encode_moves

# once any read may come from PostgreSQL, or while that is being prepared, an instance may not simply come back
_TO_TARGET: Final = Stage.FLIPPED
# an advisory lock that whoever drives an epoch holds on a connection of its own: it goes with the driver
DRIVER: Final = 0x0C0_55FADF


class By(enum.StrEnum):
    """Who takes reads back. Whoever is no operator is named by `crossfade status` until somebody has taken notice."""

    OPERATOR = "operator"
    GUARD = "guard"
    INSTANCE = "instance"


@dataclass(frozen=True, slots=True)
class Control:
    """The control row as a transaction found it. moves: those of the open epoch; none where it is settled."""

    generation: int
    epoch: int
    phase: Phase
    moves: tuple[Move, ...]

    @property
    def open(self) -> bool:
        return self.phase is not Phase.SETTLED

    @property
    def towards_target(self) -> bool:
        """An open epoch that would let reads go to PostgreSQL."""
        return any(move.after.stage.at_least(_TO_TARGET) for move in self.moves)


async def lock(session: Session) -> Control:
    """Takes the control row until the transaction ends."""
    row = await session.fetchval(sql.control.CONTROL_LOCK)
    moves = decode_moves(orjson.loads(row.moves)) if row.moves else ()
    return Control(row.generation, row.epoch, Phase(row.phase), moves)


async def advance(session: Session, control: Control, epoch: int, phase: Phase) -> int:
    """One generation further; returns it, and wakes every instance when the transaction commits."""
    generation = await session.fetchval(sql.control.CONTROL_SET, control.generation, epoch, phase.value)
    await session.execute(sql.control.NOTIFY, str(generation))
    return generation


async def standings(session: Session) -> tuple[dict[str, Standing], dict[str, Stage]]:
    """Every registered collection's standing, and the defaults by database."""
    collections = {
        row.collection: Standing(Stage(row.stage), row.weight) for row in await session.fetch(sql.control.STANDINGS)
    }
    defaults = {row.database: Stage(row.stage) for row in await session.fetch(sql.control.DEFAULTS)}
    return collections, defaults


async def abort(session: Session, control: Control, *, actor: str, reason: str) -> None:
    """Closes the open epoch without its moves; the caller advances the control row. Nothing where none is open."""
    if not control.open:
        return
    await session.execute(sql.control.EPOCH_CLOSE, control.epoch, "aborted")
    await audit.record(
        session,
        actor=actor,
        action="abort",
        reason=reason,
        detail={"epoch": control.epoch, "phase": control.phase.value, "moves": encode_moves(control.moves)},
    )


async def carry_out(session: Session, moves: Sequence[Move], epoch: int) -> None:
    """Writes the moves into the control tables: of databases first, then of collections in the order of their names.

    The shadow locks the rows of comparisons in that order too, so that neither waits for the other in a circle.
    """
    for move in sorted(moves, key=lambda move: "" if move.collection.endswith("/*") else move.collection):
        if move.collection.endswith("/*"):
            database = move.collection.removesuffix("/*")
            await session.execute(sql.control.SET_DEFAULT, database, move.after.stage.value)
            if move.before.stage is Stage.OFF:
                await session.execute(sql.control.ADOPT_DEFAULT, database, move.after.stage.value, epoch)
            continue
        await session.execute(sql.control.SET_STANDING, move.collection, move.after.stage.value, move.after.weight)
        if not move.after.stage.at_least(Stage.FLIPPED):
            await session.execute(sql.auto_rollback.OVER, move.collection)
        if Stage.OFF in (move.before.stage, move.after.stage) and move.before.stage is not move.after.stage:
            await session.execute(sql.control.CANCEL_RUNS, move.collection)
        # on the way to PostgreSQL, at 10 percent and then at 100, what was compared goes on counting
        if move.after.stage is not Stage.FLIPPED or not phases(move.before, move.after):
            await session.execute(sql.control.RESET_COMPARISON, move.collection)


async def immediate(
    session: Session,
    control: Control,
    moves: Sequence[Move],
    *,
    actor: str,
    action: str,
    reason: str | None,
    by: By,
    detail: Mapping[str, Any] | None = None,
) -> tuple[int, int]:
    """Aborts whatever epoch is open and carries out the moves at once; returns (epoch, generation).

    For every way back: no acknowledgement is needed, since each target read tests the generation in its own
    statement (mirror-protocol, "Flip", 6). by: noted where it takes reads back (`states`).
    """
    lowered = any(move.before.stage is Stage.FLIPPED and not move.after.stage.at_least(_TO_TARGET) for move in moves)
    await abort(session, control, actor=actor, reason=f"gave way to {action}")
    epoch = control.epoch + 1
    await session.execute(sql.control.EPOCH_RECORD, epoch, actor, reason, _moves_text(moves))
    await carry_out(session, moves, epoch)
    generation = await advance(session, control, epoch, Phase.SETTLED)
    await audit.record(
        session,
        actor=actor,
        action=action,
        reason=reason,
        detail={
            "epoch": epoch,
            "generation": generation,
            "moves": encode_moves(moves),
            **({"taken_back_by": by.value} if lowered else {}),
            **(detail or {}),
        },
    )
    return epoch, generation


async def take_back(session: Session, *, actor: str, reason: str, expected: int | None = None) -> int | None:
    """Rolls every flipped collection back to `shadow` and aborts an epoch towards it; returns the new generation.

    None where there was nothing to take back. expected: the generation that the caller decided by; raises
    RefusedError where it is another by now: look again.
    """
    control = await lock(session)
    if expected is not None and control.generation != expected:
        raise RefusedError(f"the control row is at generation {control.generation}, not {expected}: look again")
    collections, _ = await standings(session)
    moves = tuple(
        Move(name, standing, Standing(Stage.SHADOW))
        for name, standing in collections.items()
        if standing.stage is Stage.FLIPPED
    )
    if not moves and not control.towards_target:
        return None
    _, generation = await immediate(
        session, control, moves, actor=actor, action="rollback", reason=reason, by=By.INSTANCE
    )
    return generation


async def give_up(session: Session, expected: int, *, actor: str, reason: str) -> bool:
    """Aborts the open epoch where the control row still is at that generation; says whether it did."""
    control = await lock(session)
    if control.generation != expected or not control.open:
        return False
    await abort(session, control, actor=actor, reason=reason)
    await advance(session, control, control.epoch, Phase.SETTLED)
    return True


async def driven(session: Session) -> bool:
    """Whether somebody drives the open epoch: a controller whose connection to PostgreSQL stands."""
    return not await session.fetchval(sql.control.NO_DRIVER, DRIVER)


async def begin(
    session: Session, control: Control, moves: Sequence[Move], first: Phase, *, actor: str, reason: str | None
) -> tuple[int, int]:
    """Opens an epoch in its first phase; returns (epoch, generation)."""
    epoch = control.epoch + 1
    await session.execute(sql.control.EPOCH_OPEN, epoch, actor, reason, _moves_text(moves))
    generation = await advance(session, control, epoch, first)
    return epoch, generation


async def commit(
    session: Session, control: Control, *, actor: str, reason: str | None, detail: Mapping[str, Any]
) -> int:
    """Carries out the open epoch's moves and settles; returns the new generation."""
    await session.execute(sql.control.EPOCH_CLOSE, control.epoch, "committed")
    await carry_out(session, control.moves, control.epoch)
    generation = await advance(session, control, control.epoch, Phase.SETTLED)
    await audit.record(
        session,
        actor=actor,
        action="change",
        reason=reason,
        detail={
            "epoch": control.epoch,
            "generation": generation,
            "moves": encode_moves(control.moves),
            **detail,
        },
    )
    return generation


def _moves_text(moves: Sequence[Move]) -> str:
    return orjson.dumps(encode_moves(moves)).decode()
