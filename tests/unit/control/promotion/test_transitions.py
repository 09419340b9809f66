"""Which collections a promotion and a demotion change, and why not others."""

from __future__ import annotations

import pytest

from proxy.base.errors import PreconditionFailed
from proxy.control.promotion.transitions import COMPLETE, FLIPPED, PROMOTED, completion, demotion, promotion
from proxy.model.stages import CollectionState, Stage, Transition

STATES = {
    "a/off": CollectionState(),
    "a/mirror": CollectionState(Stage.MIRROR),
    "a/shadow": CollectionState(Stage.SHADOW),
    "a/ten": CollectionState(Stage.FLIPPED, 10),
    "a/flipped": FLIPPED,
    "a/promoted": PROMOTED,
}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a/new", "a/new is not known: `crossfade mirror a/new`"),
        ("a/off", "at stage off: `crossfade mirror a/off` comes first"),
        ("a/mirror", "`crossfade shadow a/mirror` comes first"),
        ("a/shadow", "`crossfade flip a/shadow` comes first"),
        (
            "a/ten",
            "flipped at 10 %: PostgreSQL must serve all of its reads first, `crossfade flip a/ten --percent 100`",
        ),
    ],
)
def test_what_comes_before_a_promotion_is_named(name: str, why: str) -> None:
    with pytest.raises(PreconditionFailed, match=why):
        promotion(["a/flipped", name], STATES)


def test_groups_are_ordered_by_name_and_what_is_there_is_left_out() -> None:
    states = {**STATES, "a/also": FLIPPED}
    there = (Transition("a/also", FLIPPED, PROMOTED), Transition("a/flipped", FLIPPED, PROMOTED))
    assert promotion(["a/flipped", "a/promoted", "a/also", "a/flipped"], states) == there
    assert demotion(["a/promoted", "a/flipped"], states) == (Transition("a/promoted", PROMOTED, FLIPPED),)


def test_a_demotion_names_what_cannot_go_back() -> None:
    assert demotion(["a/shadow", "a/off"], STATES) == ()
    with pytest.raises(PreconditionFailed, match="a/complete is at stage complete: ArangoDB has not got"):
        demotion(["a/complete"], {"a/complete": CollectionState(Stage.COMPLETE, 100)})


def test_a_completion_begins_with_a_promotion() -> None:
    states = {**STATES, "a/done": COMPLETE}
    assert completion(["a/promoted", "a/done"], states) == (Transition("a/promoted", PROMOTED, COMPLETE),)
    for name, why in (
        ("a/flipped", "a/flipped is flipped at 100 %: `crossfade promote a/flipped` comes first"),
        ("a/shadow", "a/shadow is at stage shadow: `crossfade promote a/shadow` comes first"),
        ("a/new", "a/new is not known"),
    ):
        with pytest.raises(PreconditionFailed, match=why):
            completion(["a/promoted", name], states)
