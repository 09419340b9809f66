"""Large reads and writes of a proxy over PostgreSQL alone: `python -m bench.alone_results`.

For each operation: its status, its time, what the resident memory of the proxy and of its workers grows by, and the
longest time that another client waited for `GET /_api/version` meanwhile. A collection of 100,000 documents of 2 KB
(200 MB) is the subject. Exits 1 with `--strict` if an operation is refused or takes more than 64 MiB.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploy.demo.stack import Stack, StackOptions

MEMORY: Final = 64.0  # MiB
_BATCH: Final = 250  # documents of one import: small ones leave the memory of the proxy as it was
_SCAN: Final = "FOR d IN large"
_UNCOMPILED: Final = "LET r = RAND() * 0"


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


class Client:
    """One connection, whose answers are counted and not kept."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def send(self, method: str, target: str, body: Any = None, *, kept: int = 4 << 10) -> tuple[int, bytes, int]:
        """Return status, the end of the answer's body, and its size. kept: bytes of the end."""
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        writer.write(
            b"%s %s HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
            % (method.encode(), target.encode(), len(data))
            + data
        )
        head = await reader.readuntil(b"\r\n\r\n")
        size, end = 0, b""
        while piece := await reader.read(1 << 18):
            size += len(piece)
            end = (end + piece)[-kept:]
        writer.close()
        return int(head.split()[1]), end, size

    async def query(self, text: str, **body: Any) -> tuple[int, bytes, int]:
        """Run a query and drain its cursor."""
        status, end, size = await self.send("POST", "/_api/cursor", {"query": text, **body}, kept=1 << 12)
        whole = size
        while status < 300 and b'"hasMore":true' in end:
            tail = end[end.rindex(b'"hasMore"') :]
            identifier = tail.partition(b'"id":"')[2].partition(b'"')[0].decode()
            status, end, size = await self.send("POST", f"/_api/cursor/{identifier}", kept=1 << 12)
            whole += size
        return status, end, whole


Operation = Callable[[Client], Awaitable[tuple[int, bytes, int]]]


def operations(number: int) -> dict[str, Operation]:
    """Return the operations by name. number: of documents."""
    keys = [f"k{one}" for one in range(number)]

    def query(text: str, **body: Any) -> Operation:
        return lambda client: client.query(text, **body)

    def send(method: str, target: str, body: Any = None) -> Operation:
        return lambda client: client.send(method, target, body)

    example = {"collection": "large", "example": {"kind": 1}}
    return {
        "all documents, default batches": query(f"{_SCAN} RETURN d"),
        "all documents, one batch": query(f"{_SCAN} RETURN d", batchSize=10_000_000),
        "all documents, count and fullCount": query(
            f"{_SCAN} LIMIT {number} RETURN d", count=True, options={"fullCount": True}, batchSize=number
        ),
        "all documents, stream": query(f"{_SCAN} RETURN d", stream=True),
        "all documents, stream in one batch": query(f"{_SCAN} RETURN d", stream=True, batchSize=10_000_000),
        "/_api/simple/all": send("PUT", "/_api/simple/all", {"collection": "large", "batchSize": number}),
        "/_api/simple/by-example": send("PUT", "/_api/simple/by-example", {**example, "batchSize": number}),
        "PUT /_api/document?onlyget": send("PUT", "/_api/document/large?onlyget=true", keys),
        "/_api/simple/lookup-by-keys": send(
            "PUT", "/_api/simple/lookup-by-keys", {"collection": "large", "keys": keys}
        ),
        "/_api/collection/c/checksum, withData": send("GET", "/_api/collection/large/checksum?withData=true"),
        "evaluated: FILTER": query(f"{_SCAN} {_UNCOMPILED} FILTER d.n >= r RETURN d", batchSize=number),
        "evaluated: SORT": query(f"{_SCAN} {_UNCOMPILED} SORT d.other + r DESC RETURN d", batchSize=number),
        "evaluated: COLLECT": query(
            f"{_SCAN} {_UNCOMPILED} COLLECT k = d.n + r AGGREGATE m = MAX(d.other) RETURN [k, m]"
        ),
        "evaluated: UPDATE": query(f"{_SCAN} {_UNCOMPILED} UPDATE d WITH {{kind: 1 + r}} IN large"),
        "evaluated: UPDATE, RETURN NEW": query(
            f"{_SCAN} {_UNCOMPILED} UPDATE d WITH {{kind: 1 + r}} IN large RETURN NEW"
        ),
        "evaluated: INSERT": query(f"{_SCAN} {_UNCOMPILED} INSERT {{text: d.list, r}} INTO copies"),
        "evaluated: UPSERT": query(
            f"FOR i IN 1..{number} {_UNCOMPILED} UPSERT {{_key: CONCAT('u', i)}} INSERT {{_key: CONCAT('u', i), i}} "
            "UPDATE {n: r} IN copies"
        ),
        "evaluated: REMOVE": query(f"FOR d IN copies {_UNCOMPILED} FILTER d.i != r - 1 REMOVE d IN copies"),
        "compiled: UPDATE": query(f"{_SCAN} UPDATE d WITH {{kind: 2}} IN large"),
        "/_api/simple/update-by-example": send(
            "PUT", "/_api/simple/update-by-example", {**example, "example": {"kind": 2}, "newValue": {"kind": 3}}
        ),
        "/_api/simple/remove-by-example": send(
            "PUT", "/_api/simple/remove-by-example", {**example, "example": {"kind": 3}}
        ),
        "truncate": send("PUT", "/_api/collection/large/truncate"),
    }


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
    for name in ("large", "copies"):
        await client.send("POST", "/_api/collection", {"name": name})
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


async def measure(stack: Stack, options: argparse.Namespace) -> list[Measured]:
    """Run the operations one after the other."""
    client = Client(stack.port)
    await load(client, options.documents)
    proxy = stack.proxy
    assert proxy is not None
    watch = Watch(proxy.pid, client)
    found: list[Measured] = []
    for name, run in operations(options.documents).items():
        if options.only and options.only not in name:
            continue
        before, began = watch.begin(), time.perf_counter()
        waiting = asyncio.create_task(watch.waits())
        await asyncio.sleep(0)
        failed, size = "", 0
        try:
            status, end, size = await run(client)
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
    parser.add_argument("--only", help="operations whose name contains this")
    parser.add_argument("--strict", action="store_true", help="exit 1 if an operation is refused or takes too much")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-results-") as folder:
        Path(folder).chmod(0o755)
        with Stack(StackOptions.free(stage="complete", folder=Path(folder) / "stack")) as stack:
            found = asyncio.run(measure(stack, options))
    return 1 if options.strict and not all(one.reached for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
