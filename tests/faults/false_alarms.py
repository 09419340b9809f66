"""No false alarm, no blind spot: `make false-alarms MINUTES=10`. Exits 1 if the shadow was wrong or compared too few.

Three proxies run as processes; clients write few hot keys through all of them and do reads of every kind, while
answers of PostgreSQL are delayed now and then. Both databases are equal but for races, so every mismatch is a false
alarm. Then, under the same traffic and configuration, mismatches are seeded in PostgreSQL: the next read of each must
report it with its class and path.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from deploy.demo.postgres import EmbeddedPostgres
from proxy.base.config import load
from proxy.control import controller
from proxy.control.transitions_plan import DesiredState
from proxy.model.stages import Stage
from tests.ad_hoc import Database
from tests.conftest import _create, migrated_template
from tests.faults.environment import BOOKS, Environment, Proxy, fault_environment
from tests.faults.oracle import COLLECTION, Wire
from tests.faults.seeded_mismatches import SeededMismatch, create_documents, diverge, read_once, seeded_mismatches
from tests.harness import eventually

PROXIES, WRITERS, READERS = 3, 3, 6
HOT, WARM, COLD = 8, 200, 500
COMPARISONS, UNDECIDED = 100_000, 0.001
_DOCUMENT = f"/_api/document/{COLLECTION}"
_RECHECK_SECONDS = 20.0
_GROUP_SIZE = 25  # seeded mismatches that are read at a time
_FLUSH_SECONDS = 1.5  # seconds in which every proxy has written its counts


@dataclass
class Result:
    """The result of a run. figures: sums of the stored comparisons before anything was seeded."""

    seconds: float = 0.0
    writes: int = 0
    reads: int = 0
    delays: int = 0
    failed: list[str] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    alarms: list[str] = field(default_factory=list)
    planted: int = 0
    missed: list[str] = field(default_factory=list)
    cpu_seconds: float = 0.0  # of all proxies, before anything was seeded
    waited: float = 0.0  # seconds from the first read of a seeded mismatch until the last was found

    @property
    def settled(self) -> int:
        return self.figures.get("compared", 0) - self.figures.get("undecided", 0)

    @property
    def right(self) -> bool:
        """True if there was no false alarm, every divergence was found, nothing failed and hardly any was
        undecided.
        """
        few = self.figures.get("undecided", 0) <= UNDECIDED * self.figures.get("compared", 0)
        return not (self.alarms or self.missed or self.failed) and few and self.settled > 0

    def text(self) -> str:
        figures = ", ".join(f"{name} {number:,}" for name, number in self.figures.items() if number)
        skipped = ", ".join(f"{name} {number:,}" for name, number in self.skipped.items())
        share = self.figures.get("undecided", 0) / max(1, self.figures.get("compared", 0))
        cpu = 1000 * self.cpu_seconds / max(1, self.reads + self.writes)
        lines = [
            f"{self.seconds:.0f} s, {PROXIES} proxies: {self.writes:,} writes, {self.reads:,} reads, target late "
            f"{self.delays} times; {cpu:.2f} ms of proxy CPU each",
            f"comparisons: {figures}; undecided {share:.4%} (≤ {UNDECIDED:.1%})",
            f"skipped: {skipped or 'nothing'}",
            f"confirmed mismatches: {len(self.alarms)} (false alarms)",
            *self.alarms[:10],
            f"planted {self.planted}, not found by the next read: {len(self.missed)}; all within {self.waited:.1f} s",
            *self.missed[:20],
            *self.failed[:5],
        ]
        return "\n".join(lines)


class Run:
    """One run in an environment."""

    def __init__(self, env: Environment, seed: int) -> None:
        self._env = env
        self._random = random.Random(seed)
        self.result = Result()
        self._proxies: list[Proxy] = [
            env.proxy(f"state{n}", CROSSFADE_RECHECK_TIMEOUT=str(_RECHECK_SECONDS)) for n in range(PROXIES)
        ]
        self._going = True
        self._wires = contextlib.ExitStack()  # closed even if the run fails: the next test must not find them open

    async def run(self, seconds: float, planted: int) -> Result:
        """Run all of it. Raise AssertionError if a proxy does not start or the stored counts do not settle."""
        started = time.monotonic()
        database = await Database.open(self._env.dsn, size=4)
        try:
            await asyncio.gather(*(proxy.supervised() for proxy in self._proxies))
            await self._prepare(database)
            async with self._traffic():
                deadline = time.monotonic() + seconds
                while time.monotonic() < deadline and not self.result.failed:
                    await asyncio.sleep(0.1)
            self.result.seconds = time.monotonic() - started
            self.result.cpu_seconds = sum(_cpu(proxy) for proxy in self._proxies)
            await self._wait_until_compared(database)
            await self._count(database)
            print(self.result.text() + "\n", file=sys.stderr, flush=True)
            if planted and not self.result.alarms:
                await self._seed(database, seeded_mismatches(planted))
        finally:
            self._env.to_target.heal()
            self._wires.close()
            for proxy in self._proxies:
                if proxy.running:
                    await asyncio.to_thread(proxy.kill)
            await database.close()
        return self.result

    def _wire(self, port: int) -> Wire:
        return self._wires.enter_context(contextlib.closing(Wire(port)))

    async def _prepare(self, database: Database) -> None:
        """Mirror first, so that every document comes through a proxy, then change to the shadow stage."""
        await self._env.mirrored()
        wire = self._wire(self._proxies[0].port)
        names = [f"hot{n}" for n in range(HOT)] + [f"warm{n}" for n in range(WARM)] + [f"cold{n}" for n in range(COLD)]
        documents = [{"_key": name, "n": 0, "group": n % 20, "open": True} for n, name in enumerate(names)]
        status, answer, _ = await wire.ask("POST", _DOCUMENT, documents)
        assert status in (201, 202), answer
        await self._proxies[0].drained()
        await controller.change(
            database,
            [DesiredState(BOOKS, Stage.SHADOW)],
            settings=load(dsn=self._env.dsn),
            actor="test",
            reason="test",
            force=True,
            timeout=20,
        )

    # ---- traffic

    @contextlib.asynccontextmanager
    async def _traffic(self) -> AsyncIterator[None]:
        self._going = True
        tasks = [asyncio.create_task(self._writer(n)) for n in range(WRITERS)]
        tasks += [asyncio.create_task(self._reader(n)) for n in range(READERS)]
        tasks.append(asyncio.create_task(self._delay_target()))
        try:
            yield
        finally:
            self._going = False
            self._env.to_target.heal()
            await asyncio.gather(*tasks)

    def _choose_key(self) -> str:
        """Choose a key to write, mostly a hot one."""
        if self._random.random() < 0.7:
            return f"hot{self._random.randrange(HOT)}"
        return f"warm{self._random.randrange(WARM)}"

    def _read(self) -> str:
        if self._random.random() < 0.3:
            return f"cold{self._random.randrange(COLD)}"
        return self._choose_key()

    async def _writer(self, number: int) -> None:
        wire, n, random_ = self._wire(self._proxies[number % PROXIES].port), 0, self._random
        while self._going:
            n += 1
            key = self._choose_key()
            document = {"_key": key, "n": n, "by": number, "group": n % 20, "open": n % 2 == 0, "list": [n, n + 1]}
            method, path, body = random_.choice(
                (
                    ("POST", f"{_DOCUMENT}?overwriteMode=replace", document),
                    ("POST", f"{_DOCUMENT}?overwriteMode=replace", document),
                    ("PATCH", f"{_DOCUMENT}/{key}", {"n": n, "seen": {"by": number}}),
                    ("PUT", f"{_DOCUMENT}/{key}", {"n": n, "open": True}),
                    ("DELETE", f"{_DOCUMENT}/{key}", None),
                )
            )
            await self._ask(wire, method, path, body, {200, 201, 202, 404, 409, 412})
            self.result.writes += 1
            await asyncio.sleep(0.004)

    async def _reader(self, number: int) -> None:
        wire, turn = self._wire(self._proxies[number % PROXIES].port), 0
        while self._going:
            turn += 1
            kind = turn % 20
            if kind == 0:
                await self._query(wire)
            elif kind == 1:
                keys = [self._read() for _ in range(4)]
                await self._ask(wire, "PUT", f"{_DOCUMENT}?onlyget=true", keys, {200})
            else:
                await self._ask(wire, "GET", f"{_DOCUMENT}/{self._read()}", None, {200, 404})
            self.result.reads += 1

    async def _query(self, wire: Wire) -> None:
        group, key = self._random.randrange(20), self._read()
        text, binds, batch = self._random.choice(
            (
                (f"FOR d IN {COLLECTION} FILTER d._key == @key RETURN d", {"key": key}, 1000),
                (f"FOR d IN {COLLECTION} FILTER d._key == @key RETURN {{k: d._key, n: d.n}}", {"key": key}, 1000),
                (f"FOR d IN {COLLECTION} FILTER d.group == @g RETURN d", {"g": group}, 1000),
                (
                    f"FOR d IN {COLLECTION} FILTER d.group == @g SORT d.n DESC, d._key LIMIT 5 RETURN d",
                    {"g": group},
                    1000,
                ),
                (f"FOR d IN {COLLECTION} FILTER d.group == @g SORT d._key RETURN d", {"g": group}, 5),
                (f"FOR d IN {COLLECTION} FILTER d.group == @g AND d._key LIKE 'cold%' RETURN d.n", {"g": group}, 1000),
            )
        )
        answer = await self._ask(
            wire, "POST", "/_api/cursor", {"query": text, "bindVars": binds, "batchSize": batch}, {201}
        )
        while isinstance(answer, dict) and answer.get("hasMore"):
            answer = await self._ask(wire, "POST", f"/_api/cursor/{answer['id']}", None, {200})

    async def _ask(self, wire: Wire, method: str, path: str, body: object, good: set[int]) -> object:
        try:
            status, answer, _ = await wire.ask(method, path, body)
        except (OSError, EOFError, TimeoutError) as error:
            self.result.failed.append(f"{method} {path}: {type(error).__name__}")
            return None
        if status not in good:
            self.result.failed.append(f"{method} {path}: {status} {str(answer)[:200]}")
        return answer

    async def _delay_target(self) -> None:
        """Delay everything between the proxies and PostgreSQL now and then."""
        while self._going:
            await asyncio.sleep(self._random.uniform(0.3, 3.0))
            if self._going:
                self._env.to_target.misbehave("delay")
                self.result.delays += 1
                await asyncio.sleep(self._random.uniform(0.1, 1.0))
                self._env.to_target.heal()

    # ---- the stored comparisons

    async def _wait_until_compared(self, database: Database) -> None:
        """Wait until every sampled read has its verdict."""

        last: tuple[object, float] = (None, 0.0)

        async def at_rest() -> bool:
            nonlocal last
            row = await database.fetchrow(
                "SELECT sum(seen) AS seen, sum(compared + unsupported + skipped) AS ended FROM _crossfade.shape"
            )
            assert row is not None
            if row["seen"] != row["ended"] or row["seen"] != last[0]:
                last = (row["seen"], time.monotonic())
            return row["seen"] is not None and time.monotonic() > last[1] + _FLUSH_SECONDS

        await eventually(at_rest, "every read has its verdict")

    async def _count(self, database: Database) -> None:
        row = await database.fetchrow("SELECT * FROM _crossfade.comparison WHERE collection = $1", BOOKS)
        names = ("compared", "matched", "lagged", "ignored", "mismatched", "undecided", "unsupported")
        self.result.figures = {name: row[name] for name in names} if row is not None else {}
        rows = await database.fetch(
            "SELECT reason, sum(number) AS n FROM _crossfade.skipped GROUP BY 1 ORDER BY 2 DESC"
        )
        self.result.skipped = {found["reason"]: int(found["n"]) for found in rows}
        found = await database.fetch("SELECT class, paths, keys, seen, samples::text AS s FROM _crossfade.mismatch")
        self.result.alarms = [
            f"{one['class']} {one['paths']} of {one['keys'][:3]} × {one['seen']}: {one['s'][:3000]}" for one in found
        ]

    # ---- blind spots

    async def _seed(self, database: Database, seeded: list[SeededMismatch]) -> None:
        self.result.planted = len(seeded)
        direct = self._wire(self._env.origin.port)
        wires = [self._wire(proxy.port) for proxy in self._proxies]
        relation = await database.fetchval("SELECT relation FROM _crossfade.collection WHERE collection = $1", BOOKS)
        for mismatch in seeded:
            await create_documents(wires[mismatch.number % PROXIES], direct, mismatch)
        for proxy in self._proxies:
            await proxy.drained()
        async with self._traffic():
            for mismatch in seeded:
                await diverge(database, relation, direct, mismatch)
            started = time.monotonic()
            missed: list[SeededMismatch] = []
            for first in range(0, len(seeded), _GROUP_SIZE):
                group = seeded[first : first + _GROUP_SIZE]
                await asyncio.gather(*(self._read_once(wire, group[n::PROXIES]) for n, wire in enumerate(wires)))
                missed += await self._wait_until_found(database, group)
            self.result.waited = time.monotonic() - started
        self.result.missed = [
            f"{mismatch.kind} {mismatch.paths} by {mismatch.read}: {mismatch.key}" for mismatch in missed
        ]
        rows = await database.fetch("SELECT class, paths, keys FROM _crossfade.mismatch")
        extra = [row for row in rows if not all(key.startswith("plant") for key in row["keys"])]
        self.result.alarms += [f"{row['class']} {row['paths']} of {row['keys'][:3]}, not seeded" for row in extra]

    async def _wait_until_found(self, database: Database, read: list[SeededMismatch]) -> list[SeededMismatch]:
        """Return the seeded mismatches not found within the time that a recheck may take."""
        missing, limit = read, time.monotonic() + 2 * _RECHECK_SECONDS
        while missing and time.monotonic() < limit:
            await asyncio.sleep(0.25)
            rows = await database.fetch("SELECT class, paths, keys FROM _crossfade.mismatch")
            found = {(row["class"], tuple(row["paths"]), key) for row in rows for key in (*row["keys"], "")}
            missing = [
                mismatch
                for mismatch in missing
                if (mismatch.kind, mismatch.paths, "" if mismatch.kind == "error" else mismatch.key) not in found
            ]
        return missing

    async def _read_once(self, wire: Wire, seeded: list[SeededMismatch]) -> None:
        for mismatch in seeded:
            await read_once(wire, mismatch)


def _cpu(proxy: Proxy) -> float:
    """Return the seconds of CPU that a process has used."""
    assert proxy.process is not None
    fields = Path(f"/proc/{proxy.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def false_alarms(folder: Path, seconds: float, planted: int, seed: int) -> Result:
    """Start an environment, and do one run in it."""
    with EmbeddedPostgres(options={"fsync": "off", "shared_buffers": "64MB"}) as server:
        await migrated_template(server.dsn)
        dsn = await _create(server, "migrated")
        async with fault_environment(server, dsn, folder) as env:
            return await Run(env, seed).run(seconds, planted)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.false_alarms")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--planted", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crossfade-alarms-") as folder:
        result = asyncio.run(false_alarms(Path(folder), options.minutes * 60, options.planted, options.seed))
    print(result.text())
    required = COMPARISONS * options.minutes / 10
    print(f"settled {result.settled:,} (≥ {required:,.0f}: {'reached' if result.settled >= required else 'missed'})")
    return 0 if result.right and result.settled >= required else 1


if __name__ == "__main__":
    sys.exit(main())
