"""A state directory that was copied, put back from a copy, or emptied; and a proxy that fails at its start (I3, I7)."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.app import Application
from proxy.base.errors import ConfigurationError, CrossfadeError, DatabaseUnavailable, PreconditionFailed
from proxy.control.instance import lease as leases
from proxy.control.instance.lease import Lease
from proxy.control.instance.registry import OLDER, Heartbeat, InstanceRegistry
from proxy.model.stages import CollectionState, Stage
from tests.ad_hoc import Database
from tests.harness import Running, running
from tests.integration.control_fixtures import Application as InstanceState
from tests.integration.control_fixtures import Fleet, Instance, settings_for, until

JOBS = "shop/jobs"


@pytest.fixture
async def fleet(database: Database, tmp_path: Path) -> AsyncIterator[Fleet]:
    instances = Fleet(database, tmp_path)
    yield instances
    await instances.close()


async def marks(database: Database) -> list[str]:
    rows = await database.fetch("SELECT collection || ': ' || reason AS said FROM _crossfade.unverified ORDER BY id")
    return [row["said"] for row in rows]


async def stage(database: Database) -> str:
    found: str = await database.fetchval("SELECT stage FROM _crossfade.collection WHERE collection = $1", JOBS)
    return found


async def heartbeat(one: Instance) -> None:
    beats = one.lease.last_heartbeat
    await until(lambda: one.lease.last_heartbeat > beats)


def copied(state: Path, to: Path) -> None:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(state, to)


# ---- copies


async def test_an_older_copy_of_the_state_directory_causes_a_rollback(
    fleet: Fleet, database: Database, tmp_path: Path
) -> None:
    """Its journal lacks newer intents: PostgreSQL has heartbeats that the copy does not know."""
    one = await fleet.start("one")
    await fleet.start("two")
    await fleet.flipped(JOBS)
    copied(tmp_path / "one", tmp_path / "copy")
    for _ in range(2):  # the first may have been on its way when the copy was made: then the copy knows of it
        await heartbeat(one)
    await fleet.crash(one)
    copied(tmp_path / "copy", tmp_path / "one")
    await fleet.start("one")
    assert await marks(database) == [f"shop/*: {OLDER}"]
    assert await stage(database) == "shadow"


async def test_a_restart_on_the_same_directory_is_accepted(fleet: Fleet, database: Database) -> None:
    one = await fleet.start("one")
    await fleet.flipped(JOBS)
    for _ in range(2):
        await fleet.crash(one)
        one = await fleet.start("one")
    await until(lambda: one.lease.may_read_target)
    assert (await marks(database), await stage(database)) == ([], "flipped")


async def test_an_older_copy_from_after_a_clean_stop_is_accepted(
    fleet: Fleet, database: Database, tmp_path: Path
) -> None:
    one = await fleet.start("one")
    await fleet.to(Stage.MIRROR, JOBS)
    copied(tmp_path / "one", tmp_path / "copy")
    await fleet.to(Stage.SHADOW, JOBS)
    assert await one.lease.close()
    copied(tmp_path / "copy", tmp_path / "one")
    await fleet.start("one")
    assert await marks(database) == []


async def test_a_machine_stop_that_lost_the_newest_heartbeats_is_accepted(
    fleet: Fleet, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count is synced every few seconds: after another boot the synced count is compared."""
    one = await fleet.start("one")
    await fleet.to(Stage.MIRROR, JOBS)
    copied(tmp_path / "one", tmp_path / "copy")
    await fleet.to(Stage.SHADOW, JOBS)
    await fleet.crash(one)
    copied(tmp_path / "copy", tmp_path / "one")
    with monkeypatch.context() as patched:
        patched.setattr(leases, "boot_id", lambda: "another boot")
        await fleet.start("one")
    assert await marks(database) == []


