"""Which resyncs are carried out next, and which wait."""

from __future__ import annotations

from proxy.journal.records import CollectionChange, Note, Resync, VertexRemoval
from proxy.replication.resync import next_resync


def notes(*writes: Resync) -> list[Note]:
    return [Note(number, 0.0, 0, write.collections[0], write) for number, write in enumerate(writes)]


def truncate(*collections: str) -> CollectionChange:
    return CollectionChange("truncate", collections)


def test_equal_resyncs_are_carried_out_by_one_comparison() -> None:
    waiting = notes(truncate("shop/a"), truncate("shop/b"), truncate("shop/a"))
    assert next_resync(waiting, []) == [waiting[0], waiting[2]]


def test_changes_that_take_or_make_a_collection_are_carried_out_one_by_one() -> None:
    waiting = notes(CollectionChange("drop", ("shop/a",)), CollectionChange("drop", ("shop/a",)))
    assert next_resync(waiting, []) == waiting[:1]
    waiting = notes(VertexRemoval("a/1", ("shop/a",)), VertexRemoval("a/1", ("shop/a",)))
    assert next_resync(waiting, []) == waiting[:1]


def test_a_table_that_refuses_everything_holds_up_only_what_concerns_it() -> None:
    waiting = notes(truncate("shop/a"), truncate("shop/*"), truncate("shop/c"), truncate("other/a"))
    assert next_resync(waiting, waiting[:1]) == [waiting[3]]
    assert next_resync(waiting, [waiting[0], waiting[3]]) == []
    waiting = notes(truncate("shop/a"), truncate("shop/b"))
    assert next_resync(waiting, waiting[:1]) == [waiting[1]]
