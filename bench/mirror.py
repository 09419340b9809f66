"""The cost of the mirror, and an outage of its target: `python -m bench.mirror`, or `make bench-mirror`.

cost        the same proxy twice, its collection in stage `off` and in stage `mirror`, POST of 2 KB in alternating
            samples: CPU per write, and the rate until the backlog is empty
lag         at half of that rate: age of the oldest write that PostgreSQL lacks, added latency of clients
outage      PostgreSQL stopped under a steady rate, then restarted while the rate continues: memory, rate of draining

With two cores, the proxy has one of its own; clients, origin and PostgreSQL share the other. For latencies, clients and
origin have priority over PostgreSQL, which represents another machine. Ratios and targets are printed; compare only
within one run. `--outage 600` is the long form.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from bench import variants
from bench.process import OTHER_CORE, Process, ahead, pin, wait_for_port
from bench.proxy import WRITE, measure
from bench.variants import Variant
from deploy.demo.postgres import EmbeddedPostgres
from proxy.base.free_port import free_port

ADDED_CPU, SUSTAINED = 80.0, 0.4
LAG_P99, ADDED_P50, ADDED_P99 = 250.0, 0.3, 3.0
MEMORY, DRAIN = 200.0, 2000.0


@dataclass(frozen=True, slots=True)
class Steady:
    """A load at a fixed rate. lags: ms, sampled ten times a second. latencies in ms."""

    rate: float
    p50: float
    p99: float
    lags: tuple[float, ...]
    failed: float


def percentile(values: list[float] | tuple[float, ...], share: float) -> float:
    """Return the value that the given share does not exceed; 0 if there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def steady(variant: Variant, rate: float, seconds: float, connections: int) -> Steady:
    """Send at that rate, and sample the lag meanwhile."""
    command = [sys.executable, "-m", "bench.load", str(variant.port), "--seconds", str(seconds)]
    command += ["--method", WRITE[0], "--path", WRITE[1], "--connections", str(connections), "--rate", str(rate)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    lags = []
    while process.poll() is None:
        lags.append(1000 * _status(variant)["lag_seconds"])
        time.sleep(0.1)
    out, _ = process.communicate()
    report = json.loads(out)
    failed = report["refused"] + report["broken"]
    return Steady(report["requests"] / report["seconds"], report["p50"], report["p99"], tuple(lags), failed)


async def _database(dsn: str, name: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()


def _status(variant: Variant) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{variant.admin}/status", timeout=10) as answer:
        found: dict[str, float] = json.load(answer)
        return found


def print_figure(name: str, value: float, limit: float, *, at_most: bool = True) -> bool:
    """Print a figure with its target; return True if it is reached."""
    reached = value <= limit if at_most else value >= limit
    print(f"{name:64}{value:10.2f}  ({'≤' if at_most else '≥'} {limit:g}: {'reached' if reached else 'missed'})")
    return reached


def run(options: argparse.Namespace) -> bool:
    """Start everything, measure, print, stop everything; return True if every target is reached."""
    good = []
    with contextlib.ExitStack() as stack:
        pin(OTHER_CORE)  # and everything started here, except the proxies
        server = stack.enter_context(EmbeddedPostgres())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crossfade-bench-")))
        port = free_port()
        stub = Process([sys.executable, "-m", "bench.stub", str(port)], core=OTHER_CORE)
        stack.callback(stub.stop)
        wait_for_port(port, stub)
        mirrored = variants.crossfade(port, server.dsn, folder)
        stack.callback(mirrored.process.stop)
        asyncio.run(_database(server.dsn, "plain"))
        dsn = server.dsn.rsplit("/", 1)[0] + "/plain"
        plain = variants.crossfade(port, dsn, folder, name="plain", mirrored=False)
        stack.callback(plain.process.stop)
        pair = [plain, mirrored]
        rows = measure(pair, WRITE, seconds=options.seconds, rounds=options.rounds, connections=options.connections)
        without, with_ = rows[plain.name], rows[mirrored.name]
        for row in (without, with_):
            print(f"{row.name:12}{row.rate:9,.0f}/s, sustained {row.sustained:8,.0f}/s, CPU {row.cpu_us:6.1f} µs")
        good.append(print_figure("CPU that the mirror adds to a write, µs", with_.cpu_us - without.cpu_us, ADDED_CPU))
        share = with_.sustained / without.sustained
        good.append(
            print_figure("rate with the backlog drained, of the same without mirror", share, SUSTAINED, at_most=False)
        )
        half = with_.sustained / 2
        ahead(stub.pid)
        ahead()
        added50, added99 = [], []
        lags: list[float] = []
        for _ in range(options.rounds):
            calm, busy = (steady(variant, half, options.steady, options.connections) for variant in pair)
            mirrored.drain()
            added50.append(busy.p50 - calm.p50)
            added99.append(busy.p99 - calm.p99)
            lags += busy.lags
            print(
                f"at {half:,.0f}/s: p50 {calm.p50:.2f} and {busy.p50:.2f} ms, p99 {calm.p99:.2f} and {busy.p99:.2f} ms"
            )
        good.append(print_figure(f"mirror lag p99 at {half:,.0f} writes/s, ms", percentile(lags, 0.99), LAG_P99))
        good.append(print_figure("latency that the mirror adds, p50, ms", statistics.median(added50), ADDED_P50))
        good.append(print_figure("latency that the mirror adds, p99, ms", statistics.median(added99), ADDED_P99))
        if options.outage:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))  # else PostgreSQL, restarted, had priority too
            good += outage(mirrored, server, options)
    return all(good)


