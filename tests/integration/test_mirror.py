"""The mirror on a real PostgreSQL, with an origin in memory: it ends with every write that the origin accepted (I3)."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from proxy.journal.records import OpaqueWrite
from proxy.replication.mirror import Mirror
from tests.ad_hoc import Database
from tests.integration.mirror_fixtures import COLLECTION, Origin, drained, marks, running, settings, stored, until


async def test_a_captured_write_reaches_postgresql(tmp_path: Path, database: Database, dsn: str) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin) as mirror:
        intent = mirror.intend(COLLECTION, ("a",))
        assert mirror.backlog == 1
        assert mirror._intents.index.pending(COLLECTION, ["a"])
        assert not mirror._intents.index.pending(COLLECTION, ["b"])
        mirror.captured(intent, (origin.put("a", 1),))
        await mirror.applied(intent)  # I7: it is in both stores
        assert await stored(database) == origin.documents[COLLECTION]
        assert mirror.backlog == 0
        assert not mirror._intents.index.pending(COLLECTION, ["a"])
        assert origin.reads == 0


async def test_inserts_updates_and_removals_in_one_batch_result_in_the_last_state(
    tmp_path: Path, database: Database, dsn: str
) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin) as mirror:
        for key in "abcde":
            first = origin.put(key, 1)
            second = origin.put(key, 2)
            changes = [second, first]  # the order in which they arrive means nothing (I4)
            if key in "bd":
                changes.insert(0, origin.delete(second))
            for change in changes:
                mirror.captured(mirror.intend(COLLECTION, (key,)), (change,))
        await drained(mirror)
        assert await stored(database) == origin.documents[COLLECTION]
        assert set(await stored(database)) == set("ace")


async def test_an_array_write_is_one_intent(tmp_path: Path, database: Database, dsn: str) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin, batch=7) as mirror:
        intent = mirror.intend(COLLECTION, ())
        assert mirror._intents.index.pending(COLLECTION, ["anything"])  # its keys are not known yet
        changes = tuple(origin.put(f"k{number}", number) for number in range(30))
        mirror.captured(intent, changes)
        assert not mirror._intents.index.pending(COLLECTION, ["anything"])
        assert mirror._intents.index.pending(COLLECTION, ["k29"])
        await mirror.applied(intent)
        assert await stored(database) == origin.documents[COLLECTION]


async def test_a_write_that_the_origin_refused_never_appears(tmp_path: Path, database: Database, dsn: str) -> None:
    origin = Origin()  # I1
    async with running(tmp_path, database, dsn, origin) as mirror:
        mirror.close_intent(mirror.intend(COLLECTION, ("a",)))
        mirror.captured(mirror.intend(COLLECTION, ("b",)), ())
        assert mirror.backlog == 0
        assert await stored(database) == {}


async def test_a_lost_answer_is_read_again_after_the_time_limit(tmp_path: Path, database: Database, dsn: str) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin, lost_request_timeout=0.6) as mirror:
        written, refused = mirror.intend(COLLECTION, ("a",)), mirror.intend(COLLECTION, ("b",))
        origin.put("a", 1)
        mirror.lost(written)
        mirror.lost(refused)
        assert mirror._intents.index.pending(COLLECTION, ["c"])  # the journal alone knows its keys: in doubt, yes
        assert not await mirror.caught_up(COLLECTION, 0.05)
        started = time.monotonic()
        await until(lambda: origin.reads > 0)
        assert time.monotonic() >= started + 0.4  # before, the request may still run
        await drained(mirror)
        assert await stored(database) == origin.documents[COLLECTION]


async def test_a_request_that_runs_late_at_the_origin_is_mirrored(tmp_path: Path, database: Database, dsn: str) -> None:
    """Its answer was lost, and it runs late: a read from before its execution must not be the last one (I3)."""
    origin = Origin()
    async with running(tmp_path, database, dsn, origin, lost_request_timeout=3.0) as mirror:
        mirror.lost(mirror.intend(COLLECTION, ("a",)))
        with contextlib.suppress(TimeoutError):
            await until(lambda: mirror.backlog == 0, 0.5)
        origin.put("a", 1)
        await drained(mirror)
        assert await stored(database) == origin.documents[COLLECTION]


async def test_a_lost_delete_while_an_older_upsert_is_queued_leaves_no_ghost(
    tmp_path: Path, database: Database, dsn: str
) -> None:
    """mirror-protocol, answer 1: `absent` makes the queued upsert a late one."""
    origin = Origin()
    async with running(tmp_path, database, dsn, origin) as mirror:
        change = origin.put("a", 1)
        insert, delete = mirror.intend(COLLECTION, ("a",)), mirror.intend(COLLECTION, ("a",))
        origin.delete(change)
        mirror.lost(delete)
        await until(lambda: mirror.backlog == 1)
        mirror.captured(insert, (change,))
        await drained(mirror)
        assert await stored(database) == {}


async def test_the_keys_of_an_incomplete_answer_are_read_again_immediately(
    tmp_path: Path, database: Database, dsn: str
) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin, lost_request_timeout=60) as mirror:
        intent = mirror.intend(COLLECTION, ())
        origin.put("a", 1)
        mirror.learn(intent, ("a",))
        mirror.reread(intent)
        await drained(mirror)
        assert await stored(database) == origin.documents[COLLECTION]
        assert await marks(database) == []


async def test_a_write_with_unknown_keys_marks_the_collection(tmp_path: Path, database: Database, dsn: str) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin) as mirror:
        mirror.lost(mirror.intend(COLLECTION, ()))
        await drained(mirror)
        assert await marks(database) == [(COLLECTION, "a write whose key is not known had an unknown outcome")]


async def test_an_opaque_write_marks_the_collections_it_may_have_changed(
    tmp_path: Path, database: Database, dsn: str
) -> None:
    async with running(tmp_path, database, dsn, Origin()) as mirror:  # I10
        intent = mirror.intend_change(OpaqueWrite("import", ("shop/products", "shop/orders")))
        assert mirror.backlog_of(COLLECTION) == 1
        assert mirror._intents.index.pending(COLLECTION, ["a"])
        mirror.mark(intent)
        await drained(mirror)
        assert sorted(await marks(database)) == [("shop/orders", "import"), ("shop/products", "import")]
        # a repetition adds no mark, until a run has begun that covers the first
        mirror.mark(mirror.intend_change(OpaqueWrite("import", ("shop/orders",))))
        await drained(mirror)
        assert len(await marks(database)) == 2
        await database.execute("SELECT _crossfade.ensure_collection('shop', 'orders')")
        await database.execute(
            "INSERT INTO _crossfade.run (collection, kind, unverified_before) "
            "SELECT 'shop/orders', 'verify', max(id) FROM _crossfade.unverified"
        )
        mirror.mark(mirror.intend_change(OpaqueWrite("import", ("shop/orders",))))
        await drained(mirror)
        assert (await marks(database))[2:] == [("shop/orders", "import")]


async def test_a_lost_opaque_write_marks_collections_after_the_time_limit(
    tmp_path: Path, database: Database, dsn: str
) -> None:
    async with running(tmp_path, database, dsn, Origin(), lost_request_timeout=0.3) as mirror:
        started = time.monotonic()
        mirror.lost(mirror.intend_change(OpaqueWrite("transaction", ("shop/*",))))
        intent = mirror.intend_change(OpaqueWrite("query", ("shop/a", "shop/b")))
        assert mirror._intents.index.pending("shop/b", ["x"])
        mirror.lost(intent)
        await drained(mirror)
        assert time.monotonic() >= started + 0.3  # before, the request may still run
        assert sorted(await marks(database)) == [("shop/*", "transaction"), ("shop/a", "query"), ("shop/b", "query")]


async def test_the_backlog_is_not_empty_before_the_journal_is_read(
    tmp_path: Path, database: Database, dsn: str
) -> None:
    mirror = Mirror(settings(tmp_path, dsn), database, Origin(), "proxy-1", lambda: 1)
    assert mirror.backlog == 1
    await mirror.start()
    assert mirror.backlog == 0
    await mirror.close()


async def test_a_missing_collection_is_not_taken_for_a_missing_document(
    tmp_path: Path, database: Database, dsn: str
) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin) as mirror:
        intent = mirror.intend(COLLECTION, ("a",))
        change = origin.put("a", 1)
        mirror.captured(intent, (change,))
        await mirror.applied(intent)
        origin.gone.add(COLLECTION)
        mirror.reread(mirror.intend(COLLECTION, ("a",)))
        await drained(mirror)
        [(collection, reason)] = await marks(database)
        assert collection == COLLECTION
        assert "1203" in reason
        assert set(await stored(database)) == {"a"}


async def test_an_unreachable_origin_only_delays_a_repair(tmp_path: Path, database: Database, dsn: str) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin) as mirror:
        origin.down = True
        mirror.reread(mirror.intend(COLLECTION, ("a",)))
        origin.put("a", 1)
        await until(lambda: origin.reads > 1)
        assert mirror.backlog == 1
        origin.down = False
        await drained(mirror)
        assert await stored(database) == origin.documents[COLLECTION]
