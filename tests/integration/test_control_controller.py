"""Epochs against live instances: begin, acknowledge, commit; stragglers, rollback, races, eviction (I7, I9)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

import sql
from proxy.base.errors import PreconditionFailed
from proxy.control.controller import change, evict, rollback
from proxy.control.epoch import EpochStep, TimedOut
from proxy.control.transitions_plan import DesiredState
from proxy.model.stages import CollectionState, Phase, Stage, Transition
from proxy.state import audit, control_row
from tests.ad_hoc import Database, Session
from tests.harness import eventually
from tests.integration.control_fixtures import HEARTBEAT, Application, Fleet, Instance, pass_gates, settings_for, until

JOBS, RESUMES = "shop/jobs", "shop/resumes"


@pytest.fixture
async def fleet(database: Database, tmp_path: Path) -> AsyncIterator[Fleet]:
    instances = Fleet(database, tmp_path)
    yield instances
    await instances.close()


async def _stage(database: Database, collection: str) -> tuple[str, int]:
    row = await database.fetchrow("SELECT stage, weight FROM _crossfade.collection WHERE collection = $1", collection)
    assert row is not None
    return row["stage"], row["weight"]


async def _phase(instance: Instance, phase: Phase) -> None:
    await until(lambda: instance.lease.snapshot.phase is phase)


async def _wait_for_heartbeats(instance: Instance) -> None:
    """Wait for several heartbeats, each of which may acknowledge."""
    looked = instance.lease.last_heartbeat
    await until(lambda: instance.lease.last_heartbeat > looked + 3 * HEARTBEAT)


async def test_two_instances_follow_every_stage_and_back(fleet: Fleet, database: Database) -> None:
    one, two = await fleet.start("one"), await fleet.start("two")
    steps: list[EpochStep] = []
    await fleet.to(Stage.MIRROR, JOBS, RESUMES)
    assert one.lease.snapshot.state(JOBS).stage is Stage.MIRROR
    await fleet.to(Stage.SHADOW, JOBS, RESUMES)
    for collection in (JOBS, RESUMES):
        await pass_gates(database, collection)
    done = await fleet.to(Stage.FLIPPED, JOBS, RESUMES, weight=10, progress=steps.append)
    assert done.phases == (Phase.BEGIN, Phase.HOLD, Phase.DRAIN)
    assert list(dict.fromkeys(step.phase for step in steps)) == [Phase.BEGIN, Phase.HOLD, Phase.DRAIN, Phase.IDLE]
    assert done.behind == ()
    for instance in (one, two):
        assert instance.lease.snapshot.policy(JOBS).weight == 10
    await until(lambda: one.lease.may_read_target and two.lease.may_read_target)
    generation = await rollback(database, [JOBS], actor="test", reason="a look back")
    assert generation == done.generation + 1
    assert await _stage(database, JOBS) == ("shadow", 0)
    assert await _stage(database, RESUMES) == ("flipped", 10)
    await until(lambda: two.lease.generation == generation)
    assert [e.action for e in await audit.entries(database)][:2] == ["rollback", "change"]
    assert (await audit.verify(database)).broken is None


async def test_a_dry_run_shows_the_change_and_makes_none(fleet: Fleet, database: Database) -> None:
    await fleet.start("one")
    shown = await fleet.to(Stage.MIRROR, JOBS, dry_run=True)
    assert [m.collection for m in shown.transitions] == [JOBS]
    assert (shown.dry_run, shown.instances) == (True, ("one",))
    assert await database.fetchval("SELECT count(*) FROM _crossfade.collection") == 0
    assert await database.fetchval("SELECT generation FROM _crossfade.control") == 1


async def test_a_straggler_aborts_the_epoch_and_is_named(fleet: Fleet, database: Database) -> None:
    await fleet.start("good")
    busy = await fleet.start("busy", Application(uncaptured=1))
    with pytest.raises(TimedOut, match=r"busy has not met the phase's conditions"):
        await fleet.to(Stage.MIRROR, JOBS, timeout=0.3)
    assert await _stage(database, JOBS) == ("off", 0)
    assert await database.fetchval("SELECT phase FROM _crossfade.control") == "settled"
    assert await database.fetchval("SELECT outcome FROM _crossfade.epoch") == "aborted"
    busy.application.uncaptured = 0
    await fleet.to(Stage.MIRROR, JOBS)
    assert await _stage(database, JOBS) == ("mirror", 0)


async def test_a_frozen_instance_blocks_changes_until_it_is_evicted(fleet: Fleet, database: Database) -> None:
    await fleet.start("good")
    frozen = await fleet.start("frozen", lease=0.3)
    await fleet.to(Stage.MIRROR, JOBS)
    frozen.line.up.clear()
    with pytest.raises(TimedOut, match=r"frozen is silent for .* \(process \d+ on here\)"):
        await fleet.to(Stage.SHADOW, JOBS, timeout=1.0)
    with pytest.raises(PreconditionFailed, match="confirmed-stopped"):
        await evict(database, "frozen", confirmed_stopped=False, actor="test")
    assert await evict(database, "frozen", confirmed_stopped=True, actor="test", reason="it burnt") == (JOBS,)
    await fleet.to(Stage.SHADOW, JOBS)
    reasons = await database.fetch("SELECT collection, reason, instance FROM _crossfade.unverified")
    assert [tuple(row) for row in reasons] == [(JOBS, "instance frozen was evicted", "frozen")]
    with pytest.raises(PreconditionFailed, match="no instance frozen is registered"):
        await evict(database, "frozen", confirmed_stopped=True, actor="test")


async def test_live_instances_are_not_evicted(fleet: Fleet, database: Database) -> None:
    one = await fleet.start("one")
    await until(lambda: one.lease.may_read_target)
    with pytest.raises(PreconditionFailed, match="instance one lives"):
        await evict(database, "one", confirmed_stopped=True, actor="test")


async def test_eviction_rolls_reads_back(fleet: Fleet, database: Database) -> None:
    """The target may lack what the evicted instance acknowledged alone: no reads there before a verification."""
    await fleet.start("one")
    dead = await fleet.start("dead", lease=0.3)
    await fleet.flipped(JOBS)
    await fleet.crash(dead)
    limit = asyncio.get_running_loop().time() + 30
    while True:
        try:
            await evict(database, "dead", confirmed_stopped=True, actor="test")
            break
        except PreconditionFailed:
            assert asyncio.get_running_loop().time() < limit
            await asyncio.sleep(0.05)
    assert await _stage(database, JOBS) == ("shadow", 0)


async def test_the_flip_waits_for_each_condition(fleet: Fleet, database: Database) -> None:
    one = await fleet.start("one")
    await fleet.to(Stage.MIRROR, JOBS)
    await fleet.to(Stage.SHADOW, JOBS)
    await pass_gates(database, JOBS)
    application = one.application
    application.backlog = application.queries = application.unapplied = 1
    flip = asyncio.create_task(fleet.to(Stage.FLIPPED, JOBS))
    conditions = (
        (Phase.BEGIN, "backlog"),
        (Phase.HOLD, "queries"),
        (Phase.DRAIN, "unapplied"),
    )
    for phase, condition in conditions:
        await _phase(one, phase)
        await _wait_for_heartbeats(one)
        policy = one.lease.snapshot.policy(JOBS)
        assert one.lease.snapshot.phase is phase  # it had enough time to acknowledge, and did not
        assert policy.synchronous  # from begin on: every answer has the target brought up to date (I7)
        assert policy.hold_queries == (phase is not Phase.BEGIN)
        assert not flip.done()
        setattr(application, condition, 0)
    await flip
    assert frozenset({JOBS}) in application.scopes
    assert await _stage(database, JOBS) == ("flipped", 100)


async def test_a_flip_needs_gates_and_an_instance(fleet: Fleet, database: Database) -> None:
    await fleet.to(Stage.MIRROR, JOBS)  # no instance changes its behaviour: allowed
    await fleet.to(Stage.SHADOW, JOBS)
    with pytest.raises(PreconditionFailed, match=r"instances in sync is fail \(no instance\)"):
        await fleet.to(Stage.FLIPPED, JOBS, force=True, reason="never mind")
    await fleet.start("one")
    with pytest.raises(PreconditionFailed, match="backfilled is fail"):
        await fleet.to(Stage.FLIPPED, JOBS)
    with pytest.raises(PreconditionFailed, match="--force needs --reason"):
        await fleet.to(Stage.FLIPPED, JOBS, force=True)
    await fleet.to(Stage.FLIPPED, JOBS, force=True, reason="the drill")
    entry = (await audit.entries(database, limit=1))[0]
    assert (entry.reason, entry.detail["forced"]) == ("the drill", True)
    assert entry.detail["gates"][JOBS]["backfilled"].startswith("fail")


async def test_rollback_succeeds_despite_a_frozen_instance(fleet: Fleet, database: Database) -> None:
    await fleet.start("one")
    frozen = await fleet.start("frozen")
    await fleet.flipped(JOBS)
    frozen.line.up.clear()
    assert await rollback(database, [JOBS], actor="test") is not None
    assert await _stage(database, JOBS) == ("shadow", 0)
    frozen.line.up.set()
    assert await rollback(database, [JOBS], actor="test") is None  # nothing left to roll back


async def test_rollback_aborts_an_epoch_that_waits(fleet: Fleet, database: Database) -> None:
    one = await fleet.start("one")
    await fleet.to(Stage.MIRROR, JOBS)
    await fleet.to(Stage.SHADOW, JOBS)
    await pass_gates(database, JOBS)
    one.application.backlog = 7
    flip = asyncio.create_task(fleet.to(Stage.FLIPPED, JOBS))
    await until(lambda: one.lease.snapshot.phase is Phase.BEGIN)
    await rollback(database, [JOBS], actor="second thoughts")
    with pytest.raises(PreconditionFailed, match="aborted by another command"):
        await flip
    assert await _stage(database, JOBS) == ("shadow", 0)


async def _flip_with_action_before_commit(
    fleet: Fleet, database: Database, monkeypatch: pytest.MonkeyPatch, action: Callable[[], Awaitable[object]]
) -> None:
    """Flip, and run an action between the last check of the instances and the lock of the commit."""
    await fleet.to(Stage.MIRROR, JOBS)
    await fleet.to(Stage.SHADOW, JOBS)
    await pass_gates(database, JOBS)
    lock = control_row.lock
    last: list[EpochStep] = []

    async def locked(session: Session) -> control_row.Control:
        if last:
            last.clear()
            await action()
        return await lock(session)

    def acknowledged(step: EpochStep) -> None:
        if step.phase is Phase.DRAIN and not step.waiting:
            last.append(step)

    monkeypatch.setattr(control_row, "lock", locked)
    await fleet.to(Stage.FLIPPED, JOBS, progress=acknowledged, patient=False)


async def test_an_instance_that_becomes_silent_before_the_commit_aborts_it(
    fleet: Fleet, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I7: an earlier acknowledgement does not make a silent instance safe."""
    await fleet.start("one")
    frozen = await fleet.start("frozen", lease=0.3)

    async def freeze() -> None:
        frozen.line.up.clear()
        silent = "SELECT lease_until < clock_timestamp() FROM _crossfade.instance WHERE instance = 'frozen'"
        while not await database.fetchval(silent):
            await asyncio.sleep(0.01)

    with pytest.raises(PreconditionFailed, match="stopped acknowledging in the last moment: frozen is silent"):
        await _flip_with_action_before_commit(fleet, database, monkeypatch, freeze)
    assert await _stage(database, JOBS) == ("shadow", 0)
    assert await database.fetchval("SELECT phase FROM _crossfade.control") == "settled"
    frozen.line.up.set()


