"""The model of the reverse mirror: its small bounds hold, each rule is needed or known not to be."""

from __future__ import annotations

from dataclasses import fields

import pytest

from tests.model.explore import explore_reverse
from tests.model.reverse.runs import FREE, NEEDED, SMALL
from tests.model.reverse.state import Rules
from tests.model.search import line


@pytest.mark.parametrize("name", SMALL)
def test_the_rules_hold_in_every_state_of_small_bounds(name: str) -> None:
    """ArangoDB has what PostgreSQL has when the outbox is empty, and from every state it can become empty."""
    found = explore_reverse(name, SMALL[name])
    assert not found.wrong, "\n".join((line(found), *found.trace))
    assert found.resting


@pytest.mark.parametrize("name", NEEDED)
def test_each_rule_is_needed(name: str) -> None:
    rules, bounds, said = NEEDED[name]
    found = explore_reverse(name, bounds, rules)
    assert found.wrong.startswith(said), found
    assert found.trace


@pytest.mark.parametrize("name", FREE)
def test_what_is_not_needed_is_not_missed(name: str) -> None:
    rules, bounds = FREE[name]
    assert not explore_reverse(name, bounds, rules).wrong


def test_every_rule_is_taken_away() -> None:
    taken = [rules for rules, *_ in (*NEEDED.values(), *FREE.values())]
    assert [one.name for one in fields(Rules) if all(getattr(rules, one.name) for rules in taken)] == []
