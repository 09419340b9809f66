"""The real process, killed with SIGKILL at each failpoint during writes: no lost write, no ghost (I3, I4, I5)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from proxy.base import failpoints
from proxy.base.config import load
from proxy.control import controller
from proxy.control.transitions_plan import DesiredState
from proxy.devserver.store import MemoryStore
from proxy.model.stages import Stage
from tests.ad_hoc import Database
from tests.faults import traffic
from tests.faults.environment import BOOKS, Proxy
from tests.harness import Origin, differences, eventually


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[tuple[Origin, Proxy, Database]]:
    origin = Origin(MemoryStore())
    await origin.start()
    database = await Database.open(dsn, size=2)
    proxy = Proxy(origin.url, dsn, tmp_path)
    try:
        yield origin, proxy, database
    finally:
        if proxy.process is not None and proxy.process.poll() is None:
            proxy.kill(signal.SIGTERM)
        await database.close()
        await origin.stop()


async def writes(port: int, client_number: int, rounds: int) -> None:
    """Mixed writes on few keys until the connection breaks."""
    tally = traffic.Tally()
    url = f"http://127.0.0.1:{port}"
    await traffic.client(url, client_number, tally, lambda n: n < rounds and not tally.broken, traffic.documents)
    assert tally.others == []


async def opaque(port: int, wanted: bool) -> None:
    """Send a write that the proxy does not understand."""
    if wanted:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", auth=("root", "")) as client:
            with contextlib.suppress(httpx.TransportError):
                ttl = {"type": "ttl", "fields": ["never"], "expireAfter": 1 << 32}
                await client.post("/_api/index?collection=books", json=ttl)


# a point -> the faults of successive lives of the process; the last one is reached under traffic or while it recovers
FAULTS_OF_LIVES: dict[str, tuple[str, ...]] = {point: (f"{point}:20",) for point in failpoints.DOCUMENTS}
FAULTS_OF_LIVES["before-mark"] = ("before-mark",)
FAULTS_OF_LIVES["mid-repair"] = ("after-forward:20", "mid-repair")


@pytest.mark.parametrize("point", failpoints.DOCUMENTS)
async def test_a_kill_at_any_point_loses_nothing(stack: tuple[Origin, Proxy, Database], dsn: str, point: str) -> None:
    origin, proxy, database = stack
    async with httpx.AsyncClient(base_url=origin.url) as direct:
        await direct.post("/_api/collection", json={"name": "books"})
    await proxy.start(fault=FAULTS_OF_LIVES[point][0])
    mirror = [DesiredState(BOOKS, Stage.MIRROR)]
    await controller.change(database, mirror, settings=load(dsn=dsn), actor="test", reason="test", timeout=10)
    await asyncio.gather(*(writes(proxy.port, n, 60) for n in range(3)), opaque(proxy.port, point == "before-mark"))
    assert await proxy.died() == -signal.SIGKILL, f"the point {point} was never reached"
    for fault in FAULTS_OF_LIVES[point][1:]:
        await proxy.start(fault, wait=False)
        assert await proxy.died() == -signal.SIGKILL, f"the point {fault} was never reached"
    await proxy.start()

    async def drained() -> bool:
        return await proxy.backlog() == 0

    await eventually(drained, "the journal of the killed process is completed")
    await asyncio.gather(*(writes(proxy.port, n, 10) for n in range(3)))
    await eventually(drained, "the backlog is empty")
    assert await differences(origin.url, dsn, BOOKS) == []  # those whose key ArangoDB made as well: one scan finds them
    marked = await database.fetchval("SELECT count(*) FROM _crossfade.unverified")
    assert bool(marked) == (point == "before-mark"), "only an opaque write leaves a mark, and always does"
    assert proxy.kill(signal.SIGTERM) == 0
