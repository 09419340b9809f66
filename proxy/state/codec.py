"""Snapshots and moves as JSON values, in the forms that the control tables and the state directory keep. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from proxy.model.stages import Move, Phase, Snapshot, Stage, Standing


def encode(snapshot: Snapshot) -> dict[str, Any]:
    """Return a snapshot as JSON values, in the form that PostgreSQL gives them."""
    return {
        "generation": snapshot.generation,
        "epoch": snapshot.epoch,
        "phase": snapshot.phase.value,
        "collections": {name: [s.stage.value, s.weight] for name, s in snapshot.collections.items()},
        "defaults": {name: stage.value for name, stage in snapshot.defaults.items()},
        "moves": encode_moves(tuple(snapshot.moves.values())),
    }


def decode(value: Mapping[str, Any]) -> Snapshot:
    """Return the snapshot of JSON values. Raise KeyError, ValueError or TypeError if they are not one."""
    return Snapshot(
        generation=int(value["generation"]),
        epoch=int(value["epoch"]),
        phase=Phase(value["phase"]),
        collections={
            name: Standing(Stage(stage), int(weight)) for name, (stage, weight) in value["collections"].items()
        },
        defaults={name: Stage(stage) for name, stage in value["defaults"].items()},
        moves={move.collection: move for move in decode_moves(value["moves"])},
    )


def encode_moves(moves: Sequence[Move]) -> list[dict[str, Any]]:
    """Return moves as `_crossfade.epoch.moves` stores them."""
    return [
        {
            "collection": move.collection,
            "before": {"stage": move.before.stage.value, "weight": move.before.weight},
            "after": {"stage": move.after.stage.value, "weight": move.after.weight},
        }
        for move in moves
    ]


def decode_moves(value: Sequence[Mapping[str, Any]] | None) -> tuple[Move, ...]:
    """Return the moves that `_crossfade.epoch.moves` stores."""
    return tuple(
        Move(
            item["collection"],
            Standing(Stage(item["before"]["stage"]), item["before"]["weight"]),
            Standing(Stage(item["after"]["stage"]), item["after"]["weight"]),
        )
        for item in value or ()
    )