async def test_a_rollback_before_the_commit_aborts_it(
    fleet: Fleet, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compare-and-set: the acknowledged generation is not the current one any more."""
    await fleet.start("one")

    async def roll_back() -> None:
        async with database.transaction() as session:
            await control_row.roll_back_all(session, actor="somebody", reason="second thoughts")

    with pytest.raises(PreconditionFailed, match="aborted by another command"):
        await _flip_with_action_before_commit(fleet, database, monkeypatch, roll_back)
    assert await _stage(database, JOBS) == ("shadow", 0)
    outcomes = await database.fetch("SELECT outcome FROM _crossfade.epoch ORDER BY epoch DESC LIMIT 2")
    assert [row["outcome"] for row in outcomes] == ["committed", "aborted"]  # the rollback, and the flip


async def test_a_rejoining_instance_checks_the_generation_it_decided_on(fleet: Fleet, database: Database) -> None:
    """A flip that has begun since must be considered: the rejoining instance may be part of it."""
    one = await fleet.start("one")
    await fleet.flipped(JOBS)
    with pytest.raises(PreconditionFailed, match="look again"):
        async with database.transaction() as session:
            await control_row.roll_back_all(
                session, actor="one", reason="it came back", expected=one.lease.generation - 1
            )
    assert await _stage(database, JOBS) == ("flipped", 100)


async def test_one_of_two_concurrent_controllers_wins(fleet: Fleet, database: Database) -> None:
    """Compare-and-set: one of them wins, the other gets an error with the winner, and nothing is half done."""
    one = await fleet.start("one", Application(uncaptured=1))
    first = asyncio.create_task(fleet.to(Stage.MIRROR, JOBS))
    await until(lambda: one.lease.snapshot.phase is Phase.BEGIN)
    with pytest.raises(PreconditionFailed, match=r"epoch 1 of test is under way \(phase begin"):
        await fleet.to(Stage.MIRROR, RESUMES)
    one.application.uncaptured = 0
    await first
    outcomes = await asyncio.gather(*(fleet.to(Stage.SHADOW, JOBS) for _ in range(4)), return_exceptions=True)
    refused = [o for o in outcomes if isinstance(o, BaseException)]
    assert all(isinstance(o, PreconditionFailed) for o in refused)
    assert len(refused) < 4
    assert await _stage(database, JOBS) == ("shadow", 0)
    assert (await audit.verify(database)).broken is None


async def test_an_abandoned_epoch_is_closed_by_the_next_controller(fleet: Fleet, database: Database) -> None:
    one = await fleet.start("one", Application(uncaptured=1))
    change_ = asyncio.create_task(fleet.to(Stage.MIRROR, JOBS))
    await until(lambda: one.lease.snapshot.phase is Phase.BEGIN)
    change_.cancel()
    with pytest.raises(asyncio.CancelledError):
        await change_
    assert await database.fetchval("SELECT phase FROM _crossfade.control") == "settled"  # it closed its own epoch
    # one that could not: its process was killed
    await database.execute(  # in one transaction: an instance closes an epoch that no controller holds
        "INSERT INTO _crossfade.epoch (epoch, actor, moves) VALUES (9, 'ghost', '[]');"
        "UPDATE _crossfade.control SET generation = generation + 1, epoch = 9, phase = 'begin'"
    )
    one.application.uncaptured = 0
    await fleet.to(Stage.MIRROR, JOBS)
    assert await database.fetchval("SELECT outcome FROM _crossfade.epoch WHERE epoch = 9") == "aborted"


async def test_default_stages_change_by_an_epoch_too(fleet: Fleet, database: Database) -> None:
    """A collection that comes into being while its database's default is changing is not missed."""
    one = await fleet.start("one", Application(uncaptured=1))
    changing = asyncio.create_task(fleet.to(Stage.MIRROR, "shop/*"))
    await until(lambda: one.lease.snapshot.phase is Phase.BEGIN)
    assert one.lease.snapshot.policy("shop/new").capture
    await database.execute("SELECT _crossfade.ensure_collection('shop', 'between')")
    assert await _stage(database, "shop/between") == ("off", 0)
    one.application.uncaptured = 0
    await changing
    assert await _stage(database, "shop/between") == ("mirror", 0)
    assert one.lease.snapshot.state("shop/later").stage is Stage.MIRROR
    await fleet.to(Stage.OFF, "shop/*")
    await until(lambda: one.lease.snapshot.state("shop/later").stage is Stage.OFF)
    with pytest.raises(PreconditionFailed, match="new collections begin at off, mirror or shadow"):
        await fleet.to(Stage.FLIPPED, "shop/*")


async def test_off_makes_the_copy_stale(fleet: Fleet, database: Database) -> None:
    await fleet.to(Stage.MIRROR, JOBS)
    await pass_gates(database, JOBS)
    await fleet.to(Stage.OFF, JOBS)
    assert {row[0] for row in await database.fetch("SELECT state FROM _crossfade.run")} == {"cancelled"}


async def test_forbidden_stage_transitions_are_refused(fleet: Fleet, database: Database) -> None:
    with pytest.raises(PreconditionFailed, match="shop/jobs: a collection at stage off goes to mirror first"):
        await fleet.to(Stage.SHADOW, JOBS)
    with pytest.raises(PreconditionFailed, match="is no collection"):
        await fleet.to(Stage.MIRROR, "jobs")
    await fleet.to(Stage.MIRROR, JOBS)
    done = await fleet.to(Stage.MIRROR, JOBS)
    assert done.transitions == ()  # there already


async def test_raising_the_weight_is_a_flip_and_lowering_it_is_not(fleet: Fleet, database: Database) -> None:
    await fleet.start("one")
    await fleet.flipped(JOBS, weight=50)
    await fleet.to(Stage.FLIPPED, JOBS, weight=60)  # earlier comparisons still count
    await database.execute("UPDATE _crossfade.comparison SET compared = 3, matched = 3")
    with pytest.raises(PreconditionFailed, match="zero mismatches is inconclusive"):
        await fleet.to(Stage.FLIPPED, JOBS, weight=100)
    lower = await fleet.to(Stage.FLIPPED, JOBS, weight=5)
    assert lower.phases == ()
    assert await _stage(database, JOBS) == ("flipped", 5)


async def test_stages_that_were_changed_meanwhile_are_not_overwritten(
    fleet: Fleet, database: Database, tmp_path: Path
) -> None:
    one = await fleet.start("one")
    await fleet.to(Stage.MIRROR, JOBS)
    one.line.up.clear()  # delays the first change between its check and its epoch, which no instance acknowledges
    settings = settings_for(tmp_path)
    target = [DesiredState(JOBS, Stage.SHADOW)]
    waiting = asyncio.create_task(change(database, target, settings=settings, actor="slow"))
    while await database.fetchval("SELECT phase FROM _crossfade.control") == "settled":
        await asyncio.sleep(0.01)
    await change(database, [DesiredState(JOBS, Stage.OFF)], settings=settings, actor="quick", wait=False)
    with pytest.raises(PreconditionFailed):
        await waiting
    assert await _stage(database, JOBS) == ("off", 0)
    one.line.up.set()


async def test_changing_stages_does_not_deadlock_with_the_shadow(database: Database) -> None:
    """Both lock the rows of comparisons in the order of their names, whatever the operator's order is."""
    for name in ("jobs", "resumes"):
        await database.execute("SELECT _crossfade.ensure_collection('shop', $1)", name)
        await database.execute(sql.control.RESET_COMPARISON, f"shop/{name}")
    transitions = [
        Transition(name, CollectionState(Stage.MIRROR), CollectionState(Stage.SHADOW)) for name in (RESUMES, JOBS)
    ]
    lock = "SELECT FROM _crossfade.comparison WHERE collection = $1 FOR UPDATE"

    async def change_stages() -> None:
        async with database.transaction() as session:
            await control_row.carry_out(session, transitions, 1)

    async def waits() -> bool:
        return bool(await database.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

    async with database.transaction() as shadow:
        await shadow.execute(lock, JOBS)
        changing = asyncio.create_task(change_stages())
        await eventually(waits, "the change waits for the shadow")
        await shadow.execute(lock, RESUMES)
    await changing
    assert await _stage(database, RESUMES) == await _stage(database, JOBS) == ("shadow", 0)
