"""What instances do about promoted collections when they rejoin, roll back or start without PostgreSQL (I7)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import sql
from proxy.base.errors import DatabaseUnavailable, PreconditionFailed
from proxy.control.controller import change, evict, rollback
from proxy.control.instance.lease import Lease
from proxy.control.transitions_plan import DesiredState
from proxy.model.revision import encode_rev
from proxy.model.stages import CollectionState, Stage
from proxy.replication.target_writer import TargetWriter
from proxy.replication.versions import StampedVersion
from proxy.state import missing_writes
from tests.ad_hoc import Database
from tests.integration.control_fixtures import Application, Fleet, Instance, settings_for, until
from tests.integration.target_fixtures import create, raw_of, take_writes

PROMOTED, FLIPPED = "shop/p", "shop/f"


@pytest.fixture
async def fleet(database: Database, tmp_path: Path) -> AsyncIterator[Fleet]:
    """One promoted and one flipped collection."""
    await take_writes(database, PROMOTED, {})
    await create(database, FLIPPED)
    await database.execute("UPDATE _crossfade.collection SET stage = 'flipped', weight = 100")
    await database.execute("UPDATE _crossfade.collection SET stage = 'promoted' WHERE collection = $1", PROMOTED)
    instances = Fleet(database, tmp_path)
    yield instances
    await instances.close()


async def _stages(database: Database) -> dict[str, str]:
    rows = await database.fetch("SELECT collection, stage FROM _crossfade.collection")
    return {row["collection"]: row["stage"] for row in rows}


async def _start(fleet: Fleet, name: str, application: Application | None = None) -> Instance:
    return await fleet.start(name, application, lease=20.0)


async def test_an_instance_that_answered_alone_rejoins_and_leaves_them_promoted(fleet: Fleet) -> None:
    one = await _start(fleet, "one")
    await until(lambda: one.lease.may_read_target)
    one.lease.give_up("a test")
    await until(lambda: one.lease.snapshot.state(FLIPPED).stage is Stage.SHADOW)
    await until(lambda: not one.lease.diverged and one.lease.may_read_target)
    assert await _stages(fleet.database) == {PROMOTED: "promoted", FLIPPED: "shadow"}


async def test_a_restart_with_open_intents_waits_for_those_of_flipped_collections_alone(fleet: Fleet) -> None:
    application = Application(backlog=1, clean=False)
    one = await _start(fleet, "one", application)
    await until(lambda: frozenset({FLIPPED}) in application.scopes)
    assert not one.lease.may_read_target
    application.backlog = 0
    await until(lambda: one.lease.may_read_target)


async def test_rollbacks_evictions_and_marks_leave_them(fleet: Fleet, database: Database) -> None:
    await rollback(database, [PROMOTED, FLIPPED], actor="test")
    assert await _stages(database) == {PROMOTED: "promoted", FLIPPED: "shadow"}
    one = await _start(fleet, "one")
    await fleet.crash(one)
    await database.execute(
        "UPDATE _crossfade.instance SET lease_until = now() - interval '1 day', heartbeat_at = now() - interval '1 day'"
    )
    assert PROMOTED in await evict(database, "one", confirmed_stopped=True, actor="test")
    await missing_writes.mark(database, ["*"], ["a test"], "one")
    assert await _stages(database) == {PROMOTED: "promoted", FLIPPED: "shadow"}


@pytest.mark.parametrize(
    "state", [CollectionState(Stage.FLIPPED, 100), CollectionState(Stage.SHADOW), CollectionState()]
)
async def test_no_other_command_changes_their_stage(fleet: Fleet, database: Database, state: CollectionState) -> None:
    await _start(fleet, "one")
    target = DesiredState(PROMOTED, state.stage, state.weight)
    with pytest.raises(PreconditionFailed, match="PostgreSQL takes its writes"):
        await change(database, [target], settings=settings_for(fleet.folder), actor="test")
    row = await database.fetchrow(sql.collections.FIND.text, PROMOTED)
    assert row is not None
    assert row["stage"] == "promoted"


async def test_a_start_without_postgresql_that_knows_no_stages_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    one = await _start(fleet, "one")
    assert await one.lease.close()
    fleet.instances.remove(one)
    assert not (one.settings.state_dir / "control.json").exists()
    nowhere = await Database.open("postgresql://127.0.0.1:9/none", size=1)
    try:
        lease = Lease(nowhere, one.settings, "one", Application().conditions())
        with pytest.raises(DatabaseUnavailable):
            await lease.start()
    finally:
        await nowhere.close()


async def test_what_an_instance_still_has_of_them_is_dropped(fleet: Fleet, database: Database) -> None:
    """An intent that was left over is repaired by no read of ArangoDB, and does not stay open for ever."""
    writer = TargetWriter(database, "one")
    for collection, dropped in ((PROMOTED, True), (FLIPPED, False)):
        old = [StampedVersion("k", 1 << 50, raw_of(collection, "k", rev=encode_rev(1 << 50)), 0)]
        await database.execute("UPDATE _crossfade.stamp_floor SET floor = 9 WHERE collection = $1", collection)
        assert (await writer.write(collection, old)).reread == (set() if dropped else {"k"})
        assert (await writer.absent(collection, {"k": 0}, 0)).reread == (set() if dropped else {"k"})
        assert await database.fetchval(f"SELECT count(*) FROM {await create(database, collection)}") == 0
