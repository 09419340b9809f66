"""Workers run long work within limits, and are replaced when they end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.base.errors import ArangoError, IsolationError, StatementError, Unsupported
from proxy.isolation import Isolation, Lane
from tests.unit.isolation import work


@pytest.fixture
async def isolation() -> AsyncIterator[Isolation]:
    made = Isolation(["tests.unit.isolation.work"])
    yield made
    await made.close()


@pytest.fixture
def lane(isolation: Isolation) -> Lane:
    return isolation.lane("test", workers=1, waiting=2, nice=10, memory=256 << 20)


async def test_work_is_done_in_another_process_and_its_end_comes_back(lane: Lane) -> None:
    worker = await lane.run(work.where, seconds=30)
    assert worker != os.getpid()
    assert lane.pids == [worker]
    assert await lane.run(work.where, seconds=30) == worker
    assert await lane.run(work.awaited, 1, seconds=30) == 2
    assert await lane.run(work.length, b"x" * (20 << 20), seconds=30) == 20 << 20
    assert os.getpriority(os.PRIO_PROCESS, worker) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)

    for how, error in (("arango", ArangoError), ("unsupported", Unsupported), ("refused", StatementError)):
        with pytest.raises(error) as raised:
            await lane.run(work.fail, how, seconds=30)
        assert type(raised.value) is error
        if isinstance(raised.value, ArangoError) and how == "arango":
            assert (raised.value.number, raised.value.message, raised.value.status) == (1500, "killed", 410)
        if isinstance(raised.value, StatementError):
            assert raised.value.sqlstate == "22P05"
    with pytest.raises(LookupError):
        await lane.run(work.fail, "plain", seconds=30)
    with pytest.raises(RuntimeError, match="OddError"):
        await lane.run(work.fail, "odd", seconds=30)
    assert lane.pids == [worker]


async def test_a_worker_has_a_lower_priority_than_a_proxy_that_was_itself_niced(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    with monkeypatch.context() as niced:
        niced.setattr(os, "getpriority", lambda which, who: own + 3)
        worker = await lane.run(work.where, seconds=30)
    assert os.getpriority(os.PRIO_PROCESS, worker) == min(19, own + 3 + 10)


async def test_limits_end_the_work_by_name_and_the_next_has_a_new_worker(lane: Lane) -> None:
    first = await lane.run(work.where, seconds=30)
    for function, arguments, seconds, reason in (
        (work.backtrack, (), 0.2, "time"),
        (work.devour, (1 << 30,), 30, "memory"),
        (work.leave, (), 30, "ended"),
    ):
        with pytest.raises(IsolationError) as raised:
            await lane.run(function, *arguments, seconds=seconds)
        assert raised.value.reason == reason
        assert await lane.run(work.where, seconds=30) != first


async def test_a_worker_that_was_killed_is_replaced(lane: Lane) -> None:
    first = await lane.run(work.where, seconds=30)
    os.kill(first, signal.SIGKILL)
    while _running(first):
        await asyncio.sleep(0.01)
    second = await lane.run(work.where, seconds=30)
    assert second != first

    busy = asyncio.create_task(lane.run(work.sleep, 60.0, seconds=90))
    while not lane.pids or lane._idle:
        await asyncio.sleep(0.01)
    os.kill(lane.pids[0], signal.SIGKILL)
    with pytest.raises(IsolationError, match="ended"):
        await busy


async def test_few_wait_and_further_ones_are_refused_immediately(lane: Lane) -> None:
    await lane.run(work.where, seconds=30)
    busy = asyncio.create_task(lane.run(work.sleep, 60.0, seconds=90))
    while not lane._busy:
        await asyncio.sleep(0)
    waiting = [asyncio.create_task(lane.run(work.where, seconds=30)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(IsolationError, match="busy"):
        await lane.run(work.where, seconds=30)

    burning = lane.pids
    busy.cancel()  # a cancelled caller ends its work
    assert len({*await asyncio.gather(*waiting)} - {*burning}) == 1
    while _running(burning[0]):
        await asyncio.sleep(0.01)


async def test_a_template_that_ended_is_started_again(isolation: Isolation, lane: Lane) -> None:
    first = await lane.run(work.where, seconds=30)
    process = isolation._template._process
    assert process is not None
    process.kill()
    process.wait()
    os.kill(first, signal.SIGKILL)
    while _running(first):
        await asyncio.sleep(0.01)
    assert await lane.run(work.where, seconds=30) != first


async def test_small_work_stays_where_it_is(lane: Lane) -> None:
    assert await lane.run_if_large(work.where, size=100, seconds=30) == os.getpid()
    assert await lane.run_if_large(work.where, size=1 << 20, seconds=30) != os.getpid()


def test_workers_end_with_their_parent_however_that_ends() -> None:
    program = """
import asyncio
from proxy.isolation import Isolation
from tests.unit.isolation import work

async def main():
    isolation = Isolation()
    lane = isolation.lane("test", workers=2, waiting=2, nice=10)
    print(await lane.run(work.where, seconds=30), flush=True)
    busy = asyncio.create_task(lane.run(work.backtrack, seconds=600))
    while not lane._busy:
        await asyncio.sleep(0.01)
    print(isolation._template._process.pid, lane.pids[0], flush=True)
    await busy

asyncio.run(main())
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(parent.stdout.readline()), *map(int, parent.stdout.readline().split())]
    parent.kill()
    parent.wait()
    parent.stdout.close()

    until = time.monotonic() + 30
    while any(map(_running, pids)) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(map(_running, pids))


def _running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False