async def test_a_copy_is_refused_while_the_other_process_sends_heartbeats(
    fleet: Fleet, database: Database, tmp_path: Path
) -> None:
    """A clone of the machine or of the volume: the error states what to do, and the other process is unaffected."""
    one = await fleet.start("one", lease=0.3)
    copied(tmp_path / "one", tmp_path / "copy")
    clone = Lease(
        database, settings_for(tmp_path / "copy", lease=0.3), "one", InstanceState().conditions(), host="here"
    )
    try:
        with pytest.raises(
            PreconditionFailed, match=r"already runs as process .* Start this one with an empty directory"
        ):
            await clone.start()
    finally:
        await clone.close()
    await until(lambda: one.lease.may_read_target)
    assert one.lease.connected


async def test_two_clones_of_one_running_process_do_not_share_its_registration(database: Database) -> None:
    """They share even the incarnation, but no heartbeat number is accepted twice."""
    registry = InstanceRegistry(database, "one", lease=1.0, host=None, admin_url=None)
    await registry.register()
    now = await database.fetchval("SELECT clock_timestamp()")

    def beat(number: int) -> Heartbeat:
        return Heartbeat(0, 0, False, 0, 0.0, now, number=number)

    assert (await registry.beat(beat(1), 0)).registered
    assert (await registry.beat(beat(2), 0)).registered
    assert not (await registry.beat(beat(2), 0)).registered, "the clone detects that it is a clone"
    await database.execute("UPDATE _crossfade.instance SET lease_until = clock_timestamp() + interval '1 minute'")
    assert not (await registry.register(again=True)).registered, "and does not reclaim the registration"


async def test_an_origin_only_acknowledgement_is_recorded_in_two_files(fleet: Fleet, tmp_path: Path) -> None:
    one = await fleet.start("one", lease=0.3)
    one.line.up.clear()
    await until(lambda: one.lease.own_lease_expired)
    one.lease.record_origin_only_ack()
    await fleet.crash(one)
    (tmp_path / "one" / "alone").unlink()
    restarted = Lease(
        fleet.database, settings_for(tmp_path / "one"), "one", InstanceState(backlog=1).conditions(), host="here"
    )
    await restarted.start()
    assert restarted.diverged
    await restarted.close(deregister=False)


# ---- a start that fails


async def instances(database: Database) -> list[tuple[str, bool]]:
    rows = await database.fetch("SELECT instance, stopped_at IS NULL AS counted FROM _crossfade.instance")
    return [(row["instance"], row["counted"]) for row in rows]


async def test_a_proxy_whose_port_is_taken_does_not_stay_registered(stack: Running) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = stack.settings.model_copy(
            update={"listen_port": taken.getsockname()[1], "state_dir": stack.settings.state_dir / "other"}
        )
        with pytest.raises(ConfigurationError, match="CROSSFADE_LISTEN_PORT"):
            async with Application(settings):
                raise AssertionError
    counted = [name for name, here in await instances(stack.database) if here]
    assert counted == [stack.application.instance]
    await stack.move(CollectionState(Stage.MIRROR), "_system/books")  # no instance is waited for


async def test_a_proxy_whose_first_heartbeat_fails_does_not_stay_registered(
    stack: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a pooler that assigns other sessions, or on a database that was not migrated to the end."""

    async def refused(*_: object) -> None:
        raise DatabaseUnavailable("a pooler in transaction mode stands between")

    settings = stack.settings.model_copy(
        update={"state_dir": stack.settings.state_dir / "other", "start_without_postgresql": "refuse"}
    )
    with monkeypatch.context() as patched, contextlib.suppress(CrossfadeError):
        patched.setattr(InstanceRegistry, "beat", refused)
        async with Application(settings):
            raise AssertionError
    counted = [name for name, here in await instances(stack.database) if here]
    assert counted == [stack.application.instance]


async def test_an_instance_that_crashed_and_fails_at_its_restart_is_still_counted(
    fleet: Fleet, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its journal may hold what PostgreSQL lacks: others still wait for it."""
    one = await fleet.start("one")
    await fleet.crash(one)
    restarted = Lease(database, settings_for(fleet.folder / "one"), "one", InstanceState().conditions(), host="here")
    await restarted.start()
    assert not await restarted.close(failed=True)
    assert await instances(database) == [("one", True)]


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path) as started:
        await started.client.post("/_api/collection", json={"name": "books"})
        yield started
        await asyncio.sleep(0)
