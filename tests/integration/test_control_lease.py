"""The instance's side: leases that cannot be extended by late statements, rejoin, stops and crashes (I2, I7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy.base.errors import DatabaseUnavailable, PreconditionFailed
from proxy.control.instance.lease import Lease
from proxy.control.instance.registry import Heartbeat, InstanceRegistry
from proxy.model.stages import Phase, Stage
from proxy.state import audit
from tests.ad_hoc import Database
from tests.integration.control_fixtures import Application, Fleet, Instance, pass_gates, settings_for, until

JOBS = "shop/jobs"


@pytest.fixture
async def fleet(database: Database, tmp_path: Path) -> AsyncIterator[Fleet]:
    instances = Fleet(database, tmp_path)
    yield instances
    await instances.close()


async def _row(database: Database, instance: str) -> Any:
    return await database.fetchrow("SELECT * FROM _crossfade.instance WHERE instance = $1", instance)


async def _stage(database: Database) -> str:
    return str(await database.fetchval("SELECT stage FROM _crossfade.collection WHERE collection = $1", JOBS))


async def test_an_instance_registers_sends_heartbeats_and_deregisters(fleet: Fleet, database: Database) -> None:
    one = await fleet.start("one", Application(backlog=3, lag=1.5))
    await until(lambda: one.lease.may_read_target)
    assert one.lease.era == 1
    row = await _row(database, "one")
    assert (row["backlog"], row["lag_seconds"], row["diverged"], row["stopped_at"]) == (3, 1.5, False, None)
    assert not await one.lease.close()  # a backlog: other instances must still count it
    assert (await _row(database, "one"))["stopped_at"] is None
    restarted = await fleet.start("one")
    assert await restarted.lease.close()
    assert (await _row(database, "one"))["stopped_at"] is not None
    assert not (restarted.settings.state_dir / "control.json").exists()


async def test_a_silent_instance_stops_the_reads_of_all(fleet: Fleet, database: Database) -> None:
    one, frozen = await fleet.start("one"), await fleet.start("frozen")
    await fleet.flipped(JOBS)
    await until(lambda: one.lease.may_read_target and frozen.lease.may_read_target)
    frozen.line.up.clear()
    await until(lambda: not one.lease.may_read_target)  # it detected that the other's lease expired
    await until(lambda: frozen.lease.own_lease_expired)
    assert not frozen.lease.may_read_target
    frozen.line.up.set()
    # every answer was in both stores: it is the same as a slow instance
    await until(lambda: one.lease.may_read_target and frozen.lease.may_read_target)
    assert await _stage(database) == "flipped"


async def _wait_for_heartbeat(member: Instance) -> None:
    """Wait until the instance has read the control tables once more."""
    seen = member.lease.last_heartbeat
    await until(lambda: member.lease.last_heartbeat > seen)


async def test_an_instance_with_origin_only_acknowledgements_rolls_back_before_it_holds_a_lease(
    fleet: Fleet, database: Database
) -> None:
    one, cut = await fleet.start("one"), await fleet.start("cut")
    await fleet.flipped(JOBS)
    await until(lambda: cut.lease.may_read_target)
    cut.line.up.clear()
    assert not cut.lease.own_lease_expired  # until then its answers wait
    await until(lambda: cut.lease.own_lease_expired)
    cut.application.backlog = 2
    cut.lease.record_origin_only_ack()
    cut.line.up.set()
    await until(lambda: cut.lease.connected)
    for _ in range(3):
        await _wait_for_heartbeat(cut)
    assert cut.lease.own_lease_expired
    assert not one.lease.may_read_target
    assert await _stage(database) == "flipped"  # it drains first
    cut.application.backlog = 0
    await until(lambda: cut.lease.snapshot.state(JOBS).stage is Stage.SHADOW)
    await until(lambda: not cut.lease.diverged and not cut.lease.own_lease_expired)
    assert not (cut.settings.state_dir / "alone").exists()
    entry = next(e for e in await audit.entries(database) if e.action == "rollback")
    assert entry.actor == "instance cut"
    await pass_gates(database, JOBS)
    await fleet.to(Stage.FLIPPED, JOBS)  # and again
    await until(lambda: one.lease.may_read_target and cut.lease.may_read_target)


async def test_origin_only_acknowledgements_are_remembered_across_a_crash(fleet: Fleet, database: Database) -> None:
    await fleet.start("one")
    cut = await fleet.start("cut")
    await fleet.flipped(JOBS)
    cut.line.up.clear()
    await until(lambda: cut.lease.own_lease_expired)
    cut.lease.record_origin_only_ack()
    await fleet.crash(cut)
    restarted = await fleet.start("cut")
    await until(lambda: restarted.lease.snapshot.state(JOBS).stage is Stage.SHADOW)
    await until(lambda: not restarted.lease.diverged)
    assert await _stage(database) == "shadow"


async def test_a_kill_and_a_restart_keep_the_flip_once_the_journal_is_drained(fleet: Fleet, database: Database) -> None:
    """Acknowledged writes are in both stores; others are read again before any read from PostgreSQL."""
    one, two = await fleet.start("one"), await fleet.start("two")
    await fleet.flipped(JOBS)
    joined = (await _row(database, "two"))["joined_at"]
    await fleet.crash(two)
    restarted = await fleet.start("two", Application(clean=False, backlog=3))
    for _ in range(4):
        await _wait_for_heartbeat(restarted)
    await until(lambda: not one.lease.may_read_target)
    assert not restarted.lease.may_read_target
    assert not restarted.lease.diverged
    await until(lambda: restarted.lease._clock() >= restarted.lease._lease_end)
    assert not restarted.lease.own_lease_expired, "its answers wait for both stores, although it holds no lease"
    restarted.application.backlog = 0
    await until(lambda: one.lease.may_read_target and restarted.lease.may_read_target)
    assert await _stage(database) == "flipped"
    assert (await _row(database, "two"))["joined_at"] == joined  # it was never out: the verification still holds


async def test_a_restart_that_loses_postgresql_acknowledges_origin_only(fleet: Fleet, database: Database) -> None:
    await fleet.start("one")
    two = await fleet.start("two")
    await fleet.flipped(JOBS)
    await fleet.crash(two)
    restarted = await fleet.start("two", Application(clean=False, backlog=3))
    restarted.line.up.clear()
    await until(lambda: restarted.lease.own_lease_expired)
    restarted.lease.record_origin_only_ack()
    restarted.line.up.set()
    restarted.application.backlog = 0
    await until(lambda: restarted.lease.snapshot.state(JOBS).stage is Stage.SHADOW)


async def test_origin_only_is_diverged_immediately_and_rejoins_by_rollback(fleet: Fleet, database: Database) -> None:
    one, broken = await fleet.start("one"), await fleet.start("broken")
    await fleet.flipped(JOBS)
    await until(lambda: one.lease.may_read_target and broken.lease.may_read_target)
    file = broken.settings.state_dir / "origin-only"
    file.touch()
    await until(lambda: not broken.lease.may_read_target and not one.lease.may_read_target)
    await until(lambda: broken.lease.own_lease_expired)  # the row states it: no instance reads the target because of it
    assert (await _row(database, "broken"))["diverged"]
    file.unlink()
    await until(lambda: not broken.lease.diverged)
    assert await _stage(database) == "shadow"


async def test_origin_only_needs_no_postgresql(fleet: Fleet) -> None:
    one = await fleet.start("one", lease=30.0)
    await until(lambda: one.lease.may_read_target)
    one.line.up.clear()
    (one.settings.state_dir / "origin-only").touch()
    # it may wait only for the hanging heartbeat, which times out long before the lease
    one.lease._settings.lease = 0.2
    await until(lambda: not one.lease.may_read_target)


async def test_a_diverged_instance_blocks_changes_and_is_reported(fleet: Fleet, database: Database) -> None:
    one = await fleet.start("one")
    file = one.settings.state_dir / "origin-only"
    file.touch()
    while not (await _row(database, "one"))["diverged"]:  # its lease may run out sooner, on a busy machine
        await asyncio.sleep(0.01)
    with pytest.raises(PreconditionFailed, match="one is diverged"):
        await fleet.to(Stage.MIRROR, JOBS, timeout=0.3)
    file.unlink()
    await fleet.to(Stage.MIRROR, JOBS)


async def test_an_evicted_process_that_is_alive_joins_again(fleet: Fleet, database: Database) -> None:
    one = await fleet.start("one", lease=0.3)
    before = (await _row(database, "one"))["joined_at"]
    one.line.up.clear()
    await until(lambda: one.lease.own_lease_expired)
    await database.execute("UPDATE _crossfade.instance SET stopped_at = now(), incarnation = ''")
    one.line.up.set()
    await until(lambda: one.lease.may_read_target)
    assert (await _row(database, "one"))["joined_at"] > before  # an earlier verification no longer counts


async def test_a_late_heartbeat_does_not_extend_the_lease(database: Database) -> None:
    registry = InstanceRegistry(database, "late", lease=1.0, host=None, admin_url=None)
    await registry.register()
    now = await database.fetchval("SELECT clock_timestamp()")
    look = await registry.beat(Heartbeat(0, 0, False, 0, 0.0, now), 0)
    assert look.registered
    until_ = await database.fetchval("SELECT lease_until FROM _crossfade.instance")
    assert until_ == now  # absolute: not now() + 1 s
    recorded = await registry.beat(Heartbeat(0, 0, False, 0, 0.0, None, number=2), 0)
    assert recorded.registered
    assert await database.fetchval("SELECT lease_until FROM _crossfade.instance") == now  # not extended
    other = InstanceRegistry(database, "late", lease=1.0, host=None, admin_url=None)
    assert (await other.register()).registered  # a new process of the same host
    stale = await registry.beat(Heartbeat(9, 9, False, 0, 0.0, None, number=3), 0)
    assert not stale.registered
    assert await database.fetchval("SELECT acknowledged FROM _crossfade.instance") == 0


async def test_a_second_process_with_the_same_id_is_refused(fleet: Fleet, tmp_path: Path, database: Database) -> None:
    await fleet.start("one", lease=30.0)
    copied = Lease(
        database, settings_for(tmp_path / "copy", lease=0.1), "one", Application().conditions(), host="elsewhere"
    )
    await until(lambda: fleet.instances[0].lease.may_read_target)
    with pytest.raises(PreconditionFailed, match=r"instance one already runs as process .* on here"):
        await copied.start()


async def test_held_queries_are_released_when_the_controller_dies(fleet: Fleet, database: Database) -> None:
    one = await fleet.start("one", flip_hold_timeout=0.3)
    await database.execute("SELECT _crossfade.ensure_collection('shop', 'jobs')")
    moves = (
        '[{"collection": "shop/jobs", "before": {"stage": "shadow", "weight": 0}, '
        '"after": {"stage": "flipped", "weight": 100}}]'
    )
    await database.execute(
        "INSERT INTO _crossfade.epoch (epoch, actor, moves) VALUES (1, 'ghost', $1::text::jsonb)", moves
    )
    await database.execute("UPDATE _crossfade.control SET generation = generation + 1, epoch = 1, phase = 'hold'")
    one.lease.heartbeat_now()
    await until(lambda: one.lease.snapshot.phase is Phase.HOLD)
    assert one.lease.snapshot.policy(JOBS).hold_queries
    await until(lambda: one.lease.snapshot.phase is Phase.IDLE)
    assert await database.fetchval("SELECT outcome FROM _crossfade.epoch") == "aborted"


async def test_without_postgresql_only_a_registered_process_continues(fleet: Fleet, tmp_path: Path) -> None:
    """I2: PostgreSQL may be down when a proxy restarts; but a deregistered one cannot know the state of the others."""
    one = await fleet.start("one")
    await fleet.to(Stage.MIRROR, JOBS)
    assert one.lease.snapshot.state(JOBS).stage is Stage.MIRROR
    await fleet.crash(one)
    unreachable = await Database.open("postgresql://127.0.0.1:1/none", connect_timeout=1)
    try:
        settings = settings_for(tmp_path / "one", lease=0.3)
        restarted = Lease(unreachable, settings, "one", Application().conditions())
        await restarted.start()
        assert restarted.snapshot.state(JOBS).stage is Stage.MIRROR
        assert not restarted.may_read_target
        assert not restarted.own_lease_expired  # a lease of the previous process may still be valid
        await until(lambda: restarted.own_lease_expired)
        await restarted.close()
        strict = settings_for(tmp_path / "strict", start_without_postgresql="refuse")
        with pytest.raises(DatabaseUnavailable):
            await Lease(unreachable, strict, "strict", Application().conditions()).start()
        fresh = Lease(unreachable, settings_for(tmp_path / "fresh"), "fresh", Application().conditions())
        await fresh.start()  # it knows no stage: every write is captured, and none acknowledged as in both
        policy = fresh.snapshot.policy(JOBS)
        assert (policy.capture, policy.synchronous, fresh.may_read_target) == (True, False, False)
        assert fresh.diverged
        await fresh.close()
        assert (tmp_path / "fresh" / "alone").exists(), "the next process must know of it, too"
    finally:
        await unreachable.close()


async def test_statements_that_hang_do_not_pile_up(fleet: Fleet) -> None:
    one = await fleet.start("one", lease=0.2)
    one.line.up.clear()
    await until(lambda: one.lease.own_lease_expired and not one.lease.connected)
    await asyncio.sleep(0)
    assert len(one.lease._bounded.stuck) <= 2
    one.line.up.set()
    await until(lambda: one.lease.may_read_target)
