"""What is under way, by collection: whole databases overlap with each of their collections."""

from __future__ import annotations

import pytest

from proxy.flight import Flight, overlap


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("shop/books", "shop/books", True),
        ("shop/books", "shop/authors", False),
        ("shop/*", "shop/books", True),
        ("shop/books", "shop/*", True),
        ("shop/*", "shopping/books", False),
        ("*/*", "shop/books", True),
        ("shop/*", "*/*", True),
    ],
)
def test_overlap(one: str, other: str, expected: bool) -> None:
    assert overlap(one, other) is overlap(other, one) is expected


def test_operations_count_as_long_as_they_run() -> None:
    flight = Flight()
    applied = False
    with (
        flight.during(flight.uncaptured, ("shop/*",), 3),
        flight.during(flight.captured, ("shop/books",), 3, lambda: applied),
    ):
        assert flight.count(flight.uncaptured, frozenset({"shop/books"})) == 1
        assert flight.count(flight.uncaptured, frozenset({"other/books"})) == 0
        assert flight.waiting(None) == flight.older(None, 4) == 1
        assert flight.older(None, 3) == 0, "it began in this generation"
        applied = True
        assert flight.waiting(None) == flight.older(None, 4) == 0
    assert not flight.uncaptured
    assert not flight.captured
