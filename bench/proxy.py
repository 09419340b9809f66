"""Compares the proxy with nginx and with a naive proxy in alternating samples: `python -m bench.proxy`.

Reads: GET of a 1 KB document, CPU per request relative to nginx. Writes: POST of a 2 KB document, mirrored, until the
backlog is empty, at a rate relative to the naive proxy. CPU per request is steadier than requests/s; compare only
within one run.
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
from dataclasses import asdict, dataclass
from pathlib import Path

import asyncpg

from bench import variants
from bench.process import OTHER_CORE, Process, pin, wait_for_port
from bench.variants import COLLECTION, Variant
from deploy.demo.postgres import EmbeddedPostgres
from proxy.base.free_port import free_port

READ = ("GET", f"/_db/_system/_api/document/{COLLECTION}/canned")
WRITE = ("POST", f"/_db/_system/_api/document/{COLLECTION}")
CPU_LIMIT, RATE_LIMIT, MEMORY_LIMIT = 3.5, 1.3, 200.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of the load against one variant."""

    total: float  # requests, warm-up included
    elapsed: float  # seconds from the first request until the last answer
    drained: float  # seconds from then until the backlog was empty
    rate: float  # requests/s, warm-up left out
    p50: float  # ms
    p99: float  # ms
    cpu: float  # seconds
    failed: float  # answers other than 2xx, connections that broke


@dataclass(frozen=True, slots=True)
class Row:
    """A variant's samples combined: medians, and CPU over all."""

    name: str
    rate: float
    sustained: float
    p50: float
    p99: float
    cpu_us: float
    memory_mib: float
    failed: float


def load(variant: Variant, kind: tuple[str, str], seconds: float, connections: int) -> dict[str, float]:
    """Run `bench.load` and return its report."""
    command = [sys.executable, "-m", "bench.load", str(variant.port), "--seconds", str(seconds)]
    command += ["--method", kind[0], "--path", kind[1], "--connections", str(connections)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=seconds * 5 + 60)
    report: dict[str, float] = json.loads(done.stdout)
    return report


def sample(variant: Variant, kind: tuple[str, str], seconds: float, connections: int) -> Sample:
    """Run one load, and drain the backlog after it."""
    before = variant.process.cpu()
    report = load(variant, kind, seconds, connections)
    drained = variant.drain() if kind is WRITE else 0.0
    return Sample(
        report["total"],
        report["elapsed"],
        drained,
        report["requests"] / report["seconds"],
        report["p50"],
        report["p99"],
        variant.process.cpu() - before,
        report["refused"] + report["broken"],
    )


def row(variant: Variant, samples: list[Sample]) -> Row:
    """Combine the samples of one variant."""
    total = sum(item.total for item in samples)
    return Row(
        variant.name,
        statistics.median(item.rate for item in samples),
        total / sum(item.elapsed + item.drained for item in samples),
        statistics.median(item.p50 for item in samples),
        statistics.median(item.p99 for item in samples),
        1e6 * sum(item.cpu for item in samples) / total,
        variant.process.memory(),
        sum(item.failed for item in samples),
    )


def measure(
    tested: list[Variant], kind: tuple[str, str], *, seconds: float, rounds: int, connections: int
) -> dict[str, Row]:
    """Take alternating samples; return one row per variant."""
    samples: dict[str, list[Sample]] = {variant.name: [] for variant in tested}
    for number in range(rounds):
        for variant in tested if number % 2 == 0 else reversed(tested):
            samples[variant.name].append(sample(variant, kind, seconds, connections))
    return {variant.name: row(variant, samples[variant.name]) for variant in tested}


def outage(variant: Variant, server: EmbeddedPostgres, seconds: float, connections: int) -> dict[str, object]:
    """Write while PostgreSQL is down, and time the catch-up after it: clients must notice nothing (I2)."""
    server.stop("immediate")
    report = load(variant, WRITE, seconds, connections)
    backlog = variant.backlog()
    server.start()
    return {
        "requests": report["total"],
        "failed": report["refused"] + report["broken"],
        "p99": report["p99"],
        "backlog": backlog,
        "drained_seconds": variant.drain(),
        "memory_mib": variant.process.memory(),
    }


def ratios(reads: dict[str, Row], writes: dict[str, Row], memory: float) -> list[dict[str, object]]:
    """Return each target with what was measured."""
    found: list[dict[str, object]] = []

    def add(name: str, value: float, limit: float, *, at_most: bool) -> None:
        reached = value <= limit if at_most else value >= limit
        sign = "≤" if at_most else "≥"
        found.append({"name": name, "value": round(value, 2), "limit": f"{sign} {limit:g}", "reached": reached})

    if "nginx" in reads:
        cpu_ratio = reads["crossfade"].cpu_us / reads["nginx"].cpu_us
        add("reads: CPU a request, of nginx's", cpu_ratio, CPU_LIMIT, at_most=True)
    mirrored = writes["crossfade"].sustained / writes["naive"].sustained
    add("mirrored writes, backlog drained: rate, of the naive proxy's", mirrored, RATE_LIMIT, at_most=False)
    add("resident memory of the proxy, MiB", memory, MEMORY_LIMIT, at_most=True)
    return found