def outage(variant: Variant, server: EmbeddedPostgres, options: argparse.Namespace) -> list[bool]:
    """Stop PostgreSQL under a steady rate, then restart it while the rate continues."""
    server.stop("immediate")
    steady_load = steady(variant, options.rate, options.outage, options.connections)
    backlog = variant.backlog()
    server.start()
    started = time.monotonic()
    command = [sys.executable, "-m", "bench.load", str(variant.port), "--seconds", "3600", "--connections", "8"]
    command += ["--method", WRITE[0], "--path", WRITE[1], "--rate", str(options.rate)]
    background = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        samples = [backlog]
        while samples[-1] > options.rate / 4 and time.monotonic() < started + 60 + options.outage:
            time.sleep(0.2)
            samples.append(variant.backlog())
        took = time.monotonic() - started
    finally:
        background.terminate()
        background.wait()
    drained = (backlog - samples[-1]) / took + options.rate
    print(
        f"PostgreSQL away for {options.outage:g} s at {steady_load.rate:,.0f} writes/s: "
        f"{steady_load.failed:.0f} failed, p99 {steady_load.p99:.1f} ms, backlog {backlog:,}; "
        f"drained in {took:.1f} s beside {options.rate:,.0f}/s"
    )
    return [
        print_figure("failed requests", steady_load.failed, 0),
        print_figure("resident memory of the proxy at most, MiB", variant.process.memory(), MEMORY),
        print_figure("writes applied a second while it drains", drained, DRAIN, at_most=False),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.mirror")
    parser.add_argument("--seconds", type=float, default=1.5, help="length of one sample")
    parser.add_argument("--rounds", type=int, default=3, help="samples of each variant")
    parser.add_argument("--steady", type=float, default=5.0, help="seconds at half the rate")
    parser.add_argument("--rate", type=float, default=1000.0, help="writes/s around the outage")
    parser.add_argument("--outage", type=float, default=30.0, help="seconds without PostgreSQL; 0: none")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--check", action="store_true", help="exit code 1 where a target is missed")
    options = parser.parse_args()
    reached = run(options)
    return 1 if options.check and not reached else 0


if __name__ == "__main__":
    sys.exit(main())
