"""Clients create shapes: a limited number per collection is kept, and the rest is counted under one name."""

from __future__ import annotations

from proxy.routing.query_shapes import OTHER, Shape
from proxy.shadow.bounds import Bound


def shape(number: int) -> Shape:
    return Shape(f"s{number}", f"text {number}")


def test_beyond_the_bound_shapes_of_a_collection_are_one_and_those_before_stay_themselves() -> None:
    bound = Bound(most=3)
    assert [bound.of(("db/a",), shape(n)).name for n in range(5)] == ["s0", "s1", "s2", "other", "other"]
    assert bound.of(("db/a",), shape(1)) == shape(1)
    assert bound.of(("db/b",), shape(4)) == shape(4), "each collection has room of its own"


def test_a_read_of_several_collections_is_one_shape_in_all_of_them() -> None:
    bound = Bound(most=1)
    assert bound.of(("db/a",), shape(0)) == shape(0)
    assert bound.of(("db/a", "db/b"), shape(1)) == OTHER
    assert bound.of(("db/b",), shape(2)) == shape(2), "what was not kept took no room"


def test_what_postgresql_has_counts_behind_a_restart() -> None:
    bound = Bound(most=2)
    bound.learn([("db/a", "s0"), ("db/a", "s1")])
    assert bound.of(("db/a",), shape(2)) == OTHER
    assert bound.of(("db/a",), shape(0)) == shape(0)
