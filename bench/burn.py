"""The effect of one client's expensive requests on others: `python -m bench.burn`, or `make bench-burn`.

A proxy in stage `shadow`, then `flipped`; one client sends each expensive request in turn, while another reads one
document steadily, through the proxy and directly from the origin. Printed are the worst pauses of these reads under
each request, beside those without one, in the same run; and the longest delay of a heartbeat. The origin in front of
the development server has no pauses of its own (`bench.calm`).

The goal is that no expensive request adds more than 50 ms. Pauses of the machine show in the reads from the origin.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from bench.burning_requests import _DOCUMENTS, REQUESTS, Burning
from bench.process import Process, wait_for_port
from bench.variants import Variant
from deploy.demo.postgres import EmbeddedPostgres
from proxy.base.config import load
from proxy.base.free_port import free_port
from proxy.control import controller
from proxy.control.transitions_plan import DesiredState
from proxy.model.stages import Stage
from tests.ad_hoc import Database

NAME: Final = "_system/burn"
GOAL: Final = 50.0  # ms that an expensive request may add to the worst pause
HEARTBEAT: Final = 0.25  # seconds between two, as it is set by default
READ_INTERVAL: Final = 0.005  # seconds between two reads
CALM: Final = "/_db/_system/_api/document/burn/calm"
_ANSWER_TIMEOUT: Final = 8.0  # seconds that the client of expensive requests waits for an answer


def send(port: int, request: Burning) -> str:
    """Send it; return the status of its answer, or why there was none."""
    body = request.body()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_TIMEOUT)
    try:
        connection.request(request.method, request.path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return str(answer.status)
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()


def ask(port: int, method: str, path: str, body: object = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, None if body is None else json.dumps(body).encode())
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


# ---- the steady reader: a separate process, so that work of this one does not count as a pause


def read(port: int) -> None:
    """Read one document steadily.

    For each line of standard input print the worst pause in ms and the number of reads since the last line.
    """
    latencies: list[float] = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    asked = threading.Event()

    def lines() -> None:
        for _ in sys.stdin:
            asked.set()
        sys.exit()

    threading.Thread(target=lines, daemon=True).start()
    while True:
        started = time.perf_counter()
        connection.request("GET", CALM)
        answer = connection.getresponse()
        answer.read()
        latencies.append(1000 * (time.perf_counter() - started))
        assert answer.status == 200, answer.status
        if asked.is_set():
            asked.clear()
            ordered = sorted(latencies)
            print(json.dumps([ordered[-1], ordered[len(ordered) // 2], len(ordered)]), flush=True)
            latencies.clear()
        time.sleep(READ_INTERVAL)


class Reader:
    """The handle of that process."""

    def __init__(self, port: int) -> None:
        command = [sys.executable, "-m", "bench.burn", "--read", str(port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def worst(self) -> float:
        """Return the worst pause since the last call, in ms."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        found: float = json.loads(self._process.stdout.readline())[0]
        return found

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class Heartbeats:
    """The longest delay of a heartbeat, as PostgreSQL sees it."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._worst = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._watch()), daemon=True)
        self._thread.start()

    async def _watch(self) -> None:
        connection = await asyncpg.connect(self._dsn)
        text = "SELECT max(extract(epoch FROM clock_timestamp() - heartbeat_at))::float8 FROM _crossfade.instance"
        while not self._stop.is_set():
            age = await connection.fetchval(text) or 0.0
            self._worst = max(self._worst, age - HEARTBEAT)
            await asyncio.sleep(0.02)
        await connection.close()

    def worst(self) -> float:
        """Return the longest delay since the last call, in ms."""
        found, self._worst = 1000 * self._worst, 0.0
        return max(found, 0.0)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


@dataclass(frozen=True, slots=True)
class Row:
    """Worst pauses, in ms, under one request."""

    name: str
    status: str
    seconds: float
    proxy: float
    origin: float
    heartbeat: float


@contextlib.contextmanager
def start_proxy(folder: Path) -> Iterator[tuple[Variant, int, str]]:
    """Start the proxy; return it, the port of the calm origin, and the DSN."""
    with contextlib.ExitStack() as exits:
        server = exits.enter_context(EmbeddedPostgres())
        back, front, port, admin = free_port(), free_port(), free_port(), free_port()
        commands = (
            (back, [sys.executable, "-m", "proxy.devserver.serve", "--port", str(back)]),
            (front, [sys.executable, "-m", "bench.calm", str(front), f"http://127.0.0.1:{back}"]),
        )
        for listening, command in commands:
            process = Process(command, core=0)
            exits.callback(process.stop)
            process.everywhere()
            wait_for_port(listening, process)
        env = {
            "CROSSFADE_ORIGIN": f"http://127.0.0.1:{front}",
            "CROSSFADE_DSN": server.dsn,
            "CROSSFADE_LISTEN_PORT": str(port),
            "CROSSFADE_ADMIN_PORT": str(admin),
            "CROSSFADE_STATE_DIR": str(folder / "state"),
            "CROSSFADE_LOG_LEVEL": "warning",
        }
        program = [sys.executable, "-m", "proxy.cli"]
        migrate = Process([*program, "migrate"], core=0, env=env, log=folder / "migrate.log")
        while migrate.alive:
            time.sleep(0.05)
        migrate.stop()
        proxy = Process([*program, "proxy", "run"], core=0, env=env, log=folder / "proxy.log")
        exits.callback(proxy.stop)
        proxy.everywhere()
        wait_for_port(port, proxy)
        yield Variant("crossfade", proxy, port, admin), front, server.dsn


async def move(dsn: str, origin: int, stage: Stage, *names: str) -> None:
    """Change the stage, forcing every gate."""
    database = await Database.open(dsn, size=2)
    try:
        targets = [DesiredState(name, stage, 100) for name in names]
        settings = load(dsn=dsn, origin=f"http://127.0.0.1:{origin}")
        await controller.change(
            database, targets, settings=settings, actor="bench", reason="bench", force=True, timeout=30
        )
    finally:
        await database.close()


def fill(port: int) -> None:
    """Write five documents, one that is read, and 200 of 100 KiB."""
    for number in range(5):
        ask(port, "POST", _DOCUMENTS, {"_key": f"k{number}", "v": f"pub-{number}", "n": 4711 + number})
    ask(port, "POST", _DOCUMENTS, {"_key": "calm", "n": 0})
    for number in range(200):
        ask(port, "POST", "/_db/_system/_api/document/large", {"_key": f"k{number}", "text": ["word"] * 15_000})


def measure(stage: Stage, port: int, front: int, dsn: str, only: str) -> list[Row]:
    """Return one row for each request; the first is without one."""
    proxied, direct, beats = Reader(port), Reader(front), Heartbeats(dsn)
    rows = []
    try:
        time.sleep(1.0)
        for request in (None, *(one for one in REQUESTS if only in one.name)):
            for one in (proxied, direct, beats):
                one.worst()
            started = time.perf_counter()
            if request is None:
                time.sleep(3.0)
                status = ""
            else:
                status = send(port, request)
            seconds = time.perf_counter() - started
            time.sleep(1.0)  # work that continues after the answer
            name = "nothing" if request is None else request.name
            row = Row(name, status, seconds, proxied.worst(), direct.worst(), beats.worst())
            rows.append(row)
            print(
                f"{stage.value:8}{row.name:36}{row.status:>20}{row.seconds:7.1f} s   reads {row.proxy:8.1f} ms   "
                f"at the origin {row.origin:8.1f} ms   heartbeat {row.heartbeat:7.1f} ms late",
                flush=True,
            )
    finally:
        for one in (proxied, direct, beats):
            one.close()
    return rows


def run(options: argparse.Namespace) -> bool:
    """Start everything, measure, print, stop everything; return True if the goal is reached."""
    good = True
    with tempfile.TemporaryDirectory(prefix="crossfade-burn-") as name, start_proxy(Path(name)) as (proxy, front, dsn):
        port = proxy.port
        for collection in ("burn", "large"):
            ask(port, "POST", "/_db/_system/_api/collection", {"name": collection})
        names = (NAME, "_system/large")
        asyncio.run(move(dsn, front, Stage.MIRROR, *names))
        fill(port)
        for stage in (Stage.SHADOW, Stage.FLIPPED):
            if options.stage not in ("both", stage.value):
                continue
            proxy.drain()
            asyncio.run(move(dsn, front, Stage.SHADOW, *names))
            if stage is Stage.FLIPPED:
                asyncio.run(move(dsn, front, stage, *names))
            calm, *rows = measure(stage, port, front, dsn, options.only)
            for row in rows:
                added = row.proxy - max(calm.proxy, row.origin)
                if added > GOAL:
                    print(f"{stage.value}: {row.name} adds {added:.0f} ms; the goal is {GOAL:.0f}")
                    good = False
    return good


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.burn")
    parser.add_argument("--stage", choices=("both", "shadow", "flipped"), default="both")
    parser.add_argument("--only", default="", help="requests whose name contains this")
    parser.add_argument("--check", action="store_true", help="exit code 1 where the goal is missed")
    parser.add_argument("--read", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        read(options.read)
    reached = run(options)
    return 1 if options.check and not reached else 0


if __name__ == "__main__":
    sys.exit(main())
