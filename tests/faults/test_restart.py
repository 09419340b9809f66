"""A proxy is killed while it serves reads from PostgreSQL, and restarted: its journal decides what remains (I3, I7)."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from deploy.demo.postgres import EmbeddedPostgres
from proxy.base.config import load
from proxy.control import controller
from proxy.control.transitions_plan import DesiredState
from proxy.model.stages import Stage
from proxy.state import audit
from tests.ad_hoc import Database
from tests.faults import traffic
from tests.faults.environment import BOOKS, Environment, Proxy, fault_environment
from tests.faults.traffic import DOCUMENT
from tests.harness import eventually


@pytest.fixture
async def env(postgres_server: EmbeddedPostgres, dsn: str, tmp_path: Path) -> AsyncIterator[Environment]:
    async with fault_environment(postgres_server, dsn, tmp_path) as environment:
        yield environment


async def flipped(env: Environment) -> None:
    database = await Database.open(env.dsn, size=2)
    try:
        for stage, weight in ((Stage.SHADOW, 0), (Stage.FLIPPED, 100)):
            targets = [DesiredState(BOOKS, stage, weight)]
            settings = load(dsn=env.dsn, origin=env.origin.url)
            await controller.change(
                database, targets, settings=settings, actor="test", reason="test", force=True, timeout=20
            )
    finally:
        await database.close()


async def stage(env: Environment) -> str:
    """Return the stage, with the reason if the last change was a rollback."""
    database = await Database.open(env.dsn, size=1)
    try:
        found: str = await database.fetchval("SELECT stage FROM _crossfade.collection WHERE collection = $1", BOOKS)
        last = (await audit.entries(database, limit=1))[0]
    finally:
        await database.close()
    return found if last.action != "rollback" else f"{found}: {last.reason}"


async def served_by(proxy: Proxy) -> str:
    async with httpx.AsyncClient(base_url=proxy.url, auth=("root", ""), timeout=20) as client:
        answer = await client.get(DOCUMENT + "/a", headers={"x-crossfade-explain": "1"})
    return str(answer.headers["x-crossfade-served-by"])


async def under_traffic(proxy: Proxy, until: Callable[[traffic.Tally], bool]) -> None:
    """Write documents until the tally is reached, then kill the proxy in the middle."""
    tally = traffic.Tally()
    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(traffic.client(proxy.url, number, tally, lambda _: not tally.broken, traffic.documents))
        await eventually(lambda: until(tally), "enough was written")
        await asyncio.to_thread(proxy.kill)


async def start_two_flipped_proxies(env: Environment) -> tuple[Proxy, Proxy]:
    one, two = (env.proxy(name, CROSSFADE_LEASE="1.5", CROSSFADE_HEARTBEAT="0.1") for name in ("one", "two"))
    for proxy in (one, two):
        await proxy.start()
    await env.mirrored()
    async with httpx.AsyncClient(base_url=one.url, auth=("root", "")) as client:
        await client.post(DOCUMENT, json={"_key": "a"})
    await one.drained()
    await flipped(env)
    return one, two


async def ended(*proxies: Proxy) -> None:
    for proxy in proxies:
        if proxy.running:
            await asyncio.to_thread(proxy.kill, signal.SIGTERM)


@pytest.mark.long
async def test_a_kill_in_the_middle_of_writes_and_a_restart_keep_the_flip(env: Environment) -> None:
    """The journal is complete: writes in progress are read again before any read from PostgreSQL."""
    one, two = await start_two_flipped_proxies(env)
    try:
        await under_traffic(two, lambda tally: tally.writes > 60)
        await two.start()

        await two.drained()
        assert await stage(env) == "flipped"

        async def again() -> bool:
            assert await stage(env) == "flipped"
            return [await served_by(proxy) for proxy in (one, two)] == ["postgresql", "postgresql"]

        await eventually(again, "PostgreSQL serves the reads of both")
        assert await stage(env) == "flipped"
        assert await env.differences() == []
        assert await env.marks() == []
    finally:
        await ended(one, two)


@pytest.mark.long
async def test_removed_journal_files_cause_a_rollback(env: Environment) -> None:
    """The open intents in them are unknown: a mark states that, and ArangoDB serves reads."""
    one, two = await start_two_flipped_proxies(env)
    try:
        await under_traffic(two, lambda tally: tally.writes > 50)
        for file in (two.state / "journal").glob("*.journal"):
            file.unlink()
        await two.start()
        await two.drained()
        assert (await stage(env)).startswith("shadow: ")
        assert any("files of the journal were removed" in line for line in await env.marks())
    finally:
        await ended(one, two)


@pytest.mark.long
async def test_an_older_copy_of_the_state_directory_is_detected(env: Environment) -> None:
    """PostgreSQL is away while it is written, and the earlier directory is restored after a kill."""
    one, two = await start_two_flipped_proxies(env)
    try:
        shutil.copytree(two.state, two.state.with_name("copy"))
        env.to_target.misbehave("black-hole")
        await under_traffic(two, lambda tally: tally.writes > 50)
        env.to_target.heal()
        shutil.rmtree(two.state)
        two.state.with_name("copy").rename(two.state)
        await two.start()
        await two.drained()
        assert (await stage(env)).startswith("shadow: ")
        assert any("copy" in line for line in await env.marks())
    finally:
        await ended(one, two)
