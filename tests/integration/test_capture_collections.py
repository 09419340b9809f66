"""Truncate, drop, rename and create through a proxy: both databases are the same afterwards (mirror-protocol, 6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.journal.records import CollectionChange
from proxy.model.stages import CollectionState, Stage
from proxy.replication.mirror import Mirror
from proxy.stores.arango import ArangoStore
from tests.harness import Running, eventually, running

MIRROR = CollectionState(Stage.MIRROR)
BOOKS = "_system/books"
DOCUMENT = "/_api/document/books"


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path) as started:
        await started.client.post("/_api/collection", json={"name": "books"})
        await started.move(MIRROR, "_system/*", BOOKS)
        yield started


async def assert_same(stack: Running, *collections: str) -> None:
    """Assert that both databases hold the same documents, and that nothing is unverified."""
    await stack.drained()
    for collection in collections:
        assert await stack.differences(collection) == []
    marks = await stack.database.fetch("SELECT collection, reason FROM _crossfade.unverified")
    assert [tuple(row) for row in marks] == []


async def alive(stack: Running, table: str) -> int:
    found: int = await stack.database.fetchval(f"SELECT count(*) FROM {table} WHERE doc IS NOT NULL")
    return found


async def test_a_truncation_empties_the_collection_and_keeps_later_writes(stack: Running) -> None:
    """More documents than one page, then writes that the client sends immediately after the truncation."""
    await stack.client.post(DOCUMENT, json=[{"_key": f"k{n:04}"} for n in range(2100)])
    await stack.drained()
    assert await alive(stack, "_system.books") == 2100
    answer = await stack.client.put("/_api/collection/books/truncate")
    assert answer.status_code == 200
    await stack.client.post(DOCUMENT, json=[{"_key": "k0003", "again": True}, {"_key": "new"}])
    await assert_same(stack, BOOKS)
    assert await alive(stack, "_system.books") == 2


async def test_a_write_queued_during_a_truncation_does_not_become_a_ghost(stack: Running) -> None:
    """The stamp floor refuses what was captured before (I4): it is read again, and is missing."""
    async with stack.database.transaction() as session:
        await session.execute("LOCK TABLE _crossfade.stamp_floor IN ACCESS EXCLUSIVE MODE")
        await stack.client.post(DOCUMENT, json={"_key": "ghost"})
        await stack.client.put("/_api/collection/books/truncate")
    await assert_same(stack, BOOKS)
    assert await alive(stack, "_system.books") == 0


async def test_a_dropped_collection_is_empty_and_can_be_recreated_with_edges(stack: Running) -> None:
    await stack.client.post(DOCUMENT, json=[{"_key": "a"}, {"_key": "b"}])
    assert (await stack.client.delete("/_api/collection/books")).status_code == 200
    await assert_same(stack, BOOKS)
    assert await alive(stack, "_system.books") == 0
    await stack.client.post("/_api/collection", json={"name": "books", "type": 3})
    edge = {"_key": "a", "_from": "x/1", "_to": "x/2"}
    assert (await stack.client.post(DOCUMENT, json=edge)).status_code == 202
    await assert_same(stack, BOOKS)
    assert await stack.database.fetchval("SELECT edge FROM _crossfade.collection WHERE collection = $1", BOOKS)
    assert await stack.database.fetchval("SELECT from_id FROM _system.books WHERE key = 'a'") == "x/1"


async def test_a_write_queued_while_its_collection_is_dropped_leaves_no_mark(stack: Running) -> None:
    """It is read again and the collection is missing because it was dropped; a second, refused drop changes nothing."""
    async with stack.database.transaction() as session:
        await session.execute("LOCK TABLE _crossfade.stamp_floor IN ACCESS EXCLUSIVE MODE")
        await stack.client.post(DOCUMENT, json={"_key": "ghost"})
        assert (await stack.client.delete("/_api/collection/books")).status_code == 200
        assert (await stack.client.delete("/_api/collection/books")).status_code == 404
    await assert_same(stack, BOOKS)
    assert await alive(stack, "_system.books") == 0


async def test_a_write_queued_while_its_database_is_dropped_leaves_no_mark(stack: Running) -> None:
    await stack.client.post("/_api/database", json={"name": "shop"})
    await stack.client.post("/_db/shop/_api/collection", json={"name": "orders"})
    await stack.move(MIRROR, "shop/*", "shop/orders")
    async with stack.database.transaction() as session:
        await session.execute("LOCK TABLE _crossfade.stamp_floor IN ACCESS EXCLUSIVE MODE")
        await stack.client.post("/_db/shop/_api/document/orders", json={"_key": "ghost"})
        assert (await stack.client.delete("/_api/database/shop")).status_code == 200
    await assert_same(stack)
    assert await alive(stack, "shop.orders") == 0


async def test_a_new_collection_is_registered_before_its_first_document(stack: Running) -> None:
    await stack.client.post("/_api/collection", json={"name": "links", "type": 3})
    await stack.drained()
    row = await stack.database.fetchrow("SELECT edge, stage FROM _crossfade.collection WHERE name = 'links'")
    assert row is not None
    assert (row["edge"], row["stage"]) == (True, "mirror")


async def test_a_renamed_collection_moves_to_its_new_name_and_back(stack: Running) -> None:
    """Documents keep their revisions under a new name: tombstones of the old name must not block them."""
    await stack.client.post(DOCUMENT, json=[{"_key": f"k{n}"} for n in range(30)])
    await stack.client.delete(DOCUMENT + "/k7")
    renamed = await stack.client.put("/_api/collection/books/rename", json={"name": "tomes"})
    assert renamed.status_code == 200
    await stack.client.patch("/_api/document/tomes/k1", json={"new": True})
    await assert_same(stack, BOOKS, "_system/tomes")
    assert (await alive(stack, "_system.books"), await alive(stack, "_system.tomes")) == (0, 29)
    await stack.client.put("/_api/collection/tomes/rename", json={"name": "books"})
    await assert_same(stack, BOOKS, "_system/tomes")
    assert (await alive(stack, "_system.books"), await alive(stack, "_system.tomes")) == (29, 0)


async def test_a_rename_reaches_the_graphs_that_use_the_collection(stack: Running) -> None:
    """ArangoDB renames a collection in the definitions of graphs too, which no request names."""
    edges = [{"collection": "written", "from": ["books"], "to": ["people"]}]
    answer = await stack.client.post("/_api/gharial", json={"name": "library", "edgeDefinitions": edges})
    assert answer.status_code == 202
    await stack.move(MIRROR, "_system/_graphs")
    await stack.client.put("/_api/collection/books/rename", json={"name": "tomes"})
    graph = (await stack.client.get("/_api/gharial/library")).json()["graph"]
    assert graph["edgeDefinitions"] == [{"collection": "written", "from": ["tomes"], "to": ["people"]}]
    await assert_same(stack, "_system/_graphs")


async def test_two_collections_that_swap_names_swap_documents(stack: Running) -> None:
    """A document can be older than the previous one of that name and key; it is current all the same."""
    await stack.client.post("/_api/collection", json={"name": "tomes"})
    await stack.client.post(DOCUMENT, json=[{"_key": f"k{n}", "of": "books"} for n in range(30)])
    await stack.client.post("/_api/document/tomes", json=[{"_key": f"k{n}", "of": "tomes"} for n in range(10, 40)])
    await stack.drained()
    for old, new in (("books", "aside"), ("tomes", "books"), ("aside", "tomes")):
        renamed = await stack.client.put(f"/_api/collection/{old}/rename", json={"name": new})
        assert renamed.status_code == 200
    await stack.client.patch("/_api/document/tomes/k1", json={"new": True})
    await assert_same(stack, BOOKS, "_system/tomes", "_system/aside")
    assert (await alive(stack, "_system.books"), await alive(stack, "_system.tomes")) == (30, 30)


async def test_a_dropped_database_leaves_nothing(stack: Running) -> None:
    await stack.client.post("/_api/database", json={"name": "shop"})
    await stack.client.post("/_db/shop/_api/collection", json={"name": "orders"})
    await stack.move(MIRROR, "shop/*", "shop/orders")
    await stack.client.post("/_db/shop/_api/document/orders", json=[{"_key": "a"}, {"_key": "b"}])
    await stack.drained()
    assert await alive(stack, "shop.orders") == 2
    assert (await stack.client.delete("/_api/database/shop")).status_code == 200
    await stack.drained()
    assert await alive(stack, "shop.orders") == 0


async def test_a_change_that_arangodb_refuses_changes_nothing(stack: Running) -> None:
    await stack.client.post(DOCUMENT, json={"_key": "a"})
    assert (await stack.client.put("/_api/collection/nowhere/truncate")).status_code == 404
    assert (await stack.client.post("/_api/collection", json={"name": "books"})).status_code == 409
    await assert_same(stack, BOOKS)
    assert await stack.database.fetchval("SELECT count(*) FROM _crossfade.collection WHERE name = 'nowhere'") == 0


async def test_a_truncation_rolls_a_flipped_collection_back_first(stack: Running) -> None:
    """mirror-protocol, answer 6: no read from PostgreSQL while it may have documents that ArangoDB no longer has."""
    await stack.client.post(DOCUMENT, json={"_key": "a"})
    await stack.drained()
    await stack.move(CollectionState(Stage.SHADOW), BOOKS)
    await stack.move(CollectionState(Stage.FLIPPED, 100), BOOKS)
    await stack.client.put("/_api/collection/books/truncate")
    assert (await stack.client.get(DOCUMENT + "/a")).status_code == 404
    await assert_same(stack, BOOKS)
    stage = await stack.database.fetchval("SELECT stage FROM _crossfade.collection WHERE collection = $1", BOOKS)
    assert stage == "shadow"


async def test_a_truncation_whose_answer_was_lost_is_applied(stack: Running) -> None:
    await stack.client.post(DOCUMENT, json={"_key": "a"})
    await stack.drained()
    intent = stack.application.mirror.intend_change(CollectionChange("truncate", (BOOKS,)))
    await stack.direct.put("/_api/collection/books/truncate")
    stack.application.mirror.lost(intent)
    await eventually(lambda: not stack.application.mirror.is_open(intent), "the resync is done")
    await assert_same(stack, BOOKS)


async def test_an_unfinished_truncation_is_applied_by_the_next_process(stack: Running, tmp_path: Path) -> None:
    """I3: the intent is in the journal until the collection was compared."""
    await stack.client.post(DOCUMENT, json=[{"_key": "a"}, {"_key": "b"}])
    await stack.drained()
    reader = ArangoStore(stack.application.origin, "root", "")
    settings = stack.settings.model_copy(update={"state_dir": tmp_path / "other"})
    first = Mirror(settings, stack.database, reader, "other", lambda: 1)
    await first.start()
    first.intend_change(CollectionChange("truncate", (BOOKS,)))
    await first.close()
    await stack.direct.put("/_api/collection/books/truncate")
    restarted = Mirror(settings, stack.database, reader, "other", lambda: 1)
    await restarted.start()
    await eventually(lambda: restarted.backlog == 0, "the resync is done")
    await restarted.close()
    await assert_same(stack, BOOKS)
    assert await alive(stack, "_system.books") == 0
