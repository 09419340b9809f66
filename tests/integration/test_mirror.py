"""The mirror on a real PostgreSQL, with an origin in memory: whatever the origin took is there in the end (I3)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.base.database import Database
from proxy.base.errors import ArangoError, JournalError
from proxy.journal.journal import Journal
from proxy.model.operations import Change
from proxy.model.parsed_answer import ParsedAnswer
from proxy.replication import mirror as pipeline
from proxy.replication.mirror import Mirror
from proxy.replication.target_writer import TargetWriter
from proxy.replication.tombstone_gc import Purger
from tests.integration.mirror_support import COLLECTION, Origin, drained, marks, running, settings, stored, until


async def test_a_captured_write_reaches_postgresql(tmp_path: Path, database: Database, dsn: str) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin) as mirror:
        intent = mirror.intend(COLLECTION, ("a",))
        assert mirror.backlog == 1
        assert mirror.pending(COLLECTION, ["a"])
        assert not mirror.pending(COLLECTION, ["b"])
        mirror.captured(intent, (origin.put("a", 1),))
        await mirror.applied(intent)  # I7: it is in both stores
        assert await stored(database) == origin.documents[COLLECTION]
        assert mirror.backlog == 0
        assert not mirror.pending(COLLECTION, ["a"])
        assert origin.reads == 0


async def test_inserts_updates_and_removals_in_one_batch_leave_the_last_state(
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
        assert mirror.pending(COLLECTION, ["anything"])  # its keys are not known yet
        changes = tuple(origin.put(f"k{number}", number) for number in range(30))
        mirror.captured(intent, changes)
        assert not mirror.pending(COLLECTION, ["anything"])
        assert mirror.pending(COLLECTION, ["k29"])
        await mirror.applied(intent)
        assert await stored(database) == origin.documents[COLLECTION]


async def test_a_write_that_the_origin_refused_never_appears(tmp_path: Path, database: Database, dsn: str) -> None:
    origin = Origin()  # I1
    async with running(tmp_path, database, dsn, origin) as mirror:
        mirror.close_intent(mirror.intend(COLLECTION, ("a",)))
        mirror.captured(mirror.intend(COLLECTION, ("b",)), ())
        assert mirror.backlog == 0
        assert await stored(database) == {}


async def test_a_lost_answer_is_read_again_after_the_bound(tmp_path: Path, database: Database, dsn: str) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin, late_request=0.6) as mirror:
        written, refused = mirror.intend(COLLECTION, ("a",)), mirror.intend(COLLECTION, ("b",))
        origin.put("a", 1)
        mirror.lost(written)
        mirror.lost(refused)
        assert mirror.pending(COLLECTION, ["c"])  # the journal alone knows its keys: in doubt, yes
        assert not await mirror.caught_up(COLLECTION, 0.05)
        began = time.monotonic()
        await until(lambda: origin.reads > 0)
        assert time.monotonic() >= began + 0.4  # before, the request may still run
        await drained(mirror)
        assert await stored(database) == origin.documents[COLLECTION]


async def test_a_request_that_runs_late_at_the_origin_is_mirrored(tmp_path: Path, database: Database, dsn: str) -> None:
    """Its answer was lost, and it runs only then: a look that came before it must not be the last (I3)."""
    origin = Origin()
    async with running(tmp_path, database, dsn, origin, late_request=3.0) as mirror:
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


async def test_an_incomplete_answer_is_read_again_at_once(tmp_path: Path, database: Database, dsn: str) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin, late_request=60) as mirror:
        intent = mirror.intend(COLLECTION, ())
        origin.put("a", 1)
        mirror.answered(intent, ParsedAnswer(b"", [], (), ("a",), complete=False))
        await drained(mirror)
        assert await stored(database) == origin.documents[COLLECTION]
        assert await marks(database) == []


async def test_a_write_that_nobody_can_name_makes_the_collection_unverified(
    tmp_path: Path, database: Database, dsn: str
) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin) as mirror:
        mirror.answered(mirror.intend(COLLECTION, ()), ParsedAnswer(b"", [], complete=False, late=True))
        await drained(mirror)
        assert await marks(database) == [(COLLECTION, "a write whose key is not known had an unknown outcome")]


async def test_an_opaque_write_marks_what_it_may_have_touched(tmp_path: Path, database: Database, dsn: str) -> None:
    async with running(tmp_path, database, dsn, Origin()) as mirror:  # I10
        intent = mirror.intend("shop/*", (), opaque="import")
        assert mirror.backlog_of(COLLECTION) == 1
        assert mirror.pending(COLLECTION, ["a"])
        mirror.opaque_done(intent, ("shop/products", "shop/orders"), "import")
        await drained(mirror)
        assert sorted(await marks(database)) == [("shop/orders", "import"), ("shop/products", "import")]
        # the same again says nothing new, until a run has begun that covers the first
        mirror.opaque_done(mirror.intend("shop/orders", (), opaque="import"), ("shop/orders",), "import")
        await drained(mirror)
        assert len(await marks(database)) == 2
        await database.execute("SELECT _crossfade.ensure_collection('shop', 'orders')")
        await database.execute(
            "INSERT INTO _crossfade.run (collection, kind, unverified_before) "
            "SELECT 'shop/orders', 'verify', max(id) FROM _crossfade.unverified"
        )
        mirror.opaque_done(mirror.intend("shop/orders", (), opaque="import"), ("shop/orders",), "import")
        await drained(mirror)
        assert (await marks(database))[2:] == [("shop/orders", "import")]


async def test_an_opaque_write_that_was_lost_marks_after_the_bound(
    tmp_path: Path, database: Database, dsn: str
) -> None:
    async with running(tmp_path, database, dsn, Origin(), late_request=0.3) as mirror:
        began = time.monotonic()
        mirror.lost(mirror.intend("shop/*", (), opaque="transaction"))
        intent = mirror.intend("shop/a", ("shop/a", "shop/b"), opaque="query")
        assert mirror.pending("shop/b", ["x"])
        mirror.lost(intent)
        await drained(mirror)
        assert time.monotonic() >= began + 0.3  # before, the request may still run
        assert sorted(await marks(database)) == [("shop/*", "transaction"), ("shop/a", "query"), ("shop/b", "query")]


async def test_before_the_journal_was_read_no_backlog_is_empty(tmp_path: Path, database: Database, dsn: str) -> None:
    mirror = Mirror(settings(tmp_path, dsn), database, Origin(), "proxy-1", lambda: 1)
    assert mirror.backlog == 1
    await mirror.start()
    assert mirror.backlog == 0
    await mirror.close()


async def test_a_collection_that_is_gone_is_not_a_document_that_is_gone(
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


async def test_the_origin_away_only_delays_a_repair(tmp_path: Path, database: Database, dsn: str) -> None:
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


async def test_what_the_horizon_refuses_is_read_again(tmp_path: Path, database: Database, dsn: str) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin) as mirror:
        await database.execute("SELECT _crossfade.ensure_collection('shop', 'products')")
        await database.execute("UPDATE _crossfade.era SET era = 9")
        await database.execute("UPDATE _crossfade.horizon SET mark = 5")
        put, gone = origin.put("a", 1), origin.put("b", 1)
        mirror.captured(mirror.intend(COLLECTION, ("a",)), (put,))
        mirror.captured(mirror.intend(COLLECTION, ("b",)), (origin.delete(gone),))
        await drained(mirror)
        assert origin.reads > 0
        assert await stored(database) == origin.documents[COLLECTION]


async def test_a_full_queue_spills_into_the_journal_and_drains(tmp_path: Path, database: Database, dsn: str) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin, queue_documents=10) as mirror:
        for number in range(300):  # nothing awaits in here: no applier gets its turn
            intent = mirror.intend(COLLECTION, (f"k{number % 120}",))
            mirror.captured(intent, (origin.put(f"k{number % 120}", number),))
        assert mirror.queued == 10
        assert mirror.backlog == 300
        assert await mirror.caught_up(COLLECTION, 30)
        assert mirror.backlog == 0
        assert await stored(database) == origin.documents[COLLECTION]


async def test_what_postgresql_cannot_hold_stands_aside(tmp_path: Path, database: Database, dsn: str) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin) as mirror:
        bad = Change(COLLECTION, "k3", origin.clock.tick(), b'{"_key":"k3",,}')
        worse = Change(COLLECTION, "k4", origin.clock.tick(), b'{"_key":"k4","a":"\xff"}')
        good = [origin.put(f"k{number}", number) for number in range(10) if number not in (3, 4)]
        for change in (*good[:3], bad, worse, *good[3:]):
            mirror.captured(mirror.intend(COLLECTION, (change.key,)), (change,))
        await drained(mirror)
        assert await stored(database) == origin.documents[COLLECTION]
        rows = await database.fetch("SELECT key, rev, reason FROM _crossfade.dead_letter ORDER BY key")
        assert [(row["key"], row["rev"]) for row in rows] == [("k3", bad.rev), ("k4", worse.rev)]
        assert rows[0]["reason"].startswith("22P02")
        # a newer version that can be held takes the letter back
        mirror.captured(mirror.intend(COLLECTION, ("k3",)), (origin.put("k3", "whole"),))
        mirror.captured(mirror.intend(COLLECTION, ("k4",)), (Change(COLLECTION, "k4", worse.rev, None),))
        await drained(mirror)
        assert await database.fetch("SELECT * FROM _crossfade.dead_letter") == []


async def test_texts_that_jsonb_cannot_hold_are_mirrored_all_the_same(
    tmp_path: Path, database: Database, dsn: str
) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin) as mirror:
        change = origin.put("a", "nul \x00 in the middle, ﷐ too")
        mirror.captured(mirror.intend(COLLECTION, ("a",)), (change,))
        await drained(mirror)
        assert await stored(database) == {"a": change.raw}
        assert await database.fetch("SELECT * FROM _crossfade.dead_letter") == []


async def test_bring_up_shows_the_target_what_an_answer_showed(tmp_path: Path, database: Database, dsn: str) -> None:
    """mirror-protocol, "Flip", 2: documents, and documents that are not there."""
    origin = Origin()
    async with running(tmp_path, database, dsn, origin) as mirror:
        seen = origin.put("a", 1)
        await mirror.bring_up(COLLECTION, (seen,), stamp=1)
        assert await stored(database) == origin.documents[COLLECTION]
        assert origin.reads == 0
        await mirror.bring_up(COLLECTION, (seen,))  # it is there already
        assert origin.reads == 0
        newer = origin.put("a", 2)
        await mirror.bring_up(COLLECTION, (newer,))  # without a stamp it must be read again
        assert origin.reads == 1
        origin.delete(newer)
        await mirror.bring_up(COLLECTION, (), ("a", "b", "no key of / anyone"))
        assert await stored(database) == {}
        mirror.captured(mirror.intend(COLLECTION, ("a",)), (newer,))  # late, as if it had been queued
        await drained(mirror)
        assert await stored(database) == {}
        origin.gone.add(COLLECTION)
        await mirror.bring_up(COLLECTION, (), ("a",))
        await until(lambda: mirror.stats()["marks"] == 0)
        assert [collection for collection, _ in await marks(database)] == [COLLECTION]


async def test_a_key_that_changes_under_a_repair_is_looked_at_again(
    tmp_path: Path, database: Database, dsn: str
) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin) as mirror:

        async def race() -> None:  # somebody inserts, and it is mirrored before this repair writes
            intent = mirror.intend(COLLECTION, ("a",))
            mirror.captured(intent, (origin.put("a", "new"),))
            await mirror.applied(intent)

        origin.before_answer = race
        mirror.reread(mirror.intend(COLLECTION, ("a",)))
        await drained(mirror)
        assert origin.reads == 2
        assert await stored(database) == origin.documents[COLLECTION]


async def test_who_waits_may_go(tmp_path: Path, database: Database, dsn: str) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin, late_request=0.6) as mirror:
        intent = mirror.intend(COLLECTION, ("a",))
        waiting = [asyncio.create_task(mirror.applied(intent)) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]
        mirror.captured(intent, (origin.put("a", 1),))
        await waiting[1]
        await mirror.applied(intent)  # settled: at once


async def test_one_process_has_a_journal(tmp_path: Path, database: Database, dsn: str) -> None:
    async with running(tmp_path, database, dsn, Origin()):
        with pytest.raises(JournalError, match=r"in use by process .* set CROSSFADE_STATE_DIR"):
            async with running(tmp_path, database, dsn, Origin()):
                pass


async def test_old_tombstones_go_and_what_is_older_than_the_horizon_is_read_again(
    tmp_path: Path, database: Database, dsn: str
) -> None:
    """mirror-protocol, answer 3."""
    origin = Origin()

    async def tombstones() -> int:
        return int(await database.fetchval("SELECT count(*) FROM shop.products WHERE doc IS NULL"))

    async with running(tmp_path, database, dsn, origin, tombstone_seconds=0.2) as mirror:
        change = origin.put("a", 1)
        mirror.captured(mirror.intend(COLLECTION, ("a",)), (origin.delete(change),))
        kept = origin.put("b", 1)
        mirror.captured(mirror.intend(COLLECTION, ("b",)), (kept,))
        await drained(mirror)
        async with asyncio.timeout(20):
            while await tombstones():
                await asyncio.sleep(0.02)
        # the insert that the delete was of arrives late, as from a queue that was frozen
        mirror.captured(mirror.intend(COLLECTION, ("a",)), (change,))
        await drained(mirror)
        assert await stored(database) == {"b": kept.raw}
        assert origin.reads > 0


async def test_the_purge_waits_for_postgresql() -> None:
    away = await Database.open("postgresql://crossfade@127.0.0.1:1/none", connect_timeout=0.5)
    purger = Purger(away, TargetWriter(away), 0.04)
    task = asyncio.create_task(purger.run())
    await asyncio.sleep(0.1)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await away.close()


async def test_the_journal_is_synced_and_a_part_that_fails_begins_again(
    tmp_path: Path, database: Database, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "_SYNC", 0.02)
    real = Journal.unsynced
    failures: list[int] = []

    def unsynced(self: Journal) -> Callable[[], None]:
        if len(failures) < 2:
            failures.append(len(failures))
            raise (OSError(5, "I/O error"), RuntimeError("nobody foresaw this"))[len(failures) - 1]
        failures.append(0)
        return real(self)

    monkeypatch.setattr(Journal, "unsynced", unsynced)
    origin = Origin()
    async with running(tmp_path, database, dsn, origin) as mirror:
        mirror.captured(mirror.intend(COLLECTION, ("a",)), (origin.put("a", 1),))
        await until(lambda: len(failures) > 3)
        await drained(mirror)


async def test_a_revision_that_is_stored_already_takes_a_dead_letter_back(
    tmp_path: Path, database: Database, dsn: str
) -> None:
    """Another proxy may have noted it, and yet another applied the newer version."""
    origin = Origin()
    change = origin.put("a", 1)
    async with running(tmp_path, database, dsn, origin) as mirror:
        mirror.captured(mirror.intend(COLLECTION, ("a",)), (change,))
        await drained(mirror)
    note = "INSERT INTO _crossfade.dead_letter (collection, key, rev, reason) VALUES ($1, $2, $3, 'x')"
    await database.execute(note, COLLECTION, "a", change.rev)
    await database.execute(note, COLLECTION, "b", 5)
    async with running(tmp_path, database, dsn, origin), asyncio.timeout(20):
        while await database.fetchval("SELECT count(*) FROM _crossfade.dead_letter") > 1:
            await asyncio.sleep(0.02)


async def test_the_proxys_own_account_may_be_refused_for_a_while(tmp_path: Path, database: Database, dsn: str) -> None:
    origin = Origin()
    origin.refusals = [ArangoError(401), ArangoError(500)]
    async with running(tmp_path, database, dsn, origin) as mirror:
        origin.put("a", 1)
        mirror.reread(mirror.intend(COLLECTION, ("a",)))
        await drained(mirror)
        assert await stored(database) == origin.documents[COLLECTION]
        assert await marks(database) == []
