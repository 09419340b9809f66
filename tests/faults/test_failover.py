"""PostgreSQL returns on a new timeline, as after a failover: nothing known about its contents is relied upon (I10)."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from deploy.demo.postgres import EmbeddedPostgres
from proxy.base.errors import DatabaseError
from proxy.model.stages import CollectionState, Stage
from proxy.replication.target_writer import TargetWriter
from proxy.replication.versions import StampedVersion
from tests.conftest import _create, migrated_template
from tests.harness import eventually, running

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
