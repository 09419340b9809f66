"""The model of a flip under refused writes and kills: it holds, and each rule is needed (I7)."""

from __future__ import annotations

import pytest

from tests.model.flipped import Rules, explore, initial

NEEDED = {
    "a dead letter leaves the flip": Rules(letter_ends_the_flip=False),
    "a mark leaves the flip": Rules(mark_ends_the_flip=False),
    "answers do not wait": Rules(answers_wait=False),
    "a lease before the journal is drained": Rules(drains_before_the_lease=False),
    "a kill with something unnoted leaves the flip": Rules(alarm_ends_the_flip=False),
}


def test_no_read_is_stale_in_any_state() -> None:
    """A flip survives a kill and a restart; dead letters and marks end it: no read is older than a version seen
    before.
    """
    found = explore(initial())
    assert found.trace == ()
    assert found.states > 1000


@pytest.mark.parametrize("name", NEEDED)
def test_each_rule_is_needed(name: str) -> None:
    assert explore(initial(), NEEDED[name]).trace


def test_the_flip_outlives_a_kill() -> None:
    """Otherwise the model would hold only because nothing is flipped any more."""
    first = initial(writes=1, refusals=0, full=0)
    assert explore(first, Rules(drains_before_the_lease=False)).trace
