"""The journal's own faults, on the real process: a full disk, a stop of the machine, a damaged file (I3, I10)."""

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
from tests.faults.environment import Proxy, Stand, stand
from tests.faults.traffic import DOCUMENT
from tests.harness import eventually


@pytest.fixture
async def stood(postgres_server: EmbeddedPostgres, dsn: str, tmp_path: Path) -> AsyncIterator[Stand]:
    async with stand(postgres_server, dsn, tmp_path) as made:
        yield made


@contextlib.asynccontextmanager
async def client_of(proxy: Proxy) -> AsyncIterator[httpx.AsyncClient]:
    try:
        async with httpx.AsyncClient(base_url=proxy.url, auth=("root", ""), timeout=20) as client:
            yield client
    finally:
        if proxy.running:
            await asyncio.to_thread(proxy.kill, signal.SIGTERM)


async def test_on_a_full_disk_writes_are_forwarded_and_a_kill_then_is_not_silent(stood: Stand) -> None:
    """PostgreSQL is away as well: what was taken is in memory alone, the kill loses it, and every database says so."""
    proxy = stood.proxy()
    await proxy.start()
    await stood.mirrored()
    async with client_of(proxy) as client:
        assert (await client.post(DOCUMENT, json={"_key": "before"})).status_code == 202
        await proxy.drained()
        stood.to_target.misbehave("black-hole")
        proxy.disk(full=True)
        assert (await client.post(DOCUMENT, json={"_key": "during"})).status_code == 202
        assert await proxy.backlog() == 1
        await asyncio.to_thread(proxy.kill)
        stood.to_target.heal()
        await proxy.start()
        await proxy.drained()
        assert await stood.differences() == ["during: missing"]
        assert any(line.startswith("_system/*: the journal could not be written") for line in await stood.marks())
        proxy.disk(full=False)
        assert (await client.put(f"{DOCUMENT}/during", json={"n": 2})).status_code in (201, 202)
        await proxy.drained()
        assert await stood.differences() == []


async def test_on_a_full_disk_heartbeats_and_changes_of_stage_go_on(stood: Stand) -> None:
    """An instance that falls silent without a word keeps every collection from its flip until it is started again."""
    proxy = stood.proxy()
    await proxy.start()
    await stood.mirrored()
    database = await Database.open(stood.dsn, size=2)
    async with client_of(proxy) as client, contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        proxy.disk(full=True)
        for stage in (Stage.SHADOW, Stage.MIRROR):
            targets = [DesiredState("_system/books", stage)]
            await controller.change(database, targets, settings=load(dsn=stood.dsn), actor="test", timeout=20)
        assert not (proxy.state / "control.json").exists(), "an older one would be worse than none"
        proxy.disk(full=False)
        await eventually((proxy.state / "control.json").exists, "it is written as soon as the disk takes it")
        assert (await client.post(DOCUMENT, json={"_key": "a"})).status_code == 202


async def test_with_refuse_a_full_disk_stops_writes_and_nothing_else(stood: Stand) -> None:
    proxy = stood.proxy(CROSSFADE_ON_JOURNAL_ERROR="refuse")
    await proxy.start()
    await stood.mirrored()
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
        assert await stood.differences() == []
        assert await stood.marks() == []


async def test_a_stop_of_the_machine_makes_what_was_written_since_the_last_sync_point_unverified(stood: Stand) -> None:
    proxy = stood.proxy()
    await proxy.start()
    await stood.mirrored()
    async with client_of(proxy) as client:
        assert (await client.post(DOCUMENT, json={"_key": "a"})).status_code == 202
        await asyncio.to_thread(proxy.kill)
        boot = proxy.state / "journal" / "boot"
        boot.write_text("another boot of the machine\n")  # and what was not synced is gone
        for file in (proxy.state / "journal").glob("*.journal"):
            file.unlink()
        await proxy.start()
        await proxy.drained()
        assert "_system/books: the machine stopped before the journal was synced" in await stood.marks()


async def test_a_damaged_file_is_set_aside_and_what_is_whole_in_it_is_repaired(stood: Stand) -> None:
    proxy = stood.proxy()
    await proxy.start()
    await stood.mirrored()
    async with client_of(proxy) as client:
        stood.to_target.misbehave("black-hole")
        for key in ("a", "b", "c"):
            assert (await client.post(DOCUMENT, json={"_key": key})).status_code == 202
        await asyncio.to_thread(proxy.kill)
        stood.to_target.heal()
        [file] = (proxy.state / "journal").glob("*.journal")
        data = bytearray(file.read_bytes())
        data[40] ^= 0xFF  # in the first intent
        file.write_bytes(data)
        await proxy.start()
        await proxy.drained()
        assert len(list((proxy.state / "journal").glob("*.damaged-*"))) == 1
        assert any("the journal was damaged" in line for line in await stood.marks())
        assert await stood.differences() == ["a: missing"]  # its intent was the one; the others were saved


async def test_writes_whose_keys_arangodb_made_are_found_by_one_scan_after_a_kill(stood: Stand) -> None:
    """DESIGN section 6, Journal: no key, no answer; the revision tells."""
    proxy = stood.proxy()
    await proxy.start("after-forward:3")
    await stood.mirrored()
    async with client_of(proxy) as client:
        assert (await client.post(DOCUMENT, json={"n": 1})).status_code == 202
        assert (await client.post(DOCUMENT, json=[{"n": 2}, {"n": 3}])).status_code == 202
        with pytest.raises(httpx.TransportError):
            await client.post(DOCUMENT, json=[{"n": 4}, {"n": 5}])
        assert await proxy.died() == -signal.SIGKILL
        await proxy.start()
        await proxy.drained()
        assert await stood.differences() == []
        assert await stood.marks() == []
        assert "revisions_reread" in proxy.said()


async def test_while_an_instance_is_dead_what_it_served_shows_as_unverified(stood: Stand) -> None:
    """Its journal may hold what PostgreSQL lacks; it is picked up when it returns, with nothing to verify."""
    proxy = stood.proxy(CROSSFADE_LEASE="1")
    await proxy.start()
    await stood.mirrored()
    database = await Database.open(stood.dsn, size=1)

    async def shown() -> int:
        rows = await database.fetch(sql.control.STATUS)
        return sum(row.unverified for row in rows)

    async def dead() -> bool:
        return await shown() == 1

    async def returned() -> bool:
        return await shown() == 0

    try:
        async with client_of(proxy) as client:
            stood.to_target.misbehave("black-hole")
            assert (await client.post(DOCUMENT, json={"_key": "a"})).status_code == 202
            await asyncio.to_thread(proxy.kill)
            stood.to_target.heal()
            await eventually(dead, "the instance is silent")
            await proxy.start()
            await proxy.drained()
            await eventually(returned, "its journal is drained, and it is heard of")
            assert await stood.differences() == []
            assert await stood.marks() == []
    finally:
        await database.close()
