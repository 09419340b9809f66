"""Three proxies, eight writers, a backfill, random kills and outages: `make soak MINUTES=10`. Exit 1 where it lost.

The same seed makes the same plan of faults; what the machine makes of it differs. At the end both databases are read
directly and compared document by document.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from deploy.demo.postgres import EmbeddedPostgres
from tests.conftest import _create, _template
from tests.faults import traffic
from tests.faults.chaos import MODES
from tests.faults.stand import Stand, stand
from tests.faults.traffic import DOCUMENT, Tally

PROXIES, WRITERS, HISTORY = 3, 8, 300


@dataclass
class Result:
    """What a soak came to."""

    seconds: float = 0.0
    tally: Tally = field(default_factory=Tally)
    faults: dict[str, int] = field(default_factory=dict)
    backfilled: str = ""
    differences: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    documents: int = 0

    @property
    def good(self) -> bool:
        return not self.differences and not self.tally.others and self.tally.writes > 0

    def text(self) -> str:
        faults = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        lines = [
            f"{self.seconds:.0f} s, {PROXIES} proxies, {WRITERS} writers: {self.tally.writes} writes answered, "
            f"{self.tally.errors} answers of 5xx, {self.tally.broken} broken connections",
            f"faults: {faults or 'none'}",
            f"backfill: {self.backfilled}",
            f"collections that became unverified: {len(self.marks)} marks",
            f"at the end {self.documents} documents, {len(self.differences)} differences",
            *self.differences[:20],
            *self.tally.others[:5],
        ]
        return "\n".join(lines)


class Soak:
    """One run on a stand."""

    def __init__(self, stood: Stand, seed: int) -> None:
        self._stand = stood
        self._random = random.Random(seed)
        self.result = Result()
        self._proxies = [stood.proxy(f"state{n}", CROSSFADE_REQUEST_TIMEOUT="3") for n in range(PROXIES)]

    async def run(self, seconds: float) -> Result:
        """Raises AssertionError where a proxy does not come back."""
        begun = time.monotonic()
        async with httpx.AsyncClient(base_url=self._stand.origin.url) as direct:
            await direct.post("/_api/collection", json={"name": "books"})
            history = [{"_key": f"h{n}", "n": n} for n in range(HISTORY)]
            await direct.post(DOCUMENT, json=history)
        try:
            await asyncio.gather(*(proxy.supervised() for proxy in self._proxies))
            await self._stand.mirrored()
            ends = time.monotonic() + seconds
            writers = [self._writer(number, ends) for number in range(WRITERS)]
            await asyncio.gather(self._faults(ends), self._backfill(), *writers)
            await self._settle()
        finally:
            for proxy in self._proxies:
                if proxy.running:
                    await asyncio.to_thread(proxy.kill, signal.SIGTERM)
        self.result.seconds = time.monotonic() - begun
        return self.result

    async def _writer(self, number: int, ends: float) -> None:
        """Goes from proxy to proxy: the same keys are written through all of them."""
        turn = number
        while time.monotonic() < ends:
            url = self._proxies[turn % PROXIES].url
            until = min(ends, time.monotonic() + 1.0)
            # two writers share their keys, so that writes of one key race through several proxies
            await traffic.client(url, number // 2, self.result.tally, _until(until), traffic.documents)
            turn += 1

    async def _faults(self, ends: float) -> None:
        names = ["kill", "kill", "origin stopped", "target stopped", "disk full"]
        names += [f"{where} {mode}" for where in ("origin", "target") for mode in MODES]
        while time.monotonic() < ends - 1.0:
            await asyncio.sleep(self._random.uniform(0.2, 1.0))
            name = self._random.choice(names)
            self.result.faults[name] = self.result.faults.get(name, 0) + 1
            await self._fault(name, self._random.uniform(0.2, 1.5))

    async def _fault(self, name: str, lasts: float) -> None:
        stood, proxy = self._stand, self._random.choice(self._proxies)
        where, _, what = name.partition(" ")
        if name == "kill":
            await asyncio.to_thread(proxy.kill)
            await asyncio.sleep(lasts / 2)
            await proxy.supervised()
        elif name == "disk full":
            proxy.disk(full=True)
            await asyncio.sleep(lasts)
            proxy.disk(full=False)
        elif name == "origin stopped":
            await stood.origin.stop()
            await asyncio.sleep(lasts)
            await stood.origin.start()
        elif name == "target stopped":
            await asyncio.to_thread(stood.server.stop, "immediate")
            await asyncio.sleep(lasts)
            await asyncio.to_thread(stood.server.start)
        else:
            chaos = stood.to_origin if where == "origin" else stood.to_target
            chaos.misbehave(what)
            await asyncio.sleep(lasts)
            chaos.heal()

    async def _backfill(self) -> None:
        """The verb itself; where a database is away at the wrong moment it is run again, as an operator would."""
        environment = self._proxies[0].environment
        program = str(Path(sys.executable).with_name("crossfade"))
        for attempt in range(1, 30):
            process = await asyncio.create_subprocess_exec(
                *(program, "backfill", "_system/books"),
                env=environment,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
            _out, said = await process.communicate()
            if process.returncode == 0:
                self.result.backfilled = f"done at attempt {attempt}"
                return
            self.result.backfilled = f"failed: {said.decode(errors='replace')[-200:]}"
            await asyncio.sleep(0.5)

    async def _settle(self) -> None:
        """Everything is well again, and nothing is under way."""
        self._stand.to_origin.heal()
        self._stand.to_target.heal()
        for proxy in self._proxies:
            await proxy.drained()
        self.result.differences = await self._stand.differences()
        self.result.marks = await self._stand.marks()
        async with httpx.AsyncClient(base_url=self._stand.origin.url) as direct:
            self.result.documents = (await direct.get("/_api/collection/books/count")).json()["count"]


def _until(ends: float) -> Callable[[int], bool]:
    return lambda _: time.monotonic() < ends


async def soak(folder: Path, seconds: float, seed: int) -> Result:
    """A stand of its own, and a run on it."""
    with EmbeddedPostgres(options={"fsync": "off", "shared_buffers": "64MB"}) as server:
        await _template(server.dsn)
        dsn = await _create(server, "migrated")
        async with stand(server, dsn, folder) as stood:
            return await Soak(stood, seed).run(seconds)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crossfade-soak-") as folder:
        result = asyncio.run(soak(Path(folder), options.minutes * 60, options.seed))
    print(result.text())
    return 0 if result.good else 1


if __name__ == "__main__":
    sys.exit(main())
