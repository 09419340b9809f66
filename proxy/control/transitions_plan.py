"""What a change comes to: targets -> moves -> phases. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proxy.base.errors import PreconditionFailed
from proxy.model.stages import Move, Phase, Snapshot, Stage, Standing, allowed, phases


@dataclass(frozen=True, slots=True)
class DesiredState:
    """Where one collection is to go. collection: `database/name`; `db/*` (or `*/*`) is the default of new ones.

    weight: percent of reads, for `flipped` alone. edge: how its table is made where it is not registered yet.
    """

    collection: str
    stage: Stage
    weight: int = 0
    edge: bool = False

    @property
    def is_default(self) -> bool:
        return self.collection.endswith("/*")

    @property
    def standing(self) -> Standing:
        return Standing(self.stage, self.weight if self.stage is Stage.FLIPPED else 0)


def plan(
    targets: Sequence[DesiredState], collections: Mapping[str, Standing], defaults: Mapping[str, Stage]
) -> tuple[Move, ...]:
    """The moves that lead there; targets that are there already make none.

    Raises PreconditionFailed with a sentence for each target that the stages do not allow.
    """
    snapshot = Snapshot(collections=collections, defaults=defaults)
    moves: dict[str, Move] = {}
    refused: list[str] = []
    for target in targets:
        name, after = target.collection, target.standing
        database, _, rest = name.partition("/")
        if not database or not rest:
            raise PreconditionFailed(
                f"{name!r} is no collection: write database/name, or database/* for all of a database"
            )
        if target.is_default:
            before = Standing(snapshot.default_stage(database))
            if after.stage.at_least(Stage.FLIPPED):
                refused.append(f"{name}: new collections begin at off, mirror or shadow, never at {after.stage}")
                continue
            # new collections have no history to backfill: they may begin anywhere up to shadow
            why = None
        else:
            before = snapshot.standing(name)
            why = allowed(before, after)
        if why is not None:
            refused.append(f"{name}: {why}")
        elif before != after:
            moves[name] = Move(name, before, after)
    if refused:
        raise PreconditionFailed("; ".join(refused))
    return tuple(moves.values())


def phases_of(moves: Sequence[Move]) -> tuple[Phase, ...]:
    """The phases of an epoch with these moves: those of its longest; none where all of them are immediate."""
    return max((phases(move.before, move.after) for move in moves), key=len, default=())


def to_target(moves: Sequence[Move]) -> tuple[Move, ...]:
    """Those that let more reads go to PostgreSQL: what the gates are for."""
    return tuple(move for move in moves if move.after.stage.at_least(Stage.FLIPPED) and phases(move.before, move.after))
