"""The steps of a change: targets -> transitions -> phases. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proxy.base.errors import PreconditionFailed
from proxy.model.stages import CollectionState, Phase, Snapshot, Stage, Transition, allowed, phases


@dataclass(frozen=True, slots=True)
class DesiredState:
    """The state that a collection is to reach. collection: `database/name`; `db/*` (or `*/*`): the default of new ones.

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
    def state(self) -> CollectionState:
        return CollectionState(self.stage, self.weight if self.stage is Stage.FLIPPED else 0)


def plan(
    targets: Sequence[DesiredState], collections: Mapping[str, CollectionState], defaults: Mapping[str, Stage]
) -> tuple[Transition, ...]:
    """Return the transitions that lead there; none for targets that are there already.

    Raise PreconditionFailed with a sentence for each target that the stages do not allow.
    """
    snapshot = Snapshot(collections=collections, defaults=defaults)
    transitions: dict[str, Transition] = {}
    refused: list[str] = []
    for target in targets:
        name, after = target.collection, target.state
        database, _, rest = name.partition("/")
        if not database or not rest:
            raise PreconditionFailed(
                f"{name!r} is no collection: write database/name, or database/* for all of a database"
            )
        if target.is_default:
            before = CollectionState(snapshot.default_stage(database))
            if after.stage.at_least(Stage.FLIPPED):
                refused.append(f"{name}: new collections begin at off, mirror or shadow, never at {after.stage}")
                continue
            # new collections have no history to backfill: they may begin anywhere up to shadow
            why = None
        else:
            before = snapshot.state(name)
            why = allowed(before, after)
        if why is not None:
            refused.append(f"{name}: {why}")
        elif before != after:
            transitions[name] = Transition(name, before, after)
    if refused:
        raise PreconditionFailed("; ".join(refused))
    return tuple(transitions.values())


def phases_of(transitions: Sequence[Transition]) -> tuple[Phase, ...]:
    """Return the phases of an epoch with these transitions: those of its longest; none if all are immediate."""
    return max((phases(transition.before, transition.after) for transition in transitions), key=len, default=())


def to_target(transitions: Sequence[Transition]) -> tuple[Transition, ...]:
    """The transitions after which PostgreSQL serves more reads: gates apply to them."""
    return tuple(
        transition
        for transition in transitions
        if transition.after.stage.at_least(Stage.FLIPPED) and phases(transition.before, transition.after)
    )
