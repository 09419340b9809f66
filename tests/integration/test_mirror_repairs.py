"""The mirror under refusals and repairs: spilled queues, dead letters, late keys, tombstones, failing parts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.base.errors import ArangoError, JournalError
from proxy.journal.intent import Ending
from proxy.journal.journal import Journal
from proxy.journal.records import CollectionChange
from proxy.model.operations import Change
from proxy.replication import open_intents
from proxy.replication.target_writer import TargetWriter
from proxy.replication.tombstone_gc import Purger
from tests.ad_hoc import Database
from tests.integration.mirror_fixtures import COLLECTION, Origin, drained, marks, running, stored, until


async def test_rows_older_than_the_stamp_floor_are_read_again(tmp_path: Path, database: Database, dsn: str) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin) as mirror:
        await database.execute("SELECT _crossfade.ensure_collection('shop', 'products')")
        await database.execute("UPDATE _crossfade.era SET era = 9")
        await database.execute("UPDATE _crossfade.stamp_floor SET floor = 5")
        put, removed = origin.put("a", 1), origin.put("b", 1)
        mirror.captured(mirror.intend(COLLECTION, ("a",)), (put,))
        mirror.captured(mirror.intend(COLLECTION, ("b",)), (origin.delete(removed),))
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


async def test_documents_that_postgresql_cannot_hold_become_dead_letters(
    tmp_path: Path, database: Database, dsn: str
) -> None:
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
        # a newer version that PostgreSQL accepts ends the dead letter
        mirror.captured(mirror.intend(COLLECTION, ("k3",)), (origin.put("k3", "whole"),))
        mirror.captured(mirror.intend(COLLECTION, ("k4",)), (Change(COLLECTION, "k4", worse.rev, None),))
        await drained(mirror)
        assert await database.fetch("SELECT * FROM _crossfade.dead_letter") == []


async def test_texts_that_jsonb_cannot_hold_are_mirrored(tmp_path: Path, database: Database, dsn: str) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin) as mirror:
        change = origin.put("a", "nul \x00 in the middle, ﷐ too")
        mirror.captured(mirror.intend(COLLECTION, ("a",)), (change,))
        await drained(mirror)
        assert await stored(database) == {"a": change.raw}
        assert await database.fetch("SELECT * FROM _crossfade.dead_letter") == []


async def test_documents_shown_in_an_answer_are_replicated_first(tmp_path: Path, database: Database, dsn: str) -> None:
    """mirror-protocol, "Flip", 2: documents, and documents that are not there."""
    origin = Origin()
    async with running(tmp_path, database, dsn, origin) as mirror:
        seen = origin.put("a", 1)
        await mirror.ensure_target_has(COLLECTION, (seen,), stamp=1)
        assert await stored(database) == origin.documents[COLLECTION]
        assert origin.reads == 0
        await mirror.ensure_target_has(COLLECTION, (seen,))  # it is there already
        assert origin.reads == 0
        newer = origin.put("a", 2)
        await mirror.ensure_target_has(COLLECTION, (newer,))  # without a stamp it must be read again
        assert origin.reads == 1
        origin.delete(newer)
        await mirror.ensure_target_has(COLLECTION, (), ("a", "b", "no key of / anyone"))
        assert await stored(database) == {}
        mirror.captured(mirror.intend(COLLECTION, ("a",)), (newer,))  # late, as if it had been queued
        await drained(mirror)
        assert await stored(database) == {}
        origin.gone.add(COLLECTION)
        await mirror.ensure_target_has(COLLECTION, (), ("a",))
        await until(lambda: mirror._marks.waiting == 0)
        assert [collection for collection, _ in await marks(database)] == [COLLECTION]


async def test_a_key_that_changes_during_its_repair_is_read_again(tmp_path: Path, database: Database, dsn: str) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin) as mirror:

        async def race() -> None:  # another client inserts, and that is mirrored before this repair writes
            intent = mirror.intend(COLLECTION, ("a",))
            mirror.captured(intent, (origin.put("a", "new"),))
            await mirror.applied(intent)

        origin.before_answer = race
        mirror.reread(mirror.intend(COLLECTION, ("a",)))
        await drained(mirror)
        assert origin.reads == 2
        assert await stored(database) == origin.documents[COLLECTION]


async def test_a_caller_waiting_for_replication_can_be_cancelled(tmp_path: Path, database: Database, dsn: str) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin, lost_request_timeout=0.6) as mirror:
        intent = mirror.intend(COLLECTION, ("a",))
        waiting = [asyncio.create_task(mirror.applied(intent)) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]
        mirror.captured(intent, (origin.put("a", 1),))
        await waiting[1]
        await mirror.applied(intent)  # nothing is pending: returns immediately


async def test_a_journal_is_locked_by_one_process(tmp_path: Path, database: Database, dsn: str) -> None:
    async with running(tmp_path, database, dsn, Origin()):
        with pytest.raises(JournalError, match=r"in use by process .* set CROSSFADE_STATE_DIR"):
            async with running(tmp_path, database, dsn, Origin()):
                pass


async def test_purged_tombstones_raise_the_stamp_floor_and_older_rows_are_read_again(
    tmp_path: Path, database: Database, dsn: str
) -> None:
    """mirror-protocol, answer 3."""
    origin = Origin()

    async def tombstones() -> int:
        return int(await database.fetchval("SELECT count(*) FROM shop.products WHERE doc IS NULL"))

    async with running(tmp_path, database, dsn, origin, tombstone_seconds=0.2) as mirror:
        change = origin.put("a", 1)
        mirror.captured(mirror.intend(COLLECTION, ("a",)), (origin.delete(change),))
        kept_change = origin.put("b", 1)
        mirror.captured(mirror.intend(COLLECTION, ("b",)), (kept_change,))
        await drained(mirror)
        async with asyncio.timeout(20):
            while await tombstones():
                await asyncio.sleep(0.02)
        # the insert that the delete was of arrives late, as from a queue that was frozen
        mirror.captured(mirror.intend(COLLECTION, ("a",)), (change,))
        await drained(mirror)
        assert await stored(database) == {"b": kept_change.raw}
        assert origin.reads > 0


async def test_the_purge_waits_for_postgresql() -> None:
    unreachable = await Database.open("postgresql://crossfade@127.0.0.1:1/none", connect_timeout=0.5)
    purger = Purger(unreachable, TargetWriter(unreachable), 0.04)
    task = asyncio.create_task(purger.run())
    await asyncio.sleep(0.1)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await unreachable.close()


async def test_the_journal_is_synced_and_a_failed_task_restarts(
    tmp_path: Path, database: Database, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_intents, "_SYNC", 0.02)
    real = Journal.begin_sync
    failures: list[int] = []

    def unsynced(self: Journal) -> Callable[[], None]:
        if len(failures) < 2:
            failures.append(len(failures))
            raise (OSError(5, "I/O error"), RuntimeError("nobody foresaw this"))[len(failures) - 1]
        failures.append(0)
        return real(self)

    monkeypatch.setattr(Journal, "begin_sync", unsynced)
    origin = Origin()
    async with running(tmp_path, database, dsn, origin) as mirror:
        mirror.captured(mirror.intend(COLLECTION, ("a",)), (origin.put("a", 1),))
        await until(lambda: len(failures) > 3)
        await drained(mirror)


async def test_a_revision_that_is_stored_already_clears_its_dead_letter(
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


async def test_a_collection_that_is_dropped_before_its_creation_is_noted_needs_no_verification(
    tmp_path: Path, database: Database, dsn: str
) -> None:
    """It never got a table, so that the comparison after the drop of its graph does not find that it is missing."""
    origin = Origin()
    async with running(tmp_path, database, dsn, origin) as mirror:
        made = mirror.intend_change(CollectionChange("create", (COLLECTION,)))
        written = mirror.intend(COLLECTION, ("a",))
        dropped = mirror.intend_change(CollectionChange("graph", ("shop/*",)))
        origin.gone.add(COLLECTION)
        for intent in (made, dropped):
            mirror.reread(intent)
            assert await mirror.applied(intent) is Ending.APPLIED
        mirror.reread(written)
        assert await mirror.applied(written) is Ending.APPLIED
        assert await database.fetchval("SELECT count(*) FROM _crossfade.unverified") == 0


async def test_a_drop_that_was_refused_because_of_the_journal_explains_no_missing_collection(
    tmp_path: Path, database: Database, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin, on_journal_error="refuse") as mirror:

        def full(*_: object, **__: object) -> int:
            raise JournalError("no space left")

        with monkeypatch.context() as patch:
            patch.setattr(Journal, "intend", full)
            with pytest.raises(ArangoError):
                mirror.intend_change(CollectionChange("drop", (COLLECTION,)))
        origin.gone.add(COLLECTION)  # by a client that does not go through the proxy
        written = mirror.intend(COLLECTION, ("a",))
        mirror.reread(written)
        assert await mirror.applied(written) is Ending.GIVEN_UP
        assert [collection for collection, _ in await marks(database)] == [COLLECTION]


@pytest.mark.parametrize("carried_out", [True, False])
async def test_a_drop_that_the_journal_could_not_take_explains_a_missing_collection_if_it_was_carried_out(
    tmp_path: Path, database: Database, dsn: str, monkeypatch: pytest.MonkeyPatch, carried_out: bool
) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin) as mirror:

        def full(*_: object, **__: object) -> int:
            raise JournalError("no space left")

        with monkeypatch.context() as patch:
            patch.setattr(Journal, "intend", full)
            dropped = mirror.intend_change(CollectionChange("drop", (COLLECTION,)))
        origin.gone.add(COLLECTION)  # by the drop, or by a client that does not go through the proxy
        if carried_out:
            mirror.reread(dropped)
        else:
            mirror.close_intent(dropped)
        written = mirror.intend(COLLECTION, ("a",))
        mirror.reread(written)
        assert await mirror.applied(written) is (Ending.APPLIED if carried_out else Ending.GIVEN_UP)
