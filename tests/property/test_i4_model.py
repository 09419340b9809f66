"""I4 on a pure model: versions in any order and any batches result in one state.

The model is the rule in a few lines of Python; the same histories run on PostgreSQL in test_i4_postgresql.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.replication.versions import StampedVersion, Stored, is_superseded, newest
from tests.property.i4_histories import History, histories


def apply(state: dict[str, Stored], row: StampedVersion) -> None:
    """Apply the rule: a version replaces what is smaller by (revision, removed)."""
    stored = state.get(row.key)
    if stored is None or (row.rev, row.raw is None) > (stored.rev, not stored.alive):
        state[row.key] = Stored(row.rev, row.raw is not None)


@given(histories, st.data())
@settings(max_examples=300, deadline=None)
def test_any_order_with_duplicates_gives_the_newest_state(history: History, data: st.DataObject) -> None:
    messages = history.rows()
    messages += data.draw(st.lists(st.sampled_from(messages), max_size=5)) if messages else []
    order = data.draw(st.permutations(messages))
    state: dict[str, Stored] = {}
    for row in order:
        apply(state, row)
    assert {key for key, stored in state.items() if stored.alive} == set(history.final())
    for key, rev in history.final().items():
        assert state[key].rev == rev


@given(histories, st.data())
@settings(max_examples=300, deadline=None)
def test_a_batch_reduced_to_one_row_per_key_gives_the_same_state(history: History, data: st.DataObject) -> None:
    order: Sequence[StampedVersion] = data.draw(st.permutations(history.rows()))
    one_by_one: dict[str, Stored] = {}
    batched: dict[str, Stored] = {}
    for row in order:
        apply(one_by_one, row)
    size = data.draw(st.integers(1, 6))
    for start in range(0, len(order), size):
        batch = newest(order[start : start + size])
        assert len({row.key for row in batch}) == len(batch)
        for row in batch:
            apply(batched, row)
    assert batched == one_by_one


@given(histories)
@settings(max_examples=100, deadline=None)
def test_a_change_is_superseded_if_the_rule_would_not_apply_it(history: History) -> None:
    rows = history.rows()
    for first in rows:
        for second in rows:
            if first.key == second.key:
                state: dict[str, Stored] = {}
                apply(state, first)
                before = dict(state)
                apply(state, second)
                assert is_superseded(second, before.get(second.key)) == (state == before)
    assert not is_superseded(StampedVersion("k", 1, None, 0), None)
