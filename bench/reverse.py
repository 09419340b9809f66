"""The reverse mirror into the development server: `python -m bench.reverse`, or `make bench-reverse`.

rate        a backlog of documents is carried: documents a second, beside the same arrays sent to the same server
            without a transaction; CPU of the applier's process a document
lag         writes of single documents at half of the goal: age of the oldest write that ArangoDB lacks, CPU
outage      ArangoDB away for a minute under 1,000 writes/s, which continue when it is back: rate of draining, memory

The applier is a process of its own, so that its CPU can be read; PostgreSQL, the development server and the writer
share the other core. Figures and goals are of one run. `--outage 600` is the long form.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import uvloop

import sql
from bench.mirror import percentile, print_figure
from bench.process import OTHER_CORE, PROXY_CORE, Process, pin, wait_for_port
from deploy.demo.postgres import EmbeddedPostgres
from proxy.base.database import Database
from proxy.base.free_port import free_port
from proxy.devserver.serve import StoreHandler
from proxy.devserver.store import MemoryStore
from proxy.http import HttpLimits, Listener, Upstream
from proxy.operator import migrate
from proxy.reverse import ReverseMirror
from proxy.reverse.backlog import lost_without_postgresql
from proxy.reverse.origin import OriginRequests
from proxy.stores.postgres.writes import DocumentWriter
from proxy.wire.decode import decode_parts

RATE, SHARE, CPU, LAG_P99, DRAIN, MEMORY = 3000.0, 0.15, 25.0, 250.0, 2000.0, 200.0
_FIRST_REVISION: Final = 1 << 60
_ARRAY: Final = 1000
_DOCUMENT: Final = {"name": "a name", "tags": ["one", "two", "three"], "nested": {"n": 1, "text": "x" * 300}}


# ---- child processes


async def _serve(port: int) -> None:
    """Be an ArangoDB, which is away between SIGUSR1 and SIGUSR2."""
    handler, away, back = StoreHandler(MemoryStore()), asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, away.set)
    loop.add_signal_handler(signal.SIGUSR2, back.set)
    while True:
        listener = Listener(handler, host="127.0.0.1", port=port, limits=HttpLimits())
        await listener.start()
        await away.wait()
        away.clear()
        await listener.close(0.1)
        await back.wait()
        back.clear()


async def _apply(dsn: str, url: str) -> None:
    """Be an applier."""
    database, upstream = await Database.open(dsn), Upstream(url)
    mirror = ReverseMirror(
        database, OriginRequests(upstream, "root", ""), holder="bench", needed=lambda: True, late_request=10.0
    )
    mirror.start()
    await asyncio.Event().wait()


# ---- the measurement


@dataclass(slots=True)
class Bench:
    """database: of this process. writer: takes the writes. options: of the command."""

    options: argparse.Namespace
    database: Database
    writer: DocumentWriter
    url: str
    origin: Process
    applier: Process
    number: int = 0

    async def lag(self) -> tuple[int, float]:
        """Return the number of rows and the age of the oldest in milliseconds."""
        found = await lost_without_postgresql(self.database)
        return found.rows, 1000 * found.age

    async def write(self, documents: int) -> None:
        """Write an array of new documents."""
        first, self.number = self.number, self.number + documents
        body = [{"_key": f"k{number}", **_DOCUMENT} for number in range(first, first + documents)]
        await self._send(json.dumps(body if documents > 1 else body[0]).encode())

    async def _send(self, body: bytes) -> None:
        outcome = await self.writer.execute(decode_parts("POST", b"/_api/document/c", [], body))
        assert outcome.status == 202, outcome.body

    async def steadily(self, rate: float, seconds: float) -> list[float]:
        """Write single documents at a rate; return the lags in milliseconds, sampled fifty times a second."""
        lags: list[float] = []

        async def sample() -> None:
            while True:
                lags.append((await self.lag())[1])
                await asyncio.sleep(0.02)

        sampling = asyncio.create_task(sample())
        running: set[asyncio.Task[None]] = set()
        began, sent = time.monotonic(), 0
        try:
            while (now := time.monotonic() - began) < seconds:
                while sent < now * rate and len(running) < 256:
                    task = asyncio.create_task(self.write(1))
                    running.add(task)
                    task.add_done_callback(running.discard)
                    sent += 1
                await asyncio.sleep(0.002)
            await asyncio.gather(*running)
        finally:
            sampling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sampling
        print(f"{sent / seconds:,.0f} writes/s were made, of {rate:,.0f}/s")
        return lags

    async def drained(self) -> None:
        while (await self.lag())[0]:
            await asyncio.sleep(0.01)


async def _rate(bench: Bench) -> list[bool]:
    """Carry a backlog in each round; return which goals are reached."""
    rates, costs, plain = [], [], []
    await bench.write(1)
    await bench.drained()  # the applier has started
    for _ in range(bench.options.rounds):
        os.kill(bench.applier.pid, signal.SIGSTOP)
        for _ in range(bench.options.documents // _ARRAY):
            await bench.write(_ARRAY)
        cpu = bench.applier.cpu()
        os.kill(bench.applier.pid, signal.SIGCONT)
        began = time.monotonic()
        await bench.drained()
        rates.append(bench.options.documents / (time.monotonic() - began))
        costs.append(1e6 * (bench.applier.cpu() - cpu) / bench.options.documents)
        plain.append(await _plain(bench))
    rate, direct = statistics.median(rates), statistics.median(plain)
    print(f"carried {rate:,.0f} documents/s; the same arrays sent alone {direct:,.0f}/s")
    return [
        print_figure("documents carried a second", rate, RATE, at_most=False),
        print_figure("of the rate of the same arrays without transactions", rate / direct, SHARE, at_most=False),
        print_figure("CPU of the applier a document, µs", statistics.median(costs), CPU),
    ]


async def _plain(bench: Bench) -> float:
    """Return the documents a second of arrays that are sent to ArangoDB one after another."""
    async with httpx.AsyncClient(base_url=bench.url, auth=("root", ""), timeout=60) as client:
        await client.put("/_api/collection/plain/truncate")
        began = time.monotonic()
        for first in range(0, bench.options.documents, _ARRAY):
            body = [{"_key": f"k{number}", **_DOCUMENT} for number in range(first, first + _ARRAY)]
            assert (await client.post("/_api/document/plain", json=body)).status_code == 202
        rate: float = bench.options.documents / (time.monotonic() - began)
        return rate


async def _outage(bench: Bench) -> list[bool]:
    options = bench.options
    os.kill(bench.origin.pid, signal.SIGUSR1)
    await bench.steadily(options.writes, options.outage)
    backlog, _ = await bench.lag()
    os.kill(bench.origin.pid, signal.SIGUSR2)
    began, memory = time.monotonic(), bench.applier.memory()
    writing = asyncio.create_task(bench.steadily(options.writes, 3600))
    try:
        left = backlog
        while left > options.writes and time.monotonic() - began < 120 + options.outage:
            await asyncio.sleep(0.1)
            left, _ = await bench.lag()
        took = time.monotonic() - began
        memory = max(memory, bench.applier.memory())
    finally:
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writing
    print(f"ArangoDB away for {options.outage:g} s: {backlog:,} rows, drained to {left:,} in {took:.1f} s")
    rate = (backlog - left) / took + options.writes
    return [
        print_figure("writes carried a second while it drains", rate, DRAIN, at_most=False),
        print_figure("resident memory of the applier's process, MiB", memory, MEMORY),
    ]


async def _measure(options: argparse.Namespace, dsn: str, port: int, origin: Process, applier: Process) -> bool:
    database = await Database.open(dsn, size=24, reset=False)
    bench = Bench(options, database, DocumentWriter(database), f"http://127.0.0.1:{port}", origin, applier)
    try:
        good = await _rate(bench)
        cpu, first = applier.cpu(), bench.number
        lags = await bench.steadily(RATE / 2, options.steady)
        await bench.drained()
        cost = 1e6 * (applier.cpu() - cpu) / (bench.number - first)
        good.append(print_figure(f"lag p99 at {RATE / 2:,.0f} writes/s, ms", percentile(lags, 0.99), LAG_P99))
        good.append(print_figure("CPU of the applier a write at this rate, µs", cost, CPU))
        if options.outage:
            good += await _outage(bench)
    finally:
        await database.close()
    return all(good)


async def _prepared(dsn: str, url: str) -> None:
    """Make the schema, and collections in both databases."""
    async with httpx.AsyncClient(base_url=url, auth=("root", "")) as client:
        for name in ("c", "plain"):
            assert (await client.post("/_api/collection", json={"name": name})).status_code == 200
    database = await Database.open(dsn)
    try:
        await migrate.apply(database)
        await database.fetchval(sql.collections.ENSURE, "_system", "c", False)
        await database.execute(sql.carryover.TAKE_WRITES, "_system/c", _FIRST_REVISION, "{}", "0")
    finally:
        await database.close()


def run(options: argparse.Namespace) -> bool:
    """Start everything, measure, print, stop everything; return True if every goal is reached."""
    with contextlib.ExitStack() as stack:
        pin(OTHER_CORE)
        server = stack.enter_context(EmbeddedPostgres())
        log = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crossfade-bench-"))) / "applier.log"
        port = free_port()
        module = [sys.executable, "-m", "bench.reverse"]
        origin = Process([*module, "--serve", str(port)], core=OTHER_CORE)
        stack.callback(origin.stop)
        wait_for_port(port, origin)
        url = f"http://127.0.0.1:{port}"
        asyncio.run(_prepared(server.dsn, url))
        applier = Process([*module, "--apply", server.dsn, url], core=PROXY_CORE, log=log)
        stack.callback(applier.stop)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_measure(options, server.dsn, port, origin, applier))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.reverse")
    parser.add_argument("--documents", type=int, default=20_000, help="documents of one backlog")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steady", type=float, default=10.0, help="seconds at half the goal")
    parser.add_argument("--writes", type=float, default=1000.0, help="writes/s around the outage")
    parser.add_argument("--outage", type=float, default=60.0, help="seconds without ArangoDB; 0: none")
    parser.add_argument("--check", action="store_true", help="exit code 1 where a goal is missed")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--apply", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve or options.apply:
        child = _serve(options.serve) if options.serve else _apply(*options.apply)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(child)
    reached = run(options)
    return 1 if options.check and not reached else 0


if __name__ == "__main__":
    sys.exit(main())
