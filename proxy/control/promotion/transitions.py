"""The transitions of a promotion, a demotion or a completion, or why there are none. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from proxy.base.errors import PreconditionFailed
from proxy.model.stages import CollectionState, Stage, Transition

FLIPPED: Final = CollectionState(Stage.FLIPPED, 100)
PROMOTED: Final = CollectionState(Stage.PROMOTED, 100)
COMPLETE: Final = CollectionState(Stage.COMPLETE, 100)


def promotion(names: Sequence[str], states: Mapping[str, CollectionState]) -> tuple[Transition, ...]:
    """Return the transitions to `promoted`, by name; none of collections that are there already.

    Raise PreconditionFailed with a sentence for each collection that something must be done about first.
    """
    return _planned(names, states, FLIPPED, PROMOTED, _before_promotion)


def demotion(names: Sequence[str], states: Mapping[str, CollectionState]) -> tuple[Transition, ...]:
    """Return the transitions back to `flipped` at 100 %, by name; none of collections whose writes ArangoDB takes.

    Raise PreconditionFailed with a sentence for each collection that cannot go back.
    """
    return _planned(names, states, PROMOTED, FLIPPED, _before_demotion)


def completion(names: Sequence[str], states: Mapping[str, CollectionState]) -> tuple[Transition, ...]:
    """Return the transitions to `complete`, by name; none of collections that are there already.

    Raise PreconditionFailed with a sentence for each collection that something must be done about first.
    """
    return _planned(names, states, PROMOTED, COMPLETE, _before_completion)


def _planned(
    names: Sequence[str],
    states: Mapping[str, CollectionState],
    before: CollectionState,
    after: CollectionState,
    why: Mapping[Stage, str],
) -> tuple[Transition, ...]:
    found: list[Transition] = []
    refused: list[str] = []
    for name in sorted(set(names)):
        state = states.get(name)
        if state is None:
            refused.append(f"{name} is not known: `crossfade mirror {name}` starts to mirror it")
        elif state == before:
            found.append(Transition(name, before, after))
        elif state.stage in why:
            refused.append(f"{name} is {_shown(state)}: " + why[state.stage].format(name))
    if refused:
        raise PreconditionFailed("; ".join(refused))
    return tuple(found)


_before_promotion: Final[Mapping[Stage, str]] = {
    Stage.OFF: "`crossfade mirror {}` comes first",
    Stage.MIRROR: "`crossfade shadow {}` comes first",
    Stage.SHADOW: "`crossfade flip {}` comes first",
    Stage.FLIPPED: "PostgreSQL must serve all of its reads first, `crossfade flip {} --percent 100`",
}
_before_completion: Final[Mapping[Stage, str]] = dict.fromkeys(
    (Stage.OFF, Stage.MIRROR, Stage.SHADOW, Stage.FLIPPED), "`crossfade promote {}` comes first"
)
_before_demotion: Final[Mapping[Stage, str]] = {
    Stage.COMPLETE: "ArangoDB has not got its writes since, and only an archive brings it back",
}


def _shown(state: CollectionState) -> str:
    return f"flipped at {state.weight} %" if state.stage is Stage.FLIPPED else f"at stage {state.stage}"
