"""Key ranges and page sizes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.key_ranges import KeyRange, chunk_count, next_limit, ranges, smaller_limit

KEYS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=4)


@given(st.lists(KEYS), st.integers(1, 9), st.lists(KEYS))
def test_ranges_hold_every_key_once(samples: list[str], chunks: int, keys: list[str]) -> None:
    found = ranges(samples, chunks)
    assert 1 <= len(found) <= chunks
    for key in [*keys, *samples]:
        assert sum((one.lower or "") < key and (one.upper is None or key <= one.upper) for one in found) == 1


@given(KEYS, KEYS)
def test_python_orders_keys_by_their_bytes(left: str, right: str) -> None:
    assert (left < right) == (left.encode() < right.encode())


def test_ranges_are_cut_at_quantiles() -> None:
    assert ranges("abcdefg", 4) == (KeyRange(None, "b"), KeyRange("b", "d"), KeyRange("d", "f"), KeyRange("f", None))
    assert ranges([], 4) == (KeyRange(),)
    assert ranges(["a", "a"], 4) == (KeyRange(None, "a"), KeyRange("a", None))
    assert ranges("aB", 3) == (KeyRange(None, "B"), KeyRange("B", "a"), KeyRange("a", None))  # by bytes
    with pytest.raises(ValueError, match="at least one"):
        ranges([], 0)


def test_small_collections_are_one_chunk() -> None:
    assert [chunk_count(n, 2) for n in (0, 10_000, 10_001, 1_000_000, 10**9)] == [1, 1, 4, 40, 256]


def test_pages_aim_at_bytes_and_grow_at_most_twofold() -> None:
    assert next_limit(100, 100, 100_000, most=1000, wanted=1 << 20) == 200
    assert next_limit(800, 800, 800_000, most=1000, wanted=1 << 30) == 1000
    assert next_limit(100, 100, 100 << 20, wanted=4 << 20) == 4
    assert next_limit(1, 1, 16 << 20, wanted=4 << 20) == 1
    assert next_limit(100, 0, 0) == 100


def test_a_page_that_was_too_large_is_halved_at_least() -> None:
    assert smaller_limit(100, 64 << 20, 32 << 20) == 25
    assert smaller_limit(100, (32 << 20) + 1, 32 << 20) == 49
    assert smaller_limit(2, 1 << 40, 32 << 20) == 1
