"""Large reads and writes of a proxy over PostgreSQL alone: `python -m bench.alone_results`.

For each operation: its status, its time, what the resident memory of the proxy and of its workers grows by, and the
longest time that another client waited for `GET /_api/version` meanwhile. A collection of 100,000 documents of 2 KB
(200 MB), one of as many edges of one vertex, and bodies of 100 MB are the subject. With `--together 8` each operation
is carried out by that number of clients concurrently. Exits 1 with `--strict` if an operation is refused or takes more
than 64 MiB.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.alone_operations import Client, operations
from deploy.demo.stack import Stack, StackOptions

MEMORY: Final = 64.0  # MiB
_BATCH: Final = 250  # documents of one import: small ones leave the memory of the proxy as it was


@dataclass(frozen=True, slots=True)
class Measured:
    """One operation. failed: why, empty if it was answered."""

    name: str
    seconds: float
    grown: float
    waited: float
    size: int
    failed: str

    @property
    def reached(self) -> bool:
        return not self.failed and self.grown <= MEMORY

    def line(self) -> str:
        return (
            f"{self.name:58}{self.seconds:8.1f} s{self.size / 1e6:9.1f} MB{self.grown:9.1f} MiB"
            f"{self.waited * 1000:8.0f} ms  {self.failed or ('reached' if self.reached else 'missed')}"
        )


class Watch:
    """The memory of the proxy and its workers, and how long another client waits. pid: of the proxy."""

    def __init__(self, pid: int, client: Client) -> None:
        self._pid = pid
        self._client = client

    def begin(self) -> float:
        """Forget the peaks so far; return the memory now."""
        for pid in self._pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5", "utf-8")
        return sum(_status(pid, "VmRSS") for pid in self._pids())

    def peak(self) -> float:
        """Return the largest memory since `begin`."""
        return sum(_status(pid, "VmHWM") for pid in self._pids())

    async def waits(self) -> float:
        """Return the longest wait, when it is cancelled."""
        longest = 0.0
        try:
            while True:
                began = time.perf_counter()
                try:
                    await self._client.send("GET", "/_api/version")
                finally:
                    longest = max(longest, time.perf_counter() - began)
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            return longest

    def _pids(self) -> list[int]:
        """The proxy, and all processes below it."""
        found, parents = [self._pid], [self._pid]
        while parents:
            parent = parents.pop()
            for task in Path(f"/proc/{parent}/task").iterdir():
                below = [int(pid) for pid in (task / "children").read_text("utf-8").split()]
                found += below
                parents += below
        return found


def _status(pid: int, name: str) -> float:
    """Return a figure of a process in MiB; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0) / 1024


async def load(client: Client, number: int) -> None:
    """Make the collections."""
    for name in ("large", "copies", "bodies"):
        await client.send("POST", "/_api/collection", {"name": name})
    await client.send("POST", "/_api/collection", {"name": "edges", "type": 3})
    for first in range(0, number, _BATCH):
        lines = b"\n".join(
            json.dumps(
                {"_key": f"k{one}", "n": one, "other": one * 7919 % number, "kind": 1, "list": ["y" * 40] * 43}
            ).encode()
            for one in range(first, min(number, first + _BATCH))
        )
        status, end, _ = await client.send("POST", "/_api/import?collection=large&type=documents", lines)
        if status != 201:
            raise RuntimeError(f"import: {status} {end[:200]!r}")
    edge = "{_from: 'large/k0', _to: CONCAT('large/k', i), text: 'a few bytes more'}"
    status, end, _ = await client.query(f"FOR i IN 1..{number} INSERT {edge} INTO edges")
    if status != 201:
        raise RuntimeError(f"edges: {status} {end[:200]!r}")


async def measure(stack: Stack, options: argparse.Namespace) -> list[Measured]:
    """Run the operations one after the other."""
    client = Client(stack.port)
    await load(client, options.documents)
    proxy = stack.proxy
    assert proxy is not None
    watch = Watch(proxy.pid, client)
    found: list[Measured] = []
    for name, run in operations(options.documents).items():
        if options.only and not any(one in name for one in options.only):
            continue
        before, began = watch.begin(), time.perf_counter()
        waiting = asyncio.create_task(watch.waits())
        await asyncio.sleep(0)
        failed, size = "", 0
        try:
            answers = await asyncio.gather(*(run(client) for _ in range(options.together)))
            status, end, _ = max(answers, key=lambda answer: answer[0])
            size = sum(answer[2] for answer in answers)
            if status >= 300:
                failed = f"{status} {end[-160:].decode('utf-8', 'replace')}"
        except (OSError, asyncio.IncompleteReadError) as error:
            failed = repr(error)
        seconds = time.perf_counter() - began
        waiting.cancel()
        found.append(Measured(name, seconds, watch.peak() - before, await waiting, size, failed))
        print(found[-1].line(), flush=True)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m bench.alone_results", description=__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--only", action="append", help="operations whose name contains this")
    parser.add_argument("--together", type=int, default=1, help="clients that send each operation concurrently")
    parser.add_argument("--strict", action="store_true", help="exit 1 if an operation is refused or takes too much")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-results-") as folder:
        Path(folder).chmod(0o755)
        with Stack(StackOptions.free(stage="complete", folder=Path(folder) / "stack")) as stack:
            found = asyncio.run(measure(stack, options))
    return 1 if options.strict and not all(one.reached for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
