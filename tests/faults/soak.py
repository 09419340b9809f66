"""Three proxies, eight writers, a backfill, random kills and outages: `make soak MINUTES=10`. Exit 1 on a lost write.

Writers change from proxy to proxy and write in every supported way (tests/faults/traffic.py). A worker waits for
collections that become unverified, and verifies them. The same seed makes the same plan of faults; its timing depends
on the machine. At the end both databases are read directly and compared document by document.
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
from tests import harness
from tests.conftest import _create, migrated_template
from tests.faults import database_comparison, traffic
from tests.faults.chaos import MODES
from tests.faults.environment import TIMEOUT, Environment, fault_environment
from tests.faults.outages import outage
from tests.faults.traffic import DOCUMENT, Tally

PROXIES, WRITERS, HISTORY = 3, 8, 300
_PAUSE = 0.005
_TIMEOUT = 120.0  # seconds for the worker to verify what became unverified


@dataclass
class Result:
    """The result of a soak."""

    seconds: float = 0.0
    tally: Tally = field(default_factory=Tally)
    rounds: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    backfilled: str = ""
    differences: list[str] = field(default_factory=list)
    wrongly_reported: list[str] = field(default_factory=list)  # by the watch, though written through a proxy
    marks: int = 0
    commanded: int = 0
    documents: int = 0

    @property
    def good(self) -> bool:
        return not self.differences and not self.tally.others and not self.wrongly_reported and self.tally.writes > 0

    def text(self) -> str:
        faults = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        rounds = ", ".join(f"{name} {count}" for name, count in sorted(self.rounds.items()))
        lines = [
            f"{self.seconds:.0f} s, {PROXIES} proxies, {WRITERS} writers: {self.tally.writes} writes answered, "
            f"{self.tally.errors} answers of 5xx, {self.tally.broken} broken connections",
            f"rounds of writes: {rounds}",
            f"faults: {faults or 'none'}",
            f"backfill: {self.backfilled}",
            f"collections became unverified {self.marks} times; left to a command, not to the worker: {self.commanded}",
            f"at the end {self.documents} documents, {len(self.differences)} differences, "
            f"wrongly reported {self.wrongly_reported[:5]}",
            *self.differences[:20],
            *self.tally.others[:5],
        ]
        return "\n".join(lines)


class Soak:
    """One run in an environment."""

    def __init__(self, env: Environment, seed: int) -> None:
        self._env = env
        self._random = random.Random(seed)
        self.result = Result()
        self._proxies = [
            env.proxy(
                f"state{n}", CROSSFADE_REQUEST_TIMEOUT="3", CROSSFADE_ON_JOURNAL_ERROR="refuse" if n == 0 else "forward"
            )
            for n in range(PROXIES)
        ]

    async def run(self, seconds: float) -> Result:
        """Run the soak. Raise AssertionError if a proxy does not recover."""
        started = time.monotonic()
        async with httpx.AsyncClient(base_url=self._env.origin.url) as direct:
            await traffic.prepare(self._env.origin.url)
            history = [{"_key": f"h{n}", "n": n} for n in range(HISTORY)]
            await direct.post(DOCUMENT, json=history)
        try:
            await asyncio.gather(*(proxy.supervised() for proxy in self._proxies))
            await self._env.mirrored(everything=True)
            deadline = time.monotonic() + seconds
            worker = await self._command("backfill", "worker", "--daemon")
            writers = [self._writer(number, deadline) for number in range(WRITERS)]
            await asyncio.gather(self._faults(deadline), self._backfill(), *writers)
            worker = worker if worker.returncode is None else await self._command("backfill", "worker", "--daemon")
            await self._settle()
            worker.terminate()
            await worker.wait()
        finally:
            for proxy in self._proxies:
                if proxy.running:
                    await asyncio.to_thread(proxy.kill, signal.SIGTERM)
        self.result.seconds = time.monotonic() - started
        return self.result

    async def _writer(self, number: int, deadline: float) -> None:
        """Write by changing proxies and kinds.

        Every other round writes documents whose keys two writers share, so that writes of one key race through several
        proxies.
        """
        kinds = [*traffic.KINDS, "opaque"]
        turn = number
        while time.monotonic() < deadline:
            url = self._proxies[turn % PROXIES].url
            name = "documents" if turn % 2 else kinds[self._random.randrange(10 * len(traffic.KINDS) + 1) // 10]
            self.result.rounds[name] = self.result.rounds.get(name, 0) + 1
            round_end = min(deadline, time.monotonic() + (0.0 if name == "opaque" else 1.0))
            kind = traffic.KINDS.get(name, traffic.opaque)
            key_owner = number // 2 if name == "documents" else number
            await traffic.client(url, key_owner, self.result.tally, _until(round_end), kind, pause=_PAUSE)
            turn += 1

    async def _faults(self, deadline: float) -> None:
        names = ["kill", "kill", "origin stopped", "target stopped", "disk full"]
        names += [f"{where} {mode}" for where in ("origin", "target") for mode in MODES]
        while time.monotonic() < deadline - 1.0:
            await asyncio.sleep(self._random.uniform(0.2, 1.0))
            name = self._random.choice(names)
            self.result.faults[name] = self.result.faults.get(name, 0) + 1
            lasts = self._random.uniform(0.2, 1.5)
            await outage(self._env, self._random.choice(self._proxies), name, lasts)

    async def _backfill(self) -> None:
        """Run the command itself. If a database is away it is run again, as an operator would."""
        names = [f"_system/{name}" for name in traffic.COLLECTIONS]
        for attempt in range(1, 30):
            process = await self._command("backfill", *names)
            _out, errors = await process.communicate()
            if process.returncode == 0:
                self.result.backfilled = f"done at attempt {attempt}"
                return
            self.result.backfilled = f"failed: {errors.decode(errors='replace')[-200:]}"
            await asyncio.sleep(0.5)

    async def _settle(self) -> None:
        """Wait until everything has recovered and nothing is in progress."""
        self._env.to_origin.heal()
        self._env.to_target.heal()
        for proxy in self._proxies:
            await proxy.drained()
        self.result.marks = len(await self._env.marks())
        self.result.wrongly_reported = await self._env.reported_out_of_band()
        await self._verified()
        found = await database_comparison.everything(self._env.origin.url, self._env.dsn)
        self.result.differences = [str(one) for one in found]
        async with httpx.AsyncClient(base_url=self._env.origin.url) as direct:
            self.result.documents = (await direct.get("/_api/collection/books/count")).json()["count"]

    async def _verified(self) -> None:
        """Let the worker verify what was backfilled and became unverified; verify the rest by a command."""
        traffic_collections = [f"_system/{name}" for name in traffic.COLLECTIONS]

        deadline = time.monotonic() + _TIMEOUT
        while (
            set(unverified := await self._env.unverified()) & set(traffic_collections) and time.monotonic() < deadline
        ):
            await asyncio.sleep(0.2)
        self.result.commanded = len(unverified)
        if unverified:
            await self._env.verified([name.partition("/")[2] for name in unverified])

    async def _command(self, *words: str) -> asyncio.subprocess.Process:
        """Run `crossfade` directly against the databases."""
        env = self._env
        direct = {"CROSSFADE_ORIGIN": env.origin.url, "CROSSFADE_DSN": env.dsn}
        return await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).with_name("crossfade")), *words),
            env={**self._proxies[0].environment, **direct},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )


def _until(deadline: float) -> Callable[[int], bool]:
    return lambda _: time.monotonic() < deadline


async def soak(folder: Path, seconds: float, seed: int) -> Result:
    """Start an environment, and do one run in it."""
    with EmbeddedPostgres(options={"fsync": "off", "shared_buffers": "64MB"}) as server:
        await migrated_template(server.dsn)
        dsn = await _create(server, "migrated")
        async with fault_environment(server, dsn, folder) as env:
            return await Soak(env, seed).run(seconds)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    harness.WAIT_SECONDS = TIMEOUT
    with tempfile.TemporaryDirectory(prefix="crossfade-soak-") as folder:
        result = asyncio.run(soak(Path(folder), options.minutes * 60, options.seed))
    print(result.text())
    return 0 if result.good else 1


if __name__ == "__main__":
    sys.exit(main())
