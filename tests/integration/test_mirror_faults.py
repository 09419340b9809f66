"""I3: the process killed at any point, PostgreSQL stopped at any moment; in the end nothing is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.demo.postgres import EmbeddedPostgres
from proxy.base import failpoints
from proxy.base.errors import DatabaseError
from proxy.journal.records import OpaqueWrite
from tests.ad_hoc import Database
from tests.conftest import _create, migrated_template
from tests.integration.mirror_fixtures import COLLECTION, Origin, drained, marks, running, stored, until
from tests.integration.mirror_process import FolderOrigin


@pytest.mark.parametrize(
    "fault", [f"{point}:{nth}" for point, nth in zip(failpoints.DOCUMENTS, (65, 44, 87, 3, 4, 2, 2), strict=True)]
)
async def test_a_kill_at_any_point_loses_nothing(tmp_path: Path, database: Database, dsn: str, fault: str) -> None:
    folder, state = tmp_path / "origin", tmp_path / "state"
    folder.mkdir()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.integration.mirror_process", str(state), str(folder), dsn),
        env={**os.environ, "CROSSFADE_FAULT": fault},
    )
    assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL
    origin = FolderOrigin(folder)
    async with running(state, database, dsn, origin) as mirror:  # type: ignore[arg-type]
        await drained(mirror)
        assert await stored(database) == origin.documents()
    if fault.startswith(("before-mark", "after-apply")):
        assert ("shop/orders", "import") in await marks(database)
    if fault == "after-forward:44":  # the key that ArangoDB generated is unknown, or 44 is another write
        assert {collection for collection, _ in await marks(database)} <= {"shop/orders", "shop/*", COLLECTION}


async def test_a_kill_before_the_key_is_known_makes_the_collection_unverified(
    tmp_path: Path, database: Database, dsn: str
) -> None:
    folder, state = tmp_path / "origin", tmp_path / "state"
    folder.mkdir()
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.integration.mirror_process", str(state), str(folder), dsn],
        env={**os.environ, "CROSSFADE_FAULT": "after-forward:8"},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    async with running(state, database, dsn, FolderOrigin(folder)) as mirror:  # type: ignore[arg-type]
        await drained(mirror)
        assert await marks(database) == [(COLLECTION, "a write whose key is not known had an unknown outcome")]


async def test_a_crash_of_postgresql_loses_no_write(tmp_path: Path) -> None:
    """I2 and I3: no call of the client's path raises or waits, the backlog grows, and drains by itself."""
    server = EmbeddedPostgres(options={"fsync": "off", "shared_buffers": "16MB"})
    server.start()
    try:
        await migrated_template(server.dsn)
        dsn = await _create(server, "migrated")
        database = await Database.open(dsn, connect_timeout=2)
        origin = Origin()
        async with running(tmp_path / "state", database, dsn, origin, queue_documents=50) as mirror:
            first = mirror.intend(COLLECTION, ("k0",))
            mirror.captured(first, (origin.put("k0", 0),))
            await mirror.applied(first)
            await asyncio.to_thread(server.stop, "immediate")
            for number in range(200):
                key = f"k{number % 70}"
                mirror.captured(mirror.intend(COLLECTION, (key,)), (origin.put(key, number),))
                if number % 40 == 0:
                    await asyncio.sleep(0.01)
            mirror.mark(mirror.intend_change(OpaqueWrite("import", ("shop/*",))))
            await until(lambda: mirror._applier.reachable is False)
            assert mirror.backlog == 201
            assert mirror.queued == 50
            assert mirror.lag_seconds > 0
            assert not await mirror.caught_up(COLLECTION, 0.05)
            with pytest.raises(DatabaseError):
                await mirror.ensure_target_has(COLLECTION, (), ("k1",))
            await asyncio.to_thread(server.start)
            await drained(mirror)
            assert await stored(database) == origin.documents[COLLECTION]
            assert await marks(database) == [("shop/*", "import")]
            assert mirror._applier.reachable is True
        await database.close()
    finally:
        await asyncio.to_thread(server.stop)


async def test_a_backlog_survives_postgresql_being_away_at_start_and_stop(
    tmp_path: Path, database: Database, dsn: str
) -> None:
    """What could not be drained stays in the journal, and the next process drains it."""
    unreachable = await Database.open("postgresql://crossfade@127.0.0.1:1/none", connect_timeout=0.5)
    origin = Origin()
    async with running(tmp_path, unreachable, dsn, origin, drain=0.1) as mirror:
        for number in range(30):
            mirror.captured(mirror.intend(COLLECTION, (f"k{number}",)), (origin.put(f"k{number}", number),))
        mirror.mark(mirror.intend_change(OpaqueWrite("import", ("shop/*",))))
        await asyncio.sleep(0.05)
    await unreachable.close()
    async with running(tmp_path, database, dsn, origin) as mirror:
        assert mirror.backlog == 31
        assert mirror.backlog_of(COLLECTION) == 31
        await drained(mirror)
        assert await stored(database) == origin.documents[COLLECTION]
        assert await marks(database) == [("shop/*", "import")]
    async with running(tmp_path, database, dsn, origin) as mirror:
        assert mirror.backlog == 0


async def test_the_proxy_waits_for_an_unmigrated_database(tmp_path: Path, empty_dsn: str) -> None:
    origin = Origin()
    database = await Database.open(empty_dsn)
    async with running(tmp_path, database, empty_dsn, origin) as mirror:
        mirror.captured(mirror.intend(COLLECTION, ("a",)), (origin.put("a", 1),))
        await until(lambda: mirror._applier.reachable is False)
        from sql.loader import migrations

        for migration in migrations():
            await database.execute(migration.text)
        await drained(mirror)
        assert await stored(database) == origin.documents[COLLECTION]
    await database.close()


async def test_a_journal_that_cannot_be_written_does_not_stop_writes(
    tmp_path: Path, database: Database, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = Origin()
    async with running(tmp_path, database, dsn, origin, queue_documents=3) as mirror:
        mirror.captured(mirror.intend(COLLECTION, ("a",)), (origin.put("a", 1),))
        await drained(mirror)

        def full(fd: int, data: bytes) -> int:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(os, "write", full)
            captured = mirror.intend(COLLECTION, ("b",))
            spilled = mirror.intend(COLLECTION, ("c",))
            lost = mirror.intend(COLLECTION, ())
            assert captured.seq < 0
            assert mirror.backlog == 3
            assert mirror._intents.journaled is False
            mirror.captured(captured, (origin.put("b", 1),))
            mirror.captured(spilled, tuple(origin.put(f"c{number}", 1) for number in range(4)))
            mirror.lost(lost)
        assert await mirror.caught_up(COLLECTION, 20)
        await mirror.applied(captured)
        assert set(await stored(database)) == {"a", "b"}  # the rest is for a verification
        assert set(await marks(database)) == {(COLLECTION, "the journal could not be written")}
        intent = mirror.intend(COLLECTION, ("a",))
        assert intent.seq > 0
        assert mirror._intents.journaled is True
        mirror.close_intent(intent)
