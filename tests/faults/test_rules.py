"""Rules whose violation is a race, each staged so that it shows every time. `make mutants` breaks them one by one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import sql
from proxy.model.operations import Operation, Outcome
from proxy.replication.mirror import Mirror
from proxy.replication.target_writer import TargetWriter
from proxy.replication.tombstone_gc import purge
from proxy.replication.versions import StampedVersion
from tests.ad_hoc import Database
from tests.harness import running as running_stack
from tests.integration.mirror_fixtures import COLLECTION, Origin, drained, running, settings, stored


async def test_a_purge_waits_for_the_statements_that_began_before_it(database: Database) -> None:
    """Without FOR SHARE, an upsert that checked the stamp floor before the purge is applied after it: a ghost."""
    relation = await database.fetchval("SELECT (_crossfade.ensure_collection('shop', 'products')).relation")
    await database.execute(f"INSERT INTO {relation} (key, rev, raw, doc, mark) VALUES ('a', 5, NULL, NULL, 1)")
    async with database.session() as session, session.transaction():
        await session.fetch(sql.documents.UPSERT.on(relation), COLLECTION, ["b"], [7], ['{"_key":"b"}'], ["{}"], [1])
        purging = asyncio.create_task(purge(database, COLLECTION, relation, 2))
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%stamp_floor%'"
        while not purging.done() and not await database.fetchval(waits):
            await asyncio.sleep(0.01)
        assert not purging.done()
    assert await purging == 1


def _row(rev: int, stamp: int, *, removed: bool = False) -> StampedVersion:
    return StampedVersion("a", rev, None if removed else b'{"_key":"a"}', stamp)


async def _alive(database: Database, relation: str) -> int | None:
    rev: int | None = await database.fetchval(f"SELECT rev FROM {relation} WHERE key = 'a' AND doc IS NOT NULL")
    return rev


async def test_an_older_version_never_overwrites_a_newer(database: Database) -> None:
    """I4."""
    target = TargetWriter(database)
    relation = await target.tables.relation(COLLECTION)
    for rev in (7, 5):
        assert (await target.write(COLLECTION, [_row(rev, 1)])).reread == frozenset()
        assert await _alive(database, relation) == 7


async def test_a_tombstone_refuses_older_versions(database: Database) -> None:
    target = TargetWriter(database)
    relation = await target.tables.relation(COLLECTION)
    for row in (_row(5, 1), _row(5, 1, removed=True), _row(5, 1)):
        await target.write(COLLECTION, [row])
    assert await _alive(database, relation) is None


async def test_a_document_removed_during_its_repair_stays_removed(tmp_path: Path, database: Database, dsn: str) -> None:
    """Repair reads a living document; its removal is captured and applied; then repair writes what it read."""
    origin = Origin()
    async with running(tmp_path, database, dsn, origin) as mirror:
        while await database.fetchval("SELECT era FROM _crossfade.era") < 2:  # the purge's first step raises one
            await asyncio.sleep(0.01)
        put = origin.put("a", 1)

        async def remove_document() -> None:
            removal = mirror.intend(COLLECTION, ("a",))
            mirror.captured(removal, (origin.delete(put),))
            await mirror.applied(removal)

        origin.before_answer = remove_document
        mirror.reread(mirror.intend(COLLECTION, ("a",)))
        await drained(mirror)
        assert origin.before_answer is None
        assert await stored(database) == {}


async def test_a_document_restored_from_a_backup_is_repaired_over_its_tombstone(
    tmp_path: Path, database: Database, dsn: str
) -> None:
    """arangorestore keeps revisions: the tombstone is older than the repair's read, and is replaced."""
    origin = Origin()
    async with running(tmp_path, database, dsn, origin) as mirror:
        put = origin.put("a", 1)
        assert put.raw is not None
        removal = mirror.intend(COLLECTION, ("a",))
        mirror.captured(removal, (origin.delete(put),))
        await mirror.applied(removal)
        origin.documents[COLLECTION]["a"] = put.raw
        mirror.reread(mirror.intend(COLLECTION, ("a",)))
        await drained(mirror)
        assert await stored(database) == {"a": put.raw}


async def test_statements_from_before_a_purge_are_refused_and_read_again(database: Database) -> None:
    target = TargetWriter(database)
    relation = await target.tables.relation(COLLECTION)
    await target.write(COLLECTION, [_row(5, 1, removed=True)])
    era = await target.raise_era()
    assert await purge(database, COLLECTION, relation, era) == 1
    assert (await target.write(COLLECTION, [_row(5, 1)])).reread == {"a"}
    assert await _alive(database, relation) is None


async def test_the_stamp_is_the_era_from_before_the_write_was_sent(
    tmp_path: Path, database: Database, dsn: str
) -> None:
    """A purge between a write and its capture: the answer's stamp is older than the floor, so it is read again."""
    origin, era = Origin(), 1
    relation = await database.fetchval("SELECT (_crossfade.ensure_collection('shop', 'products')).relation")
    mirror = Mirror(settings(tmp_path, dsn), database, origin, "proxy-1", lambda: era)
    await mirror.start()
    try:
        put = origin.put("a", 1)
        intent = mirror.intend(COLLECTION, ("a",))
        removal = mirror.intend(COLLECTION, ("a",))
        mirror.captured(removal, (origin.delete(put),))
        await mirror.applied(removal)
        era = int(await database.fetchval("SELECT _crossfade.raise_era()")) + 1
        await database.fetchval("SELECT _crossfade.raise_era()")
        assert await purge(database, COLLECTION, relation, era) == 1
        mirror.captured(intent, (put,))
        await drained(mirror)
        assert await stored(database) == {}
    finally:
        await mirror.close()


async def test_an_intent_is_open_until_postgresql_has_the_write(tmp_path: Path, dsn: str) -> None:
    """I3: a change in memory alone is an open intent."""
    unreachable = await Database.open("postgresql://crossfade@127.0.0.1:1/none", connect_timeout=0.2)
    origin = Origin()
    async with running(tmp_path, unreachable, dsn, origin) as mirror:
        intent = mirror.intend(COLLECTION, ("a",))
        mirror.captured(intent, (origin.put("a", 1),))
        assert mirror.is_open(intent)
        assert mirror.backlog == 1
    await unreachable.close()
    reachable = await Database.open(dsn, size=2)
    async with running(tmp_path, reachable, dsn, origin) as mirror:
        await drained(mirror)
        assert await stored(reachable) == origin.documents[COLLECTION]
    await reachable.close()


async def test_the_journal_has_the_intent_before_the_origin_has_the_request(dsn: str, tmp_path: Path) -> None:
    """I3: a kill during the origin's execution must leave an intent."""
    open_then: list[int] = []
    async with running_stack(dsn, tmp_path) as stack:
        await stack.client.post("/_api/collection", json={"name": "books"})
        execute = stack.origin.store.execute

        async def record_backlog(operation: Operation) -> Outcome:
            if operation.endpoint.name == "document.insert":
                open_then.append(stack.application.mirror.backlog)
            return await execute(operation)

        stack.origin.store.execute = record_backlog  # type: ignore[method-assign]
        await stack.database.execute("SELECT _crossfade.ensure_collection('_system', 'books')")
        await stack.database.execute("UPDATE _crossfade.collection SET stage = 'mirror'")
        await stack.database.execute("UPDATE _crossfade.control SET generation = generation + 1")
        while not stack.application.lease.snapshot.collections:
            await asyncio.sleep(0.01)
        await stack.client.post("/_api/document/books", json={"_key": "a"})
        await stack.drained()
    assert open_then == [1]
