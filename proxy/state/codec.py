"""Snapshots and transitions as JSON values, in the forms that the control tables and the state directory keep. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from proxy.model.stages import CollectionState, Phase, Snapshot, Stage, Transition


def encode(snapshot: Snapshot) -> dict[str, Any]:
    """Return a snapshot as JSON values, in the form that PostgreSQL gives them."""
    return {
        "generation": snapshot.generation,
        "epoch": snapshot.epoch,
        "phase": snapshot.phase.value,
        "collections": {name: [s.stage.value, s.weight] for name, s in snapshot.collections.items()},
        "defaults": {name: stage.value for name, stage in snapshot.defaults.items()},
        "moves": encode_transitions(tuple(snapshot.transitions.values())),
    }


def decode(value: Mapping[str, Any]) -> Snapshot:
    """Return the snapshot of JSON values. Raise KeyError, ValueError or TypeError if they are not one."""
    return Snapshot(
        generation=int(value["generation"]),
        epoch=int(value["epoch"]),
        phase=Phase(value["phase"]),
        collections={
            name: CollectionState(Stage(stage), int(weight)) for name, (stage, weight) in value["collections"].items()
        },
        defaults={name: Stage(stage) for name, stage in value["defaults"].items()},
        transitions={transition.collection: transition for transition in decode_transitions(value["moves"])},
    )


def encode_transitions(transitions: Sequence[Transition]) -> list[dict[str, Any]]:
    """Return transitions as `_crossfade.epoch.moves` stores them."""
    return [
        {
            "collection": transition.collection,
            "before": {"stage": transition.before.stage.value, "weight": transition.before.weight},
            "after": {"stage": transition.after.stage.value, "weight": transition.after.weight},
        }
        for transition in transitions
    ]


def decode_transitions(value: Sequence[Mapping[str, Any]] | None) -> tuple[Transition, ...]:
    """Return the transitions that `_crossfade.epoch.moves` stores."""
    return tuple(
        Transition(
            item["collection"],
            CollectionState(Stage(item["before"]["stage"]), item["before"]["weight"]),
            CollectionState(Stage(item["after"]["stage"]), item["after"]["weight"]),
        )
        for item in value or ()
    )
