"""Which collections ArangoDB may lack because of a change through this proxy."""

from __future__ import annotations

import pytest

from proxy.journal.records import CollectionChange
from proxy.replication.dropped_collections import DroppedCollections

BOOKS, TOMES = "shop/books", "shop/tomes"


@pytest.fixture
def dropped() -> DroppedCollections:
    return DroppedCollections()


def change(kind: str, *collections: str) -> CollectionChange:
    return CollectionChange(kind, collections)


def test_a_collection_may_be_missing_as_soon_as_its_drop_is_on_its_way(dropped: DroppedCollections) -> None:
    assert not dropped.explains(BOOKS)
    dropped.expect(CollectionChange("drop", (BOOKS,)))
    assert dropped.explains(BOOKS)
    dropped.ended(change("drop", BOOKS))
    assert dropped.explains(BOOKS)


def test_a_drop_that_was_refused_took_nothing_away(dropped: DroppedCollections) -> None:
    dropped.expect(CollectionChange("drop", (BOOKS,)))
    dropped.kept(CollectionChange("drop", (BOOKS,)))
    assert not dropped.explains(BOOKS)


def test_a_drop_that_was_refused_gives_nothing_back_that_another_took(dropped: DroppedCollections) -> None:
    dropped.expect(CollectionChange("drop", (BOOKS,)))
    dropped.expect(CollectionChange("drop", (BOOKS,)))
    dropped.kept(CollectionChange("drop", (BOOKS,)))
    assert dropped.explains(BOOKS)
    dropped.ended(change("drop", BOOKS))
    dropped.expect(CollectionChange("drop", (BOOKS,)))
    dropped.kept(CollectionChange("drop", (BOOKS,)))
    assert dropped.explains(BOOKS)


def test_what_is_made_again_is_there_when_that_has_ended_and_not_before(dropped: DroppedCollections) -> None:
    dropped.expect(CollectionChange("drop", (BOOKS,)))
    dropped.ended(change("drop", BOOKS))
    dropped.expect(CollectionChange("create", (BOOKS,)))
    assert dropped.explains(BOOKS)
    dropped.ended(change("create", BOOKS))
    assert not dropped.explains(BOOKS)


def test_a_rename_takes_the_old_name_and_makes_the_new_one(dropped: DroppedCollections) -> None:
    dropped.ended(change("drop", TOMES))
    dropped.expect(CollectionChange("rename", (BOOKS, TOMES)))
    assert dropped.explains(TOMES)
    dropped.ended(change("rename", BOOKS, TOMES))
    assert (dropped.explains(BOOKS), dropped.explains(TOMES)) == (True, False)


def test_a_dropped_database_takes_its_collections(dropped: DroppedCollections) -> None:
    dropped.expect(CollectionChange("drop", ("shop/*",)))
    assert dropped.explains(BOOKS)
    assert not dropped.explains("other/books")


def test_a_note_of_an_earlier_process_was_not_expected_here(dropped: DroppedCollections) -> None:
    dropped.ended(change("drop", BOOKS))
    dropped.ended(change("create", BOOKS))
    dropped.expect(CollectionChange("drop", (BOOKS,)))
    assert dropped.explains(BOOKS)
    dropped.kept(CollectionChange("drop", (BOOKS,)))
    assert not dropped.explains(BOOKS)
