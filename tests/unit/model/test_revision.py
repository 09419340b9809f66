"""Revisions: text and integer, and a clock that never goes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model.revision import INVALID, Clock, decode_rev, encode_rev


def test_a_recorded_revision_decodes_to_its_time_and_counter() -> None:
    value = decode_rev("_l6zhVTW--A")
    assert value == 1872607071780732930
    assert value & 0xFFFFF == 2
    assert encode_rev(value) == "_l6zhVTW--A"


@pytest.mark.parametrize("text", ["_l6zhVEC---", "_l6zhVHK---", "_l6zh5OS--_", "_l6zhVYK--_", "_bg3HqBa---"])
def test_text_survives_both_ways(text: str) -> None:
    assert encode_rev(decode_rev(text)) == text


@given(st.integers(min_value=1450656000001, max_value=INVALID))
def test_every_integer_survives_both_ways(value: int) -> None:
    # decimal-looking text (a leading digit 1 to 9) is read as decimal: such revisions lie beyond the year 2200
    text = encode_rev(value)
    assert len(text) <= 11
    if text[0] not in "123456789":
        assert decode_rev(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("1234567", 1234567), ("12x", INVALID), ("", INVALID), ("no revision", INVALID), ("*", INVALID), ("é", INVALID)],
)
def test_old_and_invalid_text(text: str, value: int) -> None:
    assert decode_rev(text) == value


def test_text_too_long_for_64_bits_is_invalid() -> None:
    assert decode_rev("z" * 12) == INVALID
    assert decode_rev("1" * 30) == INVALID


def test_old_revisions_print_as_decimal() -> None:
    assert encode_rev(4711) == "4711"


def test_the_clock_counts_within_a_millisecond_and_survives_a_step_back() -> None:
    times = iter([1000, 1000, 999, 2000])
    clock = Clock(lambda: next(times))
    assert [clock.tick() for _ in range(4)] == [1000 << 20, (1000 << 20) + 1, (1000 << 20) + 2, 2000 << 20]
    assert clock.last == 2000 << 20


def test_the_clock_continues_above_an_observed_revision() -> None:
    clock = Clock(lambda: 1)
    clock.observe(5 << 20)
    assert clock.tick() == (5 << 20) + 1
    clock.observe(7)
    assert clock.last == (5 << 20) + 1


def test_the_default_clock_is_the_wall_clock() -> None:
    first, second = Clock().tick(), Clock().tick()
    assert 0 <= (second >> 20) - (first >> 20) < 60_000
