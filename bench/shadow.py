"""The cost of comparing reads: `python -m bench.shadow`, or `make bench-shadow`.

The same proxy twice before one origin, reads of 2 KB documents by key: its collection in stage `off`, and in stage
`shadow` with a share of its reads compared.

throughput  as many reads as possible, without comparison, at 5 % and at 100 %
latency     at half of the rate possible at 100 %: what comparing every read adds to p50 and p99
CPU         of one comparison, without the query to PostgreSQL, whose cost is measured separately
storm       every document differs: what that adds to p99, at the same rate
mixed       keys and queries of 100 documents at 50 requests a second, and one document of twelve differs: what that
            adds to p50 and p99

The speed of a machine changes during a run. So what is compared is measured side by side, in short samples, and
the median of the rounds counts; the rate of a round is half of the rate measured just before.

Where there are two cores, the proxy has one; clients, origin and PostgreSQL share the other, where latencies are taken
with clients and origin before PostgreSQL, which represents another machine. A figure is void if fewer than 99 % of
the sampled reads got a verdict; then a lower rate is tried. Ratios and targets are printed; compare only within one
run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from bench import variants
from bench.mirror import _database, print_figure
from bench.process import OTHER_CORE, Process, ahead, pin, wait_for_port
from bench.variants import COLLECTION, Variant
from deploy.demo.postgres import EmbeddedPostgres
from proxy.base.free_port import free_port
from proxy.stores.postgres import PostgresStore
from tests.ad_hoc import Database

NAME = f"_system/{COLLECTION}"
DOCUMENTS, SIZE = 500, 2048
PATH = f"/_db/_system/_api/document/{COLLECTION}/{{key}}"
FULL_SHARE, FEW_SHARE = 0.3, 0.85
ADDED_P50, ADDED_P99, STORM_P99 = 0.3, 2.0, 2.0
ADDED_CPU, VERDICTS = 80.0, 0.99
MIXED_RATE, MIXED_ROWS, MIXED_SHARE = 50.0, 100, 12
MIXED_P50, MIXED_P99 = 5.0, 25.0
_BATCH_SIZE = 32  # documents per statement when its cost is measured: the shadow's batch size at such rates


@dataclass(frozen=True, slots=True)
class Load:
    """One load on one variant. Latencies in ms; cpu: µs a read; verdicts: the share of sampled reads that got one."""

    rate: float
    p50: float
    p99: float
    cpu: float
    failed: float
    verdicts: float = 1.0


class Stack:
    """The proxy in the shadow: the share of compared reads, and their verdicts."""

    def __init__(self, variant: Variant, environment: Mapping[str, str]) -> None:
        self.variant = variant
        self._environment = environment

    def crossfade(self, *arguments: str) -> None:
        variants._run([str(Path(sys.executable).with_name("crossfade")), *arguments], self._environment)

    def sample(self, percent: float) -> None:
        """Compare that share from now on; every proxy reads the setting once a second."""
        self.crossfade("sampling", NAME, "--percent", str(percent))
        time.sleep(1.3)

    def counts(self) -> dict[str, int]:
        """Return reads by verdict or skip reason, from the metrics."""
        found: dict[str, int] = {"verdict": 0}
        with urllib.request.urlopen(f"http://127.0.0.1:{self.variant.admin}/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith("crossfade_shadow_comparisons_total{"):
                    found["verdict"] += int(float(line.rsplit(" ", 1)[1]))
                elif line.startswith("crossfade_shadow_skipped_reads_total{"):
                    found[line.split('reason="')[1].split('"')[0]] = int(float(line.rsplit(" ", 1)[1]))
        return found

    def rested(self) -> dict[str, int]:
        """Wait until the counts no longer change, and return them: what was queued has been compared."""
        counts = self.counts()
        while True:
            time.sleep(0.6)  # longer than counts may wait
            now = self.counts()
            if now == counts:
                return now
            counts = now


def load(variant: Variant, seconds: float, connections: int, rate: float = 0.0, rows: int = 0) -> Load:
    """Run `bench.load`; return its report and the CPU of the proxy meanwhile."""
    before = variant.process.cpu()
    command = [sys.executable, "-m", "bench.load", str(variant.port), "--seconds", str(seconds), "--path", PATH]
    command += ["--keys", str(DOCUMENTS), "--connections", str(connections), "--rate", str(rate)]
    command += ["--rows", str(rows)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=seconds * 5 + 60)
    report = json.loads(done.stdout)
    cpu = 1e6 * (variant.process.cpu() - before) / max(1.0, report["total"])
    failed = report["refused"] + report["broken"]
    return Load(report["requests"] / report["seconds"], report["p50"], report["p99"], cpu, failed)


def compared(stack: Stack, seconds: float, connections: int, rate: float = 0.0, rows: int = 0) -> Load:
    """Do the same on the proxy in the shadow, with the CPU until all is compared, and the share with a verdict."""
    before, cpu = stack.rested(), stack.variant.process.cpu()
    report = load(stack.variant, seconds, connections, rate, rows)
    after = stack.rested()
    grown = {name: number - before.get(name, 0) for name, number in after.items()}
    total = sum(grown.values())
    sampled = total - grown.get("sampled out", 0)
    spent = 1e6 * (stack.variant.process.cpu() - cpu) / max(1, total)
    return Load(
        report.rate, report.p50, report.p99, spent, report.failed, grown["verdict"] / sampled if sampled else 0.0
    )


def highest_rate(stack: Stack, seconds: float, connections: int, without: float) -> Load:
    """Return the greatest rate at which nearly every sampled read gets a verdict, trying shares of `without` if
    needed.
    """
    found = compared(stack, seconds, connections)
    share = 0.9
    while found.verdicts < VERDICTS and share > 0.1:
        found = compared(stack, seconds, connections, without * share)
        share -= 0.1
    return found


async def query_price(dsn: str, seconds: float) -> float:
    """Return CPU µs per document of the statement by which the shadow reads documents, and nothing else."""
    database = await Database.open(dsn, size=1, reset=False)
    store = PostgresStore(database)
    keys = [
        [str(1 + (first + n) % DOCUMENTS) for n in range(_BATCH_SIZE)] for first in range(0, DOCUMENTS, _BATCH_SIZE)
    ]
    try:
        await store.documents(NAME, keys[0])
        number, started_cpu, until = 0, time.process_time(), time.perf_counter() + seconds
        while time.perf_counter() < until:
            found = await store.documents(NAME, keys[number % len(keys)])
            assert len(found) == _BATCH_SIZE
            number += 1
        return 1e6 * (time.process_time() - started_cpu) / (number * _BATCH_SIZE)
    finally:
        await store.close()
        await database.close()


def fill(variant: Variant) -> None:
    """Write the documents through the proxy, so that both sides have them."""
    command = [sys.executable, "-m", "bench.load", str(variant.port), "--seconds", "0.2", "--connections", "4"]
    command += ["--method", "POST", "--path", PATH.rpartition("/")[0], "--size", str(SIZE)]
    written = 0
    while written < DOCUMENTS:
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
        written += json.loads(done.stdout)["total"]
    variant.drain()


async def plant(dsn: str, *, differ: bool, share: int = 1) -> None:
    """Make every document, or one in `every`, differ at one revision, or restore them."""
    connection = await asyncpg.connect(dsn)
    words = ("resume.pdf", "other.pdf") if differ else ("other.pdf", "resume.pdf")
    try:
        relation = await connection.fetchval("SELECT relation FROM _crossfade.collection WHERE collection = $1", NAME)
        text = "replace(raw::text, '{}', '{}')".format(*words)
        await connection.execute(
            f"UPDATE {relation} SET raw = {text}::json, doc = _crossfade.queryable({text}::json)"
            f" WHERE key::int % {share} = 0"
        )
    finally:
        await connection.close()


def shadowed(origin: int, dsn: str, folder: Path) -> Stack:
    """Start the proxy with its collection and documents in stage `shadow`."""
    variant = variants.crossfade(origin, dsn, folder)
    environment = {"CROSSFADE_DSN": dsn, "CROSSFADE_ORIGIN": f"http://127.0.0.1:{origin}"}
    fill(variant)
    stack = Stack(variant, environment)
    stack.crossfade("shadow", NAME)
    return stack


class Report:
    """Prints figures, and records whether every one is good."""

    def __init__(self) -> None:
        self.good: list[bool] = []

    def sample(self, name: str, one: Load) -> Load:
        """Print one line. A sample with too few verdicts is void."""
        void = "" if one.verdicts >= VERDICTS else f"; VOID: {one.verdicts:.1%} got a verdict"
        print(f"{name:34}{one.rate:9,.0f}/s  p50 {one.p50:6.2f}  p99 {one.p99:6.2f} ms  CPU {one.cpu:6.1f} µs{void}")
        self.good.append(one.verdicts >= VERDICTS and not one.failed)
        return one

    def figure(self, name: str, values: Sequence[float], limit: float, *, at_most: bool = True) -> None:
        """Print the median of the rounds beside its limit."""
        self.good.append(print_figure(name, statistics.median(values), limit, at_most=at_most))


def throughput(stack: Stack, plain: Variant, options: argparse.Namespace, report: Report) -> None:
    """Measure maximum reads, compared and not, side by side."""
    seconds, connections = options.seconds, options.connections
    # a small difference needs more rounds to be distinguished from the machine's noise
    for percent, limit, rounds in ((5, FEW_SHARE, 2 * options.rounds), (100, FULL_SHARE, options.rounds)):
        stack.sample(percent)
        shares = []
        for _ in range(rounds):
            before = report.sample("without comparison", load(plain, seconds, connections))
            found = report.sample(f"{percent} % compared", highest_rate(stack, seconds, connections, before.rate))
            after = load(plain, seconds, connections)
            shares.append(2 * found.rate / (before.rate + after.rate))
        name = f"throughput at {percent} %, of that without comparison"
        report.figure(name, shares, limit, at_most=False)


@dataclass(frozen=True, slots=True)
class Round:
    """One rate: without comparison, with it, and with every read differing."""

    calm: Load
    busy: Load
    storm: Load


def steady(stack: Stack, plain: Variant, dsn: str, options: argparse.Namespace, report: Report) -> list[Round]:
    """Measure rounds at half of the maximum rate, all reads compared."""
    seconds, connections = options.steady, options.connections
    rounds = []
    for _ in range(options.rounds):
        without = load(plain, options.seconds, connections)
        half = highest_rate(stack, options.seconds, connections, without.rate).rate / 2
        calm = report.sample("half of that, without", load(plain, seconds, connections, half))
        busy = report.sample("half of that, all compared", compared(stack, seconds, connections, half))
        asyncio.run(plant(dsn, differ=True))
        storm = report.sample("a storm: every read differs", compared(stack, seconds, connections, half))
        asyncio.run(plant(dsn, differ=False))
        rounds.append(Round(calm, busy, storm))
    return rounds


def mixed(stack: Stack, plain: Variant, dsn: str, options: argparse.Namespace, report: Report) -> list[Round]:
    """Measure keys and queries together at a typical rate, and what a storm of mismatches adds."""
    seconds = 2 * options.steady
    rounds = []
    for _ in range(max(1, options.rounds // 2)):
        calm = report.sample("keys and queries, without", load(plain, seconds, 4, MIXED_RATE, MIXED_ROWS))
        busy = report.sample("keys and queries, all compared", compared(stack, seconds, 4, MIXED_RATE, MIXED_ROWS))
        asyncio.run(plant(dsn, differ=True, share=MIXED_SHARE))
        storm = report.sample("a storm among them", compared(stack, seconds, 4, MIXED_RATE, MIXED_ROWS))
        asyncio.run(plant(dsn, differ=False, share=MIXED_SHARE))
        rounds.append(Round(calm, busy, storm))
    return rounds


def run(options: argparse.Namespace) -> bool:
    """Start everything, measure, print, stop everything; return True if every target is reached."""
    report = Report()
    with contextlib.ExitStack() as exits:
        pin(OTHER_CORE)  # and everything started here, except the proxies
        server = exits.enter_context(EmbeddedPostgres())
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="crossfade-bench-")))
        port = free_port()
        stub = Process([sys.executable, "-m", "bench.stub", str(port)], core=OTHER_CORE)
        exits.callback(stub.stop)
        wait_for_port(port, stub)
        stack = shadowed(port, server.dsn, folder)
        exits.callback(stack.variant.process.stop)
        asyncio.run(_database(server.dsn, "plain"))
        other = server.dsn.rsplit("/", 1)[0] + "/plain"
        plain = variants.crossfade(port, other, folder, name="plain", mirrored=False)
        exits.callback(plain.process.stop)

        stack.sample(100)
        both = mixed(stack, plain, server.dsn, options, report)
        report.figure(
            "added by a storm among keys and queries, p50, ms", [r.storm.p50 - r.calm.p50 for r in both], MIXED_P50
        )
        report.figure(
            "added by a storm among keys and queries, p99, ms", [r.storm.p99 - r.calm.p99 for r in both], MIXED_P99
        )
        if options.mixed:
            return all(report.good)
        throughput(stack, plain, options, report)
        ahead(stub.pid)
        ahead()
        rounds = steady(stack, plain, server.dsn, options, report)
        report.figure("latency added, p50, ms", [one.busy.p50 - one.calm.p50 for one in rounds], ADDED_P50)
        report.figure("latency added, p99, ms", [one.busy.p99 - one.calm.p99 for one in rounds], ADDED_P99)
        storms = [one.storm.p99 - one.calm.p99 for one in rounds]
        report.figure("latency added by a storm of mismatches, p99, ms", storms, STORM_P99)
        price = asyncio.run(query_price(server.dsn, options.seconds))
        added = statistics.median(one.busy.cpu - one.calm.cpu for one in rounds)
        print(f"a compared read costs {added:.1f} µs of proxy CPU more; the query {price:.1f} of them")
        report.figure("CPU of a comparison beyond the query, µs", [added - price], ADDED_CPU)
    return all(report.good)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.shadow")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of one sample")
    parser.add_argument("--rounds", type=int, default=7, help="samples of each kind")
    parser.add_argument("--steady", type=float, default=2.0, help="seconds at half the rate")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--mixed", action="store_true", help="keys and queries alone")
    parser.add_argument("--check", action="store_true", help="exit code 1 where a target is missed, or a figure void")
    options = parser.parse_args()
    reached = run(options)
    return 1 if options.check and not reached else 0


if __name__ == "__main__":
    sys.exit(main())
