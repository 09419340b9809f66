"""How long writes wait for a promotion and for a demotion: `python -m bench.promote`.

Two proxies, a development ArangoDB, PostgreSQL; 500 writes a second, each sent at its time however long others wait.
The commands run beside them, as an operator's do. Printed: how long the writes that were under way during a command
waited, and as many before it. Other processes of the machine are in these figures.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import asyncpg

from bench.mirror import percentile
from bench.steady_writes import Sample
from deploy.demo.child import Child
from deploy.demo.stack import Stack, StackOptions, answers, crossfade
from proxy.base.free_port import free_port

WAIT_P99, WAIT_LONGEST, FAILED = 100.0, 250.0, 0.0
COLLECTION: Final = "bench"
_PATH: Final = f"/_db/_system/_api/document/{COLLECTION}"
_EPOCHS: Final = (
    "SELECT extract(epoch FROM closed_at - opened_at)::float8 AS seconds FROM _crossfade.epoch "
    "WHERE outcome = 'committed' ORDER BY epoch DESC LIMIT 2"
)
_CALM: Final = 3.0  # seconds of writes before, between and after
_FLIPS: Final = 30.0  # seconds for a new collection to be flipped
_COMMANDS: Final = {"promote": ("--force", "--reason", "bench"), "demote": ("--reason", "bench")}


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, in milliseconds or as a number, and what it may be at most."""

    name: str
    value: float
    limit: float

    @property
    def reached(self) -> bool:
        return self.value <= self.limit

    def line(self) -> str:
        return f"{self.name:64}{self.value:10.1f}  (≤ {self.limit:g}: {'reached' if self.reached else 'missed'})"


@dataclass(frozen=True, slots=True)
class Window:
    """A command, and when it ran."""

    command: str
    began: float
    ended: float

    def figures(self, samples: Sequence[Sample]) -> list[Figure]:
        """Return what the writes under way during the command waited."""
        during = [one for one in samples if one[0] <= self.ended and one[0] + one[1] >= self.began]
        waits = [1000 * seconds for _, seconds, _ in during]
        failed = sum(not 200 <= status < 300 for _, _, status in during)
        return [
            Figure(f"{self.command}: writes wait, p99, ms", percentile(waits, 0.99), WAIT_P99),
            Figure(f"{self.command}: writes wait, longest, ms", max(waits, default=0.0), WAIT_LONGEST),
            Figure(f"{self.command}: failed, of {len(during)} writes", failed, FAILED),
        ]

    def before(self, samples: Sequence[Sample]) -> str:
        """Return a sentence about the writes before it."""
        waits = [1000 * seconds for began, seconds, _ in samples if self.began - _CALM <= began + seconds < self.began]
        return (
            f"{self.command} took {self.ended - self.began:.2f} s; in {_CALM:g} s before it p99 "
            f"{percentile(waits, 0.99):.1f} ms, longest {max(waits, default=0.0):.1f} ms of {len(waits)} writes"
        )


@contextlib.contextmanager
def second_proxy(stack: Stack) -> Iterator[int]:
    """Start another proxy over the same databases; yield its port."""
    port, admin = free_port(), free_port()
    own = {
        "CROSSFADE_LISTEN_PORT": str(port),
        "CROSSFADE_ADMIN_PORT": str(admin),
        "CROSSFADE_STATE_DIR": str(stack.folder / "second"),
    }
    environment = {**os.environ, **stack.environment(), **own}
    child = Child(name="second", command=crossfade("proxy", "run"), log=stack.folder / "second.log", env=environment)
    child.start()
    try:
        child.wait_for(lambda: answers(f"http://127.0.0.1:{admin}", "/readyz", 200))
        yield port
    finally:
        child.stop()


def _create(stack: Stack) -> None:
    """Create the collection, wait until it is flipped, and do what a promotion needs before."""
    body = json.dumps({"name": COLLECTION}).encode()
    made = urllib.request.Request(f"{stack.url}/_api/collection", body, method="POST")
    urllib.request.urlopen(made, timeout=30).close()
    limit = time.monotonic() + _FLIPS
    while "flipped" not in stack.run("status"):
        if time.monotonic() > limit:
            raise RuntimeError("the collection was not flipped")
    stack.run("backfill", f"_system/{COLLECTION}")
    stack.run("accounts", "copy")


def measured(stack: Stack, ports: Sequence[int], rate: float) -> tuple[list[Window], list[Sample]]:
    """Promote and demote beside writes."""
    command = [sys.executable, "-m", "bench.steady_writes", *map(str, ports), "--path", _PATH, "--rate", str(rate)]
    writes = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    windows = []
    try:
        for name, options in _COMMANDS.items():
            time.sleep(_CALM)
            began = time.monotonic()
            stack.run(name, f"_system/{COLLECTION}", *options)
            windows.append(Window(name, began, time.monotonic()))
        time.sleep(_CALM)
        out, _ = writes.communicate(b"", timeout=120)
    finally:
        writes.kill()
        writes.wait()
    return windows, [(began, seconds, status) for began, seconds, status in json.loads(out)]


def run(rate: float) -> tuple[list[Figure], list[str]]:
    """Start everything, measure, stop everything; return figures, and sentences about the time before."""
    settings = {"CROSSFADE_SAMPLE_PERCENT": "0", "CROSSFADE_LOG_LEVEL": "warning", "CROSSFADE_AUTHENTICATION": "false"}
    with Stack(StackOptions.free(stage="flipped", settings=settings)) as stack, second_proxy(stack) as other:
        _create(stack)
        windows, samples = measured(stack, (stack.port, other), rate)
        held = asyncio.run(_held(stack.dsn))
    figures = [figure for window in windows for figure in window.figures(samples)]
    whole = sum(not 200 <= status < 300 for _, _, status in samples)
    figures.append(Figure(f"failed, of all {len(samples)} writes", whole, FAILED))
    return figures, [*(window.before(samples) for window in windows), held]


async def _held(dsn: str) -> str:
    """Return a sentence about the epochs, in which writes are held."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(_EPOCHS)
    finally:
        await connection.close()
    return "epochs were open for " + " and ".join(f"{1000 * row['seconds']:.0f} ms" for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.promote", description=__doc__)
    parser.add_argument("--rate", type=float, default=500.0, help="writes a second through both proxies")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a target is missed")
    options = parser.parse_args()
    figures, notes = run(options.rate)
    if options.json:
        print(json.dumps([{**asdict(one), "reached": one.reached} for one in figures]))
    else:
        print("\n".join([*notes, *(one.line() for one in figures)]))
    return 1 if options.strict and not all(one.reached for one in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
