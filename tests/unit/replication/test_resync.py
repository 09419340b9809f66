"""What a sweep knows of collections that are missing: pure, without databases."""

from __future__ import annotations

from typing import Any, cast

import pytest

from proxy.journal.records import CollectionChange, Note
from proxy.replication.resync import Resyncer

BOOKS, TOMES = "shop/books", "shop/tomes"


@pytest.fixture
def sweeper() -> Resyncer:
    nobody = cast("Any", None)
    return Resyncer(nobody, nobody, nobody, nobody, nobody, lambda *_: None)


def note(kind: str, *collections: str) -> Note:
    return Note(1, 0.0, 0, collections[0], CollectionChange(kind, collections))


def test_a_collection_may_be_missing_as_soon_as_its_drop_is_on_its_way(sweeper: Resyncer) -> None:
    assert not sweeper.dropped(BOOKS)
    sweeper.expect(CollectionChange("drop", (BOOKS,)))
    assert sweeper.dropped(BOOKS)
    sweeper.add(note("drop", BOOKS))
    assert sweeper.dropped(BOOKS)


def test_a_drop_that_was_refused_took_nothing_away(sweeper: Resyncer) -> None:
    sweeper.expect(CollectionChange("drop", (BOOKS,)))
    sweeper.kept(CollectionChange("drop", (BOOKS,)))
    assert not sweeper.dropped(BOOKS)


def test_a_drop_that_was_refused_gives_nothing_back_that_another_took(sweeper: Resyncer) -> None:
    sweeper.expect(CollectionChange("drop", (BOOKS,)))
    sweeper.expect(CollectionChange("drop", (BOOKS,)))
    sweeper.kept(CollectionChange("drop", (BOOKS,)))
    assert sweeper.dropped(BOOKS)
    sweeper.add(note("drop", BOOKS))
    sweeper.expect(CollectionChange("drop", (BOOKS,)))
    sweeper.kept(CollectionChange("drop", (BOOKS,)))
    assert sweeper.dropped(BOOKS)


def test_what_is_made_again_is_there_when_that_has_ended_and_not_before(sweeper: Resyncer) -> None:
    sweeper.expect(CollectionChange("drop", (BOOKS,)))
    sweeper.add(note("drop", BOOKS))
    sweeper.expect(CollectionChange("create", (BOOKS,)))
    assert sweeper.dropped(BOOKS)
    sweeper.add(note("create", BOOKS))
    assert not sweeper.dropped(BOOKS)


def test_a_rename_takes_the_old_name_and_makes_the_new_one(sweeper: Resyncer) -> None:
    sweeper.add(note("drop", TOMES))
    sweeper.expect(CollectionChange("rename", (BOOKS, TOMES)))
    assert sweeper.dropped(TOMES)
    sweeper.add(note("rename", BOOKS, TOMES))
    assert (sweeper.dropped(BOOKS), sweeper.dropped(TOMES)) == (True, False)


def test_a_dropped_database_takes_its_collections(sweeper: Resyncer) -> None:
    sweeper.expect(CollectionChange("drop", ("shop/*",)))
    assert sweeper.dropped(BOOKS)
    assert not sweeper.dropped("other/books")


def test_a_note_of_an_earlier_process_was_not_expected_here(sweeper: Resyncer) -> None:
    sweeper.add(note("drop", BOOKS))
    sweeper.add(note("create", BOOKS))
    sweeper.expect(CollectionChange("drop", (BOOKS,)))
    assert sweeper.dropped(BOOKS)
    sweeper.kept(CollectionChange("drop", (BOOKS,)))
    assert not sweeper.dropped(BOOKS)
