"""Faults of the journal, on the real process: a full disk, a machine stop, a damaged file (I3, I10)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

import sql
from deploy.demo.postgres import EmbeddedPostgres
from proxy.base.config import load
from proxy.control import controller
from proxy.control.transitions_plan import DesiredState
from proxy.model.stages import Stage
from tests.ad_hoc import Database
from tests.faults.environment import Environment, Proxy, fault_environment
from tests.faults.traffic import DOCUMENT
from tests.harness import eventually


@pytest.fixture
async def env(postgres_server: EmbeddedPostgres, dsn: str, tmp_path: Path) -> AsyncIterator[Environment]:
    async with fault_environment(postgres_server, dsn, tmp_path) as environment:
        yield environment


@contextlib.asynccontextmanager
async def client_of(proxy: Proxy) -> AsyncIterator[httpx.AsyncClient]:
    try:
        async with httpx.AsyncClient(base_url=proxy.url, auth=("root", ""), timeout=20) as client:
            yield client
    finally:
        if proxy.running:
            await asyncio.to_thread(proxy.kill, signal.SIGTERM)


async def test_a_kill_on_a_full_disk_marks_every_database_unverified(env: Environment) -> None:
    """PostgreSQL is away as well, so changes are in memory alone and the kill loses them: every database must be
    marked.
    """
    proxy = env.proxy()
    await proxy.start()
    await env.mirrored()
    async with client_of(proxy) as client:
        assert (await client.post(DOCUMENT, json={"_key": "before"})).status_code == 202
        await proxy.drained()
        env.to_target.misbehave("black-hole")
        proxy.disk(full=True)
        assert (await client.post(DOCUMENT, json={"_key": "during"})).status_code == 202
        assert await proxy.backlog() == 1
        await asyncio.to_thread(proxy.kill)
        env.to_target.heal()
        await proxy.start()
        await proxy.drained()
        assert await env.differences() == ["during: missing"]
        assert any(line.startswith("_system/*: the journal could not be written") for line in await env.marks())
        proxy.disk(full=False)
        assert (await client.put(f"{DOCUMENT}/during", json={"n": 2})).status_code in (201, 202)
        await proxy.drained()
        assert await env.differences() == []


async def test_heartbeats_and_stage_changes_continue_on_a_full_disk(env: Environment) -> None:
    """An instance that falls silent would block every flip until it is started again."""
    proxy = env.proxy()
    await proxy.start()
    await env.mirrored()
    database = await Database.open(env.dsn, size=2)
    async with client_of(proxy) as client, contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        proxy.disk(full=True)
        for stage in (Stage.SHADOW, Stage.MIRROR):
            targets = [DesiredState("_system/books", stage)]
            await controller.change(database, targets, settings=load(dsn=env.dsn), actor="test", timeout=20)
        assert not (proxy.state / "control.json").exists(), "an older file would be worse than none"
        proxy.disk(full=False)
        await eventually((proxy.state / "control.json").exists, "it is written as soon as the disk accepts writes")
        assert (await client.post(DOCUMENT, json={"_key": "a"})).status_code == 202


async def test_on_journal_error_refuse_rejects_only_writes_on_a_full_disk(env: Environment) -> None:
    proxy = env.proxy(CROSSFADE_ON_JOURNAL_ERROR="refuse")
    await proxy.start()
    await env.mirrored()
    async with client_of(proxy) as client:
        assert (await client.post(DOCUMENT, json={"_key": "a"})).status_code == 202
        proxy.disk(full=True)
        refused = await client.post(DOCUMENT, json={"_key": "b"})
        assert (refused.status_code, refused.json()["errorNum"]) == (503, 503)
        assert "journal" in refused.json()["errorMessage"]
        assert (await client.get(DOCUMENT + "/a")).status_code == 200
        assert (await client.get(DOCUMENT + "/b")).status_code == 404
        proxy.disk(full=False)
        assert (await client.post(DOCUMENT, json={"_key": "b"})).status_code == 202
        await proxy.drained()
        assert await env.differences() == []
        assert await env.marks() == []


async def test_a_machine_stop_marks_collections_written_since_the_last_sync_point(env: Environment) -> None:
    proxy = env.proxy()
    await proxy.start()
    await env.mirrored()
    async with client_of(proxy) as client:
        assert (await client.post(DOCUMENT, json={"_key": "a"})).status_code == 202
        await asyncio.to_thread(proxy.kill)
        boot = proxy.state / "journal" / "boot"
        boot.write_text("another boot of the machine\n")  # and what was not synced is gone
        for file in (proxy.state / "journal").glob("*.journal"):
            file.unlink()
        await proxy.start()
        await proxy.drained()
        assert "_system/books: the machine stopped before the journal was synced" in await env.marks()


async def test_a_damaged_journal_file_is_set_aside_and_its_readable_intents_are_repaired(env: Environment) -> None:
    proxy = env.proxy()
    await proxy.start()
    await env.mirrored()
    async with client_of(proxy) as client:
        env.to_target.misbehave("black-hole")
        for key in ("a", "b", "c"):
            assert (await client.post(DOCUMENT, json={"_key": key})).status_code == 202
        await asyncio.to_thread(proxy.kill)
        env.to_target.heal()
        [file] = (proxy.state / "journal").glob("*.journal")
        data = bytearray(file.read_bytes())
        data[40] ^= 0xFF  # in the first intent
        file.write_bytes(data)
        await proxy.start()
        await proxy.drained()
        assert len(list((proxy.state / "journal").glob("*.damaged-*"))) == 1
        assert any("the journal was damaged" in line for line in await env.marks())
        assert await env.differences() == ["a: missing"]  # its intent was the one; the others were saved


async def test_writes_with_server_generated_keys_are_found_by_one_scan_after_a_kill(env: Environment) -> None:
    """DESIGN section 6, Journal: without key and answer, the revision identifies the write."""
    proxy = env.proxy()
    await proxy.start("after-forward:3")
    await env.mirrored()
    async with client_of(proxy) as client:
        assert (await client.post(DOCUMENT, json={"n": 1})).status_code == 202
        assert (await client.post(DOCUMENT, json=[{"n": 2}, {"n": 3}])).status_code == 202
        with pytest.raises(httpx.TransportError):
            await client.post(DOCUMENT, json=[{"n": 4}, {"n": 5}])
        assert await proxy.died() == -signal.SIGKILL
        await proxy.start()
        await proxy.drained()
        assert await env.differences() == []
        assert await env.marks() == []
        assert "revisions_reread" in proxy.log_text()


async def test_collections_of_a_dead_instance_show_as_unverified(env: Environment) -> None:
    """Its journal may hold what PostgreSQL lacks; it is read when the instance returns, without a verification."""
    proxy = env.proxy(CROSSFADE_LEASE="1")
    await proxy.start()
    await env.mirrored()
    database = await Database.open(env.dsn, size=1)

    async def count_unverified() -> int:
        rows = await database.fetch(sql.control.STATUS)
        return sum(row.unverified for row in rows)

    async def one_unverified() -> bool:
        return await count_unverified() == 1

    async def none_unverified() -> bool:
        return await count_unverified() == 0

    try:
        async with client_of(proxy) as client:
            env.to_target.misbehave("black-hole")
            assert (await client.post(DOCUMENT, json={"_key": "a"})).status_code == 202
            await asyncio.to_thread(proxy.kill)
            env.to_target.heal()
            await eventually(one_unverified, "the instance is silent")
            await proxy.start()
            await proxy.drained()
            await eventually(none_unverified, "the journal is drained, and heartbeats continue")
            assert await env.differences() == []
            assert await env.marks() == []
    finally:
        await database.close()
