"""The cost of decoding a request, and the development server's read rate: `python -m bench.wire`.

Decoding a document operation and deciding that a request passes through, in µs of CPU, beside what the HTTP scanner
(llhttp, in C) needs for the same head. Key reads of the development server a second of its own CPU, and of the clock,
beside a stub that answers canned bytes. CPU is steadier than the clock: compare only within one run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass

import httptools

from bench.load import request as as_bytes
from bench.process import OTHER_CORE, PROXY_CORE, Process, pin, wait_for_port
from bench.stub import document
from proxy.base.free_port import free_port
from proxy.http.limits import HttpLimits
from proxy.http.requests import Incoming, RequestParser
from proxy.model.message import Request
from proxy.model.stages import Snapshot
from proxy.routing.route import Action
from proxy.routing.routes import route
from proxy.wire.decode import decode

DECODE_LIMIT, PASS_LIMIT, READS_LIMIT = 15.0, 3.0, 6000.0
_CALLS, _ROUNDS = 5000, 9
PATH = "/_db/_system/_api/document/bench"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report. beside: the reference measured in the same run, in the same unit."""

    name: str
    value: float
    limit: float
    unit: str
    beside: float
    beside_name: str
    at_most: bool = True

    @property
    def reached(self) -> bool:
        return self.value <= self.limit if self.at_most else self.value >= self.limit


def cost(call: Callable[[], object], calls: int = _CALLS) -> float:
    """Return µs of CPU of one call: the best of several rounds, since others use the machine as well."""
    best = float("inf")
    for _ in range(_ROUNDS):
        before = time.process_time()
        for _ in range(calls):
            call()
        best = min(best, time.process_time() - before)
    return 1e6 * best / calls


def parsed(raw: bytes) -> Request:
    """Return the request as the listener passes it on."""
    found: list[Incoming] = []
    RequestParser(HttpLimits(), found.append, resume=lambda: None, abandon=lambda: None).feed(raw)
    return found[0].request


def understanding(calls: int) -> list[Figure]:
    """Measure decoding by kind of operation, and the passthrough decision."""
    small = document(1024)
    kinds = {
        "a read by key": [as_bytes("GET", f"{PATH}/k{number}", 8530, b"") for number in range(512)],
        "an insert": [as_bytes("POST", f"{PATH}?returnNew=true&waitForSync=0", 8530, small)],
        "an update": [as_bytes("PATCH", f"{PATH}/k{number}?keepNull=false", 8530, small) for number in range(512)],
        "a query": [as_bytes("POST", "/_db/_system/_api/cursor", 8530, b'{"query":"RETURN 1"}')],
    }
    scanner = httptools.HttpRequestParser(None)
    figures = []
    for name, raws in kinds.items():
        heads = itertools.cycle(raws)
        scanned = cost(lambda heads=heads: scanner.feed_data(next(heads)), calls)  # type: ignore[misc]
        requests = itertools.cycle([parsed(raw) for raw in raws])
        found = cost(lambda requests=requests: decode(next(requests)), calls)  # type: ignore[misc]
        figures.append(Figure(f"decoding {name}", found, DECODE_LIMIT, "µs", scanned, "scanning it"))
    raw = as_bytes("GET", "/_db/_system/_api/collection/bench/count", 8530, b"")
    request, snapshot = parsed(raw), Snapshot()

    def decide() -> None:
        assert route(decode(request), snapshot).action is Action.FORWARD

    scanned = cost(lambda: scanner.feed_data(raw), calls)
    decided = cost(decide, calls)
    figures.append(Figure("a passthrough decision", decided, PASS_LIMIT, "µs", scanned, "scanning it"))
    return figures


def reads(seconds: float, connections: int) -> list[Figure]:
    """Measure key reads of the development server on one dedicated core."""
    server = _rate(["-m", "proxy.devserver.serve", "--port"], seconds, connections, fill=True)
    stub = _rate(["-m", "bench.stub"], seconds, connections, fill=False)
    return [
        Figure(
            "key reads a second of the server's CPU", server[0], READS_LIMIT, "/s", stub[0], "a stub", at_most=False
        ),
        Figure("key reads a second, by the clock", server[1], READS_LIMIT, "/s", stub[1], "a stub", at_most=False),
    ]


def _rate(arguments: list[str], seconds: float, connections: int, *, fill: bool) -> tuple[float, float]:
    """Return requests per second of the process's CPU, and of the clock."""
    port = free_port()
    process = Process([sys.executable, *arguments, str(port)], core=PROXY_CORE)
    try:
        wait_for_port(port, process)
        if fill:
            _post(port, "/_api/collection", b'{"name":"bench"}')
            _post(port, "/_api/document/bench", b'{"_key":"canned",' + document(1024)[1:])
        command = [sys.executable, "-m", "bench.load", str(port), "--seconds", str(seconds)]
        command += ["--connections", str(connections), "--path", f"{PATH}/canned"]
        before = process.cpu()
        done = subprocess.run(command, capture_output=True, check=True, timeout=seconds * 5 + 60)
        report = json.loads(done.stdout)
        if report["refused"] or report["broken"]:
            raise RuntimeError(f"requests failed: {report}")
        return report["total"] / (process.cpu() - before), report["requests"] / report["seconds"]
    finally:
        process.stop()


def _post(port: int, path: str, body: bytes) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", body, timeout=10) as answer:
        answer.read()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--calls", type=int, default=_CALLS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    pin(OTHER_CORE)
    figures = [*understanding(options.calls), *reads(options.seconds, options.connections)]
    if options.json:
        print(json.dumps([{**asdict(figure), "reached": figure.reached} for figure in figures]))
        return 0
    for figure in figures:
        sign = "≤" if figure.at_most else "≥"
        word = "reached" if figure.reached else "missed"
        print(
            f"{figure.name:42}{figure.value:10.2f} {figure.unit}  target {sign} {figure.limit:g}  {word:8}"
            f"{figure.value / figure.beside:6.2f} × {figure.beside_name} ({figure.beside:.2f})"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
