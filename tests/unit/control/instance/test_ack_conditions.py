"""When a phase may be acknowledged (mirror-protocol, "Flip", 2 to 4)."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.control.instance.ack_conditions import AckConditions, Scope, ready
from proxy.model.stages import CollectionState, Phase, Snapshot, Stage, Transition

FLIP = {"a/b": Transition("a/b", CollectionState(Stage.SHADOW), CollectionState(Stage.FLIPPED, 100))}
MIRROR = {"a/b": Transition("a/b", CollectionState(), CollectionState(Stage.MIRROR))}
SHADOW = {"a/b": Transition("a/b", CollectionState(Stage.MIRROR), CollectionState(Stage.SHADOW))}
PROMOTION = {"a/b": Transition("a/b", CollectionState(Stage.FLIPPED, 100), CollectionState(Stage.PROMOTED, 100))}
DEMOTION = {"a/b": Transition("a/b", CollectionState(Stage.PROMOTED, 100), CollectionState(Stage.FLIPPED, 100))}


def _conditions(asked: list[Scope], **counts: int) -> AckConditions:
    def count(name: str) -> Any:
        def counted(scope: Scope) -> int:
            asked.append(scope)
            return counts.get(name, 0)

        return counted

    return AckConditions(
        backlog=count("backlog"),
        lag_seconds=lambda: 0.0,
        uncaptured_pending=count("uncaptured_pending"),
        origin_queries=count("origin_queries"),
        unapplied=count("unapplied"),
        under_way=count("under_way"),
        journal_clean=lambda: True,
    )


@pytest.mark.parametrize(
    ("transitions", "phase", "blocks"),
    [
        (FLIP, Phase.BEGIN, {"backlog"}),
        (FLIP, Phase.HOLD, {"origin_queries"}),
        (FLIP, Phase.DRAIN, {"unapplied"}),
        (MIRROR, Phase.BEGIN, {"uncaptured_pending"}),
        (SHADOW, Phase.BEGIN, set()),
        (PROMOTION, Phase.HOLD, {"under_way", "origin_queries"}),
        (DEMOTION, Phase.DRAIN, set()),
        ({}, Phase.IDLE, set()),
    ],
)
def test_what_each_phase_waits_for(transitions: dict[str, Transition], phase: Phase, blocks: set[str]) -> None:
    snapshot = Snapshot(3, 1, phase, {}, {}, transitions)
    asked: list[Scope] = []
    assert ready(snapshot, _conditions(asked))
    for name in ("backlog", "uncaptured_pending", "origin_queries", "unapplied", "under_way"):
        assert ready(snapshot, _conditions(asked, **{name: 1})) == (name not in blocks)
    assert set(asked) <= {frozenset({"a/b"})}
