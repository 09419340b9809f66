"""Clients that remember, beside faults of proxies and of PostgreSQL; then what they remember against what is there.

`make faults-alone MINUTES=10`. Exit code 1 if an acknowledged write is lost, or a refused one is there.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from tests import harness
from tests.faults.alone.clients import NOTED, TIMEOUT, RememberingClient, prepare
from tests.faults.alone.disasters import DISASTERS
from tests.faults.alone.judgement import judge, read
from tests.faults.alone.memory import Memory
from tests.faults.alone.stack import AloneStack, alone_stack

_CLIENTS: Final = 6
_QUIET: Final = (0.3, 1.5)  # seconds between two faults
_SETTLED: Final = 20.0  # seconds for what PostgreSQL still executes, and for unfinished indexes to be dropped


@dataclass
class Result:
    """The result of a run."""

    seconds: float
    memory: Memory
    faults: Counter[str] = field(default_factory=Counter)
    documents: int = 0
    wrong: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return a report."""
        attempts = ", ".join(f"{name} {count}" for name, count in sorted(self.memory.counted.items()))
        faults = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        return "\n".join(
            (
                f"{self.seconds:.0f} s, {sum(self.memory.counted.values())} attempts, {self.documents} documents",
                f"  {attempts}",
                f"  faults: {faults}",
                f"  {len(self.wrong)} wrong",
                *(f"  ! {one}" for one in self.wrong[:40]),
            )
        )


async def run(folder: Path, seconds: float, *, seed: int, names: Sequence[str] = (), rounds: int = 0) -> Result:
    """Run clients beside these faults, in turn, for a time or as many rounds of all of them, and judge."""
    memory, started = Memory(), time.monotonic()
    result = Result(0.0, memory)
    async with alone_stack(folder) as stack:
        await prepare(stack.urls[0])
        noted = f"_system/{NOTED}"
        await stack.execute(f"UPDATE _crossfade.stamp_floor SET in_arangodb = true WHERE collection = '{noted}'")
        over = asyncio.Event()
        limits = httpx.Limits(max_connections=_CLIENTS * 2)
        async with httpx.AsyncClient(timeout=TIMEOUT, limits=limits) as http, asyncio.TaskGroup() as tasks:
            for number in range(_CLIENTS):
                tasks.create_task(_work(RememberingClient(http, stack.urls, number, memory, seed), over))
            await _faults(stack, result, seed, tuple(names or DISASTERS), seconds, rounds)
            over.set()
        result.wrong = await _judged(stack, memory)
        result.documents = len((await read(stack.dsn)).documents)
        result.wrong += [line for proxy in stack.proxies for line in proxy.tracebacks()]
    result.seconds = time.monotonic() - started
    return result


async def _work(client: RememberingClient, over: asyncio.Event) -> None:
    while not over.is_set():
        await client.step()


async def _faults(
    stack: AloneStack, result: Result, seed: int, names: Sequence[str], seconds: float, rounds: int
) -> None:
    rng, ends = random.Random(seed), time.monotonic() + seconds
    while time.monotonic() < ends if not rounds else sum(result.faults.values()) < rounds * len(names):
        await asyncio.sleep(rng.uniform(*_QUIET))
        name = names[sum(result.faults.values()) % len(names)]
        await DISASTERS[name](stack, rng)
        result.faults[name] += 1
        await stack.supervised()
    await asyncio.sleep(_QUIET[1])


async def _judged(stack: AloneStack, memory: Memory) -> list[str]:
    """Return what is wrong when nothing is under way any more."""
    limit = time.monotonic() + _SETTLED
    while True:
        wrong = judge(memory, await read(stack.dsn))
        if not wrong or time.monotonic() > limit:
            return wrong
        await asyncio.sleep(0.5)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `python -m tests.faults.alone --minutes 10`."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.alone", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--fault", action="append", choices=tuple(DISASTERS), help="this one (again: these)")
    options = parser.parse_args(arguments)
    harness.WAIT_SECONDS = 120.0
    with tempfile.TemporaryDirectory(prefix="crossfade-alone-") as folder:
        print(f"seed {options.seed}", flush=True)
        found = asyncio.run(run(Path(folder), options.minutes * 60, seed=options.seed, names=options.fault or ()))
    print(found.text())
    return 1 if found.wrong else 0
