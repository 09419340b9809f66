"""PostgreSQL returns on a new timeline, as after a failover: nothing known about its contents is relied upon (I10)."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import orjson

from deploy.demo.postgres import EmbeddedPostgres
from proxy.base.errors import DatabaseError
from proxy.complete import CompleteStore
from proxy.model.revision import decode_rev
from proxy.model.stages import CollectionState, Stage
from proxy.replication.target_writer import TargetWriter
from proxy.replication.versions import StampedVersion
from proxy.wire.decode import decode_parts
from tests.complete_fixtures import complete_store
from tests.conftest import _create, migrated_template
from tests.harness import eventually, running, straight

BOOKS = "_system/books"
DOCUMENT = "/_api/document/books"


def promoted(server: EmbeddedPostgres) -> None:
    """Recover from its own log and start a new timeline, as a promoted replica does."""
    signal = server.data / "recovery.signal"
    signal.touch()
    owner = os.stat(server.data)
    os.chown(signal, owner.st_uid, owner.st_gid)
    server.options |= {"restore_command": "false", "hot_standby": "off"}
    server.start()


async def test_a_new_timeline_raises_the_era_and_makes_every_database_unverified(tmp_path: Path) -> None:
    with EmbeddedPostgres(options={"fsync": "off", "shared_buffers": "32MB"}) as server:
        await migrated_template(server.dsn)
        dsn = await _create(server, "migrated")
        async with running(dsn, tmp_path) as stack:
            await stack.client.post("/_api/collection", json={"name": "books"})
            await stack.move(CollectionState(Stage.MIRROR), BOOKS)
            await stack.client.post(DOCUMENT, json={"_key": "a"})
            await stack.drained()
            timeline = "SELECT timeline FROM _crossfade.timeline"

            async def timeline_recorded() -> bool:
                return bool(await stack.database.fetchval(timeline) == 1)

            await eventually(timeline_recorded, "the timeline is recorded")
            assert await stack.database.fetchval("SELECT count(*) FROM _crossfade.unverified") == 0
            before = await TargetWriter(stack.database).raise_era()
            server.stop("immediate")
            promoted(server)

            async def new_timeline_recorded() -> bool:
                with contextlib.suppress(DatabaseError):  # a connection of the server that is gone
                    return bool(await stack.database.fetchval(timeline) == 2)
                return False

            await eventually(new_timeline_recorded, "the new timeline is recorded")
            marks = await stack.database.fetch("SELECT collection, reason FROM _crossfade.unverified")
            assert [tuple(row) for row in marks] == [
                ("_system/*", "PostgreSQL's timeline changed: a failover may have lost commits")
            ]
            assert await stack.database.fetchval("SELECT min(floor) FROM _crossfade.stamp_floor") >= before + 1_000_000
            old = StampedVersion("a", 1 << 62, b'{"_key":"a"}', before)
            assert (await TargetWriter(stack.database).write(BOOKS, [old])).reread == {"a"}, (
                "stamps from before the failover are refused"
            )
            await stack.client.patch(DOCUMENT + "/a", json={"n": 1})
            await stack.client.post(DOCUMENT, json={"_key": "b"})
            await stack.drained()
            assert await stack.differences(BOOKS) == []


class Standby(EmbeddedPostgres):
    """A server that follows another one. It has the other's database, and can make none."""

    def _create_database(self) -> None: ...


@contextlib.asynccontextmanager
async def standby_of(primary: EmbeddedPostgres) -> AsyncIterator[EmbeddedPostgres]:
    """Run a copy of a server that follows it."""
    standby = Standby(options=dict(primary.options), bin_dir=primary.bin_dir)
    async with straight(primary.dsn) as connection:
        await connection.execute("SELECT pg_backup_start('standby', fast => true)")
        shutil.copytree(primary.data, standby.data, ignore=shutil.ignore_patterns("postmaster.*"))
        label = await connection.fetchval("SELECT labelfile FROM pg_backup_stop(false)")
    (standby.data / "backup_label").write_text(label)
    (standby.data / "standby.signal").touch()
    with (standby.data / "postgresql.auto.conf").open("a") as settings:
        settings.write(f"primary_conninfo = 'host=127.0.0.1 port={primary.port} user=crossfade'\n")
    owner = os.stat(primary.data)
    for place in (standby.data, *standby.data.rglob("*")):
        os.chown(place, owner.st_uid, owner.st_gid)
    standby.data.chmod(0o700)
    with standby:
        yield standby


async def insert(store: CompleteStore) -> int:
    """Insert a document; return its revision."""
    outcome = await store.execute(decode_parts("POST", b"/_api/document/books", [], b"{}"))
    return decode_rev(orjson.loads(outcome.body)["_rev"])


async def test_a_standby_that_lacks_commits_gives_none_of_their_revisions() -> None:
    with EmbeddedPostgres(options={"fsync": "off", "shared_buffers": "32MB"}) as primary:
        await migrated_template(primary.dsn)
        dsn = await _create(primary, "migrated")
        async with complete_store(dsn) as store:
            await store.execute(decode_parts("POST", b"/_api/collection", [], b'{"name":"books"}'))
            kept = await insert(store)
            async with standby_of(primary) as standby:
                followed = dsn.replace(str(primary.port), str(standby.port))
                async with straight(followed) as behind:

                    async def has_all() -> bool:
                        row = "SELECT count(*) = 1 FROM _crossfade.collection WHERE name = 'books'"
                        return bool(await behind.fetchval(row))

                    async def follows_no_longer() -> bool:
                        return not await behind.fetchval("SELECT count(*) FROM pg_stat_wal_receiver")

                    await eventually(has_all, "the standby follows")
                    await behind.execute("ALTER SYSTEM SET primary_conninfo = ''")
                    await behind.execute("SELECT pg_reload_conf()")
                    await eventually(follows_no_longer, "the standby is cut off")
                    lost = [await insert(store) for _ in range(50)]
                    primary.stop("immediate")
                    await behind.execute("SELECT pg_promote()")
                async with complete_store(followed) as survivor:
                    given = [await insert(survivor) for _ in range(50)]
    assert kept < lost[0]
    assert max(lost) < min(given)
    assert given == sorted(set(given))
    assert time.time() * 1000 - (given[-1] >> 20) < 60_000, "and they show when they were given"
