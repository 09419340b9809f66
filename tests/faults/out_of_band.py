"""Three proxies under faults, a backfill, and a watch that must not report any write through the proxies (I10).

`make out-of-band WRITES=10000`. Then writers bypass the proxies, and the watch must report each of their documents; the
time that took is printed. Exit 1 if a write was reported wrongly or missed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from backfill.out_of_band_judge import OriginVersion
from backfill.out_of_band_watch import OutOfBandWatch
from backfill.run_planner import plan_backfill, plan_verification
from backfill.source import ArangoSource
from backfill.worker import WorkerOptions, Workers
from deploy.demo.postgres import EmbeddedPostgres
from proxy.http.upstream import Upstream
from tests.ad_hoc import Database
from tests.conftest import _create, migrated_template
from tests.faults import traffic
from tests.faults.environment import BOOKS, Environment, fault_environment
from tests.faults.outages import outage
from tests.faults.traffic import DOCUMENT, Tally
from tests.harness import eventually

PROXIES, WRITERS, OUT_OF_BAND = 3, 6, 20
_FAULTS = ("kill", "target stopped", "kill", "target delay", "origin cut")


@dataclass
class Result:
    """The result of a run. wrongly_reported: written through a proxy; marks: unverified collections."""

    writes: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    wrongly_reported: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    slowest: float = 0.0
    marks: list[str] = field(default_factory=list)
    watched: bool = False

    @property
    def good(self) -> bool:
        return not self.wrongly_reported and not self.missed and self.watched

    def text(self) -> str:
        faults = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items())) or "none"
        return "\n".join(
            [
                f"{self.writes} writes through {PROXIES} proxies beside a backfill; faults: {faults}",
                f"collections became unverified {len(self.marks)} times: {', '.join(sorted(set(self.marks))) or '-'}",
                f"watched without a gap: {self.watched}; wrongly reported: {self.wrongly_reported or 'none'}",
                f"{OUT_OF_BAND} documents written or removed out of band, named within {self.slowest:.1f} s; "
                f"missed: {self.missed or 'none'}",
            ]
        )


class OutOfBandRun:
    """One run in an environment."""

    def __init__(self, env: Environment, seed: int, writes: int, faults: int) -> None:
        self._env = env
        self._random = random.Random(seed)
        self._wanted = writes
        self._faults = faults
        self._tally = Tally()
        self.result = Result()
        self._reported_at: dict[str, float] = {}
        self._proxies = [env.proxy(f"state{n}", CROSSFADE_REQUEST_TIMEOUT="3") for n in range(PROXIES)]

    async def run(self) -> Result:
        env = self._env
        await traffic.prepare(env.origin.url)
        async with httpx.AsyncClient(base_url=env.origin.url) as direct:
            await direct.post(DOCUMENT, json=[{"_key": f"h{n}"} for n in range(300)])
            try:
                await asyncio.gather(*(proxy.supervised() for proxy in self._proxies))
                await env.mirrored(everything=True)
                async with self._run_watch() as database:
                    since = await self._wait_until_watched(database)
                    writers = [self._writer(number) for number in range(WRITERS)]
                    await asyncio.gather(self._cause_faults(), self._backfill(), *writers)
                    await self._wait_until_judged(database)
                    self.result.wrongly_reported = sorted(self._reported_at)
                    self.result.watched = since == await self._wait_until_watched(database)
                    self.result.marks = await env.marks()
                    if self.result.marks:  # they explain whatever comes, until a verification covers them
                        await self._verify()
                    await self._write_out_of_band(direct)
                self.result.writes = self._tally.writes
            finally:
                for proxy in self._proxies:
                    if proxy.running:
                        await asyncio.to_thread(proxy.kill, signal.SIGTERM)
        return self.result

    @contextlib.asynccontextmanager
    async def _run_watch(self) -> AsyncIterator[Database]:
        database = await Database.open(self._env.dsn, size=4)
        upstream = Upstream(self._env.origin.url, connections=2)
        stop = asyncio.Event()

        def record(one: OriginVersion) -> None:
            self._reported_at.setdefault(f"{one.collection}/{one.key}", time.monotonic())

        task = asyncio.create_task(OutOfBandWatch(database, upstream, "root", "", stop, found=record, pause=0.2).run())
        try:
            yield database
        finally:
            stop.set()
            await task
            await upstream.close()
            await database.close()

    async def _wait_until_watched(self, database: Database) -> object:
        """Return since when the busiest collection is watched."""

        async def is_watched() -> bool:
            return bool(
                await database.fetchval("SELECT count(*) FROM _crossfade.bypass_watch WHERE collection = $1", BOOKS)
            )

        await eventually(is_watched, "the watch runs")
        return await database.fetchval("SELECT since FROM _crossfade.bypass_watch WHERE collection = $1", BOOKS)

    async def _wait_until_judged(self, database: Database) -> None:
        self._env.to_target.heal()
        self._env.to_origin.heal()
        for proxy in self._proxies:
            await proxy.drained()
        now = await database.fetchval("SELECT clock_timestamp()")

        async def all_judged() -> bool:
            return bool(await database.fetchval("SELECT bool_and(judged_until > $1) FROM _crossfade.bypass_watch", now))

        await eventually(all_judged, "everything is judged")

    async def _writer(self, number: int) -> None:
        kinds = list(traffic.KINDS)
        turn = number
        while self._tally.writes < self._wanted:
            name = "documents" if turn % 2 else self._random.choice(kinds)
            key_owner = number // 2 if name == "documents" else number
            deadline = time.monotonic() + 1.0
            url = self._proxies[turn % PROXIES].url
            going = lambda _, ends=deadline: time.monotonic() < ends and self._tally.writes < self._wanted  # noqa: E731
            await traffic.client(url, key_owner, self._tally, going, traffic.KINDS[name], pause=0.002)
            turn += 1

    async def _cause_faults(self) -> None:
        """Cause the faults one after the other, spread over the writes."""
        for number in range(self._faults):
            wanted = self._wanted * (number + 1) // (self._faults + 1)
            while self._tally.writes < wanted:
                await asyncio.sleep(0.02)
            name = _FAULTS[number % len(_FAULTS)]
            self.result.faults[name] = self.result.faults.get(name, 0) + 1
            duration = self._random.uniform(0.2, 1.2)
            await outage(self._env, self._random.choice(self._proxies), name, duration)

    async def _backfill(self) -> None:
        """Copy while clients write. Run it again if PostgreSQL was away."""
        database = await Database.open(self._env.dsn, size=8)
        source = ArangoSource(self._env.origin.url, "root", "")
        try:
            for name in ("_system/books", "_system/papers", "_system/people"):
                run = await plan_backfill(database, source, name)
                await Workers(database, database, source, WorkerOptions(poll=0.05), asyncio.Event()).work([run])
        finally:
            await source.close()
            await database.close()

    async def _verify(self) -> None:
        database = await Database.open(self._env.dsn, size=8)
        source = ArangoSource(self._env.origin.url, "root", "")
        try:
            run = await plan_verification(database, source, BOOKS, repair=True)
            await Workers(database, database, source, WorkerOptions(poll=0.05), asyncio.Event()).work([run])
            await self._wait_until_judged(database)  # what is written from here on was written after it began
        finally:
            await source.close()
            await database.close()

    async def _write_out_of_band(self, direct: httpx.AsyncClient) -> None:
        """Insert, update and remove out of band, on keys without other writers."""
        started: dict[str, float] = {}
        for number in range(OUT_OF_BAND):
            key, kind = f"a{number}", number % 3
            path = f"{DOCUMENT}/h{number}" if kind else DOCUMENT
            if kind == 0:
                await direct.post(path, json={"_key": key})
            elif kind == 1:
                await direct.patch(path, json={"out_of_band": number})
            else:
                await direct.delete(path)
            started[f"{BOOKS}/{key if kind == 0 else f'h{number}'}"] = time.monotonic()
        limit = time.monotonic() + 20.0
        while started.keys() - self._reported_at.keys() and time.monotonic() < limit:
            await asyncio.sleep(0.05)
        self.result.missed = sorted(started.keys() - self._reported_at.keys())
        self.result.slowest = max(
            (self._reported_at[key] - at for key, at in started.items() if key in self._reported_at), default=0
        )


async def run(folder: Path, writes: int, faults: int, seed: int) -> Result:
    """Start an environment, and do one run in it."""
    with EmbeddedPostgres(options={"fsync": "off", "shared_buffers": "64MB"}) as server:
        await migrated_template(server.dsn)
        dsn = await _create(server, "migrated")
        async with fault_environment(server, dsn, folder) as env:
            return await OutOfBandRun(env, seed, writes, faults).run()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.out_of_band")
    parser.add_argument("--writes", type=int, default=10_000)
    parser.add_argument("--faults", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crossfade-out-of-band-") as folder:
        result = asyncio.run(run(Path(folder), options.writes, options.faults, options.seed))
    print(result.text())
    return 0 if result.good else 1


if __name__ == "__main__":
    sys.exit(main())
