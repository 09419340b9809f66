"""Laws of the order of values: it is total, and agrees with equality and with the keys of groups."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.aql import compare, equal, json_text, order_key
from proxy.aql.values import hash_key

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, 1.0, -2.0, 1e300])
    | st.sampled_from(["", "a", "A", "b", "_", "0", "ä", "aa"])
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abAB"), inner, max_size=3),
    max_leaves=5,
)


@given(VALUES, VALUES, VALUES)
@settings(max_examples=500, deadline=None)
def test_the_order_is_total_and_agrees_with_equality(a: Any, b: Any, c: Any) -> None:
    assert compare(a, a) == 0
    assert compare(a, b) == -compare(b, a)
    assert (compare(a, b) == 0) == equal(a, b) == (hash_key(a) == hash_key(b)) == (order_key(a) == order_key(b))
    assert (compare(a, b) < 0) == (order_key(a) < order_key(b))
    if compare(a, b) <= 0 and compare(b, c) <= 0:
        assert compare(a, c) <= 0


@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_printed_values_read_back_equal(value: Any) -> None:
    import json

    assert equal(json.loads(json_text(value)), value)