def table(title: str, rows: dict[str, Row], reference: str) -> str:
    """Format the rows as text; the last column is CPU relative to the reference."""
    lines = [title, f"{'':12}{'req/s':>9}{'sustained':>11}{'p50 ms':>8}{'p99 ms':>8}{'CPU µs':>8}{'MiB':>7}  CPU of"]
    for item in rows.values():
        share = f"{item.cpu_us / rows[reference].cpu_us:.2f}× {reference}" if reference in rows else ""
        failed = f"  {item.failed:.0f} failed" if item.failed else ""
        lines.append(
            f"{item.name:12}{item.rate:9,.0f}{item.sustained:11,.0f}{item.p50:8.2f}{item.p99:8.2f}"
            f"{item.cpu_us:8.1f}{item.memory_mib:7.0f}  {share}{failed}"
        )
    return "\n".join(lines)


def _short(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


async def _table_for_naive(dsn: str) -> str:
    connection = await asyncpg.connect(dsn)
    try:
        relation: str = await connection.fetchval(
            "SELECT (_crossfade.ensure_collection('naive', $1)).relation", COLLECTION
        )
        return relation
    finally:
        await connection.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.proxy")
    parser.add_argument("--seconds", type=float, default=1.5, help="length of one sample")
    parser.add_argument("--rounds", type=int, default=3, help="samples of each variant")
    parser.add_argument("--outage", type=float, default=3.0, help="seconds of writes while PostgreSQL is down; 0: none")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--variant", choices=["all", "bare"], default="all", help="bare: the transport alone")
    parser.add_argument("--json", action="store_true", help="one JSON object in place of the tables")
    parser.add_argument("--check", action="store_true", help="exit code 1 where a limit is missed")
    options = parser.parse_args()
    report = run(options)
    if options.json:
        print(json.dumps(report))
    return 1 if options.check and not all(item["reached"] for item in report["ratios"]) else 0


def run(options: argparse.Namespace) -> dict[str, list[dict[str, object]]]:
    """Start everything, measure, print unless as JSON, stop everything."""
    how = {"seconds": options.seconds, "rounds": options.rounds, "connections": options.connections}

    def say(text: str) -> None:
        if not options.json:
            print(text, flush=True)

    with contextlib.ExitStack() as stack:
        server = stack.enter_context(EmbeddedPostgres()) if options.variant == "all" else None
        pin(OTHER_CORE)  # PostgreSQL, which was started first, may use every core
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crossfade-bench-")))
        port = free_port()
        stub = Process([sys.executable, "-m", "bench.stub", str(port)], core=OTHER_CORE)
        stack.callback(stub.stop)
        wait_for_port(port, stub)
        tested = [variant] if (variant := variants.nginx(port, folder / "nginx")) else []
        if not tested:
            say("nginx is not installed (Debian: nginx-light): its rows are left out")
        tested.append(variants.bare(port))
        for variant in tested:
            stack.callback(variant.process.stop)
        writing = list(tested)
        if server is not None:
            proxy = variants.crossfade(port, server.dsn, folder)
            stack.callback(proxy.process.stop)
            naive = variants.naive(port, server.dsn, asyncio.run(_table_for_naive(server.dsn)))
            stack.callback(naive.process.stop)
            tested.append(proxy)
            writing += [naive, proxy]
        reads = measure(tested, READ, **how)
        say(table("GET of a 1 KB document", reads, "nginx") + "\n")
        writes = measure(writing, WRITE, **how)
        say(table("POST of a 2 KB document, mirrored where the name is naive or crossfade", writes, "nginx") + "\n")
        report: dict[str, list[dict[str, object]]] = {
            "reads": [asdict(item) for item in reads.values()],
            "writes": [asdict(item) for item in writes.values()],
            "outage": [],
            "ratios": [],
        }
        if server is not None:
            memory = proxy.process.memory()
            if options.outage:
                down = outage(proxy, server, options.outage, options.connections)
                report["outage"] = [down]
                memory = proxy.process.memory()
                say("PostgreSQL down: " + ", ".join(f"{key} {_short(value)}" for key, value in down.items()) + "\n")
            report["ratios"] = ratios(reads, writes, memory)
            for item in report["ratios"]:
                verdict = "reached" if item["reached"] else "missed"
                say(f"{item['name']}: {item['value']} ({item['limit']}: {verdict})")
        return report


if __name__ == "__main__":
    sys.exit(main())
