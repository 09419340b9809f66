"""PostgreSQL goes down during a change and returns: what was committed holds, the rest is closed (I7)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.demo.postgres import EmbeddedPostgres
from proxy.base.errors import DatabaseError, DatabaseUnavailable
from proxy.control.controller import change
from proxy.control.transitions_plan import DesiredState
from proxy.model.stages import Phase, Stage
from proxy.state import audit
from tests.ad_hoc import Database, Session
from tests.conftest import _create, migrated_template
from tests.integration.control_fixtures import Application, Fleet, Instance, pass_gates, settings_for, until

JOBS = "shop/jobs"


@pytest.fixture
async def server() -> AsyncIterator[EmbeddedPostgres]:
    """Start a dedicated PostgreSQL, which the test may stop."""
    with EmbeddedPostgres(options={"fsync": "off", "shared_buffers": "16MB"}) as started:
        await migrated_template(started.dsn)
        yield started


async def _value(database: Database, sql: str) -> object:
    async def ask() -> object:
        return await database.fetchval(sql)

    return await asyncio.wait_for(ask(), 10)


async def _phase(instance: Instance, phase: Phase) -> None:
    await until(lambda: instance.lease.snapshot.phase is phase)


async def _holds_a_lease(instance: Instance) -> None:
    await until(lambda: instance.lease.may_read_target)


async def test_a_restart_of_postgresql_in_any_phase_leaves_no_open_epoch(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    database = await Database.open(await _create(server, "migrated"), size=8)
    fleet = Fleet(database, tmp_path)
    try:
        one, two = await fleet.start("one", lease=0.5), await fleet.start("two", lease=0.5)
        await fleet.to(Stage.MIRROR, JOBS)
        await fleet.to(Stage.SHADOW, JOBS)
        await pass_gates(database, JOBS)
        busy = (("backlog", Phase.BEGIN), ("queries", Phase.HOLD), ("unapplied", Phase.DRAIN))
        for name, phase in busy:
            setattr(one.application, name, 1)
            flip = asyncio.create_task(fleet.to(Stage.FLIPPED, JOBS))
            await _phase(one, phase)
            await asyncio.to_thread(server.stop, "immediate")
            setattr(one.application, name, 0)
            await until(lambda: not one.lease.may_read_target and one.lease.own_lease_expired)
            await asyncio.to_thread(server.start)
            with pytest.raises(DatabaseError):
                await flip
            for instance in (one, two):  # they close the abandoned epoch, and hold their leases again
                await _phase(instance, Phase.IDLE)
                await _holds_a_lease(instance)
            assert await _value(database, "SELECT stage FROM _crossfade.collection") == "shadow"
            assert await _value(database, "SELECT count(*) FROM _crossfade.epoch WHERE outcome = 'open'") == 0
        await fleet.to(Stage.FLIPPED, JOBS)
        assert (await audit.verify(database)).broken is None

        # an instance with origin-only answers rolls back once, by a compare-and-set, when PostgreSQL is back
        await asyncio.to_thread(server.stop, "immediate")
        await until(lambda: one.lease.own_lease_expired)
        one.lease.record_origin_only_ack()
        await asyncio.to_thread(server.start)
        await until(lambda: not one.lease.diverged and two.lease.snapshot.state(JOBS).stage is Stage.SHADOW)
        await until(lambda: one.lease.may_read_target and two.lease.may_read_target)
        actions = [entry.action for entry in await audit.entries(database)]
        assert actions.count("rollback") == 1
    finally:
        await fleet.close()
        await database.close()


class LosesCommitAnswer(Database):
    """PostgreSQL whose answer to the commit that sets the epoch to `lost` never arrives."""

    lost = 0

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        async with super().transaction() as session:
            yield session
            after = await session.fetchval("SELECT generation FROM _crossfade.control")
        if after == self.lost:
            self.lost = 0
            raise DatabaseUnavailable("the connection was lost")


async def test_the_outcome_of_a_commit_whose_answer_is_lost_is_read(database: Database, tmp_path: Path) -> None:
    """The operator gets the outcome: a flip that was committed is not a failure."""
    fleet = Fleet(database, tmp_path)
    forgetful = LosesCommitAnswer(database._pool, database._timeout)
    try:
        await fleet.start("one")
        targets = [DesiredState(JOBS, Stage.MIRROR)]
        forgetful.lost = 3  # 1 at first, 2 begin, 3 commit
        done = await change(forgetful, targets, settings=settings_for(tmp_path), actor="test")
        assert (done.generation, forgetful.lost) == (3, 0)
        forgetful.lost = 4  # begin: no controller knows that it is open, and it is closed all the same
        with pytest.raises(DatabaseUnavailable):
            await change(forgetful, [DesiredState(JOBS, Stage.SHADOW)], settings=settings_for(tmp_path), actor="test")
        instance = fleet.instances[0]
        await until(lambda: instance.lease.snapshot.generation >= 5)
        await until(lambda: instance.lease.snapshot.phase is Phase.IDLE)
        assert instance.lease.snapshot.state(JOBS).stage is Stage.MIRROR
    finally:
        await fleet.close()


async def test_an_abandoned_epoch_is_closed_by_the_instances(database: Database, tmp_path: Path) -> None:
    """Its controller was killed in `begin`, where writes wait for both stores: that must not last."""
    fleet = Fleet(database, tmp_path)
    try:
        one = await fleet.start("one", Application(), lease=0.3)
        await database.execute("SELECT _crossfade.ensure_collection('shop', 'jobs')")
        moves = (
            '[{"collection": "shop/jobs", "before": {"stage": "shadow", "weight": 0}, '
            '"after": {"stage": "flipped", "weight": 100}}]'
        )
        await database.execute(
            "INSERT INTO _crossfade.epoch (epoch, actor, moves) VALUES (1, 'ghost', $1::text::jsonb)", moves
        )
        async with database.session() as driver:
            await driver.execute("SELECT pg_advisory_lock(x'0C055FADF'::bigint)")
            await database.execute(
                "UPDATE _crossfade.control SET generation = generation + 1, epoch = 1, phase = 'begin'"
            )
            one.lease.heartbeat_now()
            await until(lambda: one.lease.snapshot.phase is Phase.BEGIN)
            looked = one.lease.last_heartbeat
            await until(lambda: one.lease.last_heartbeat > looked + 1.0)  # it has a controller: not closed
            assert one.lease.snapshot.phase is Phase.BEGIN
            await driver.execute("SELECT pg_advisory_unlock(x'0C055FADF'::bigint)")
        await until(lambda: one.lease.snapshot.phase is Phase.IDLE)
        row = (await audit.entries(database, limit=1))[0]
        assert (row.actor, row.action, row.reason) == ("instance one", "abort", "its controller went away")
    finally:
        await fleet.close()
