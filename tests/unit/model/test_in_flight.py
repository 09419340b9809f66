"""Operations in flight, by collection: a whole database overlaps with each of its collections."""

from __future__ import annotations

import pytest

from proxy.model.in_flight import InFlight, overlap


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
    flight = InFlight()
    applied = False
    with (
        flight.track(flight.uncaptured, ("shop/*",), 3),
        flight.track(flight.captured, ("shop/books",), 3, lambda: applied),
    ):
        assert flight.count(flight.uncaptured, frozenset({"shop/books"})) == 1
        assert flight.count(flight.uncaptured, frozenset({"other/books"})) == 0
        assert flight.waiting(None) == flight.older(None, 4) == 1
        assert flight.older(None, 3) == 0, "it began in this generation"
        applied = True
        assert flight.waiting(None) == flight.older(None, 4) == 0
    assert not flight.uncaptured
    assert not flight.captured


def test_intents_of_other_collections_hide_no_backlog() -> None:
    """A write into two collections, of which one is complete, must not hide the open intent of another write (I7)."""
    flight = InFlight()
    open_ = ["shop/books", "shop/authors"]
    books, authors = frozenset({"shop/books"}), frozenset({"shop/authors"})
    with flight.track(flight.captured, ("shop/books", "shop/authors"), 3, left=lambda: open_):
        assert flight.waiting(None) == 2
        assert flight.waiting(books) == flight.waiting(authors) == 1
        open_.remove("shop/books")
        assert flight.waiting(books) == flight.older(books, 4) == 0
        assert flight.waiting(authors) == flight.older(authors, 4) == 1


def test_a_transaction_that_runs_is_no_backlog_but_must_be_seen_to_run() -> None:
    flight = InFlight()
    with flight.track(flight.running, ("shop/*",), 0, left=lambda: ["shop/books"]) as token:
        assert flight.waiting(None) == 1
        assert flight.older(frozenset({"shop/books"}), 5) == 1
        token.generation = 5
        assert flight.older(None, 5) == 0
