"""A proxy over PostgreSQL alone beside the same statements by hand: `python -m bench.postgres_alone`.

documents     POST, PATCH and DELETE of 2 KB through the proxy; one asyncpg statement each, by as many clients
bulk          arrays of 1,000 and an import; COPY into a table of the same shape
queries       an AQL modification that compiles and one that does not; an UPDATE by hand
reads         the count of a collection; a document by its key
unique        POST into a collection with a unique index; into one without
memory        what the proxy's memory grows by during large imports and arrays

Both sides alternate, and run wherever the system puts them. Prints ratios with their targets; compare only within one
run. Exits 1 if a target is missed, with `--strict`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from bench.http_client import HttpClient
from deploy.demo.stack import Stack, StackOptions

Side = Callable[[int], Awaitable[None]]  # one operation, by its number

_TABLE: Final = (
    'CREATE TABLE {name} (key text COLLATE "C" PRIMARY KEY, rev bigint NOT NULL, raw json, doc jsonb, '
    "mark bigint NOT NULL DEFAULT 0)"
)
_MEMORY: Final = 64.0  # MiB


@dataclass(frozen=True, slots=True)
class Figure:
    """One comparison. ratio: ours / by hand. limit: at least that, or at most if `at_most`."""

    name: str
    ours: float
    by_hand: float
    unit: str
    limit: float
    at_most: bool = False

    @property
    def ratio(self) -> float:
        return self.ours / self.by_hand if self.by_hand else 0.0

    @property
    def reached(self) -> bool:
        return self.ratio <= self.limit if self.at_most else self.ratio >= self.limit

    def line(self) -> str:
        sign = "≤" if self.at_most else "≥"
        return (
            f"{self.name:44}{self.ours:12,.1f}{self.by_hand:12,.1f} {self.unit:8}{self.ratio:7.2f}"
            f"  ({sign} {self.limit:g}: {'reached' if self.reached else 'missed'})"
        )


def document(number: int, size: int) -> dict[str, Any]:
    """Return a document of about `size` bytes."""
    return {"n": number, "group": number % 10, "text": "x" * 60, "list": ["y" * 40] * max(1, (size - 120) // 43)}


class Bench:
    """One run. options: numbers of documents and clients."""

    def __init__(self, stack: Stack, pool: asyncpg.Pool, http: HttpClient, options: argparse.Namespace) -> None:
        self.stack = stack
        self.pool = pool
        self.http = http
        self.options = options
        self.figures: list[Figure] = []

    async def rates(self, number: int, *sides: Side) -> list[float]:
        """Return operations per second of each side, the median of some rounds, in which the sides alternate."""
        found: list[list[float]] = [[] for _ in sides]
        for turn in range(self.options.rounds):
            for place, side in enumerate(sides):
                found[place].append(await self._rate(turn * number, number, side))
        return [statistics.median(one) for one in found]

    async def _rate(self, first: int, number: int, side: Side) -> float:
        numbers = iter(range(first, first + number))

        async def client() -> None:
            for one in numbers:
                await side(one)

        started = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(self.options.clients)))
        return number / (time.perf_counter() - started)

    async def note(self, name: str, rates: Sequence[float], limit: float, *, at_most: bool = False) -> None:
        """Add a figure and print it."""
        figure = Figure(name, rates[0], rates[1], "1/s", limit, at_most)
        self.figures.append(figure)
        if not self.options.json:
            print(figure.line(), flush=True)

    # ---- parts

    async def documents(self) -> None:
        await self.http.send("POST", "/_api/collection", {"name": "docs"})
        await self.pool.execute(_TABLE.format(name="by_hand"))
        text = json.dumps(document(1, 2048))

        async def post(number: int) -> None:
            await self.http.send("POST", "/_api/document/docs", {"_key": f"k{number}", **document(number, 2048)})

        async def insert(number: int) -> None:
            await self.pool.execute(
                "INSERT INTO by_hand (key, rev, raw, doc) VALUES ($1, $2, $3::text::json, $3::text::jsonb)",
                f"k{number}",
                number,
                text,
            )

        async def patch(number: int) -> None:
            await self.http.send("PATCH", f"/_api/document/docs/k{number}", document(number + 1, 2048))

        async def update(number: int) -> None:
            await self.pool.execute(
                "UPDATE by_hand SET rev = $2, raw = $3::text::json, doc = $3::text::jsonb WHERE key = $1",
                f"k{number}",
                number,
                text,
            )

        async def remove(number: int) -> None:
            await self.http.send("DELETE", f"/_api/document/docs/k{number}")

        async def delete(number: int) -> None:
            await self.pool.execute("DELETE FROM by_hand WHERE key = $1", f"k{number}")

        number = self.options.documents
        await self.note("POST of 2 KB", await self.rates(number, post, insert), 0.5)
        await self.note("PATCH of 2 KB", await self.rates(number, patch, update), 0.5)
        await self.note("DELETE of 2 KB", await self.rates(number, remove, delete), 0.5)

    async def bulk(self) -> None:
        await self.http.send("POST", "/_api/collection", {"name": "bulk"})
        await self.pool.execute(_TABLE.format(name="copied"))

        async def array(number: int) -> None:
            await self.http.send("POST", "/_api/document/bulk", _batch("a", number, 1000))

        async def lines(number: int) -> None:
            body = "\n".join(map(json.dumps, _batch("i", number, 10_000)))
            await self.http.send("POST", "/_api/import?collection=bulk&type=documents", body)

        def copied(size: int) -> Side:
            async def copy(number: int) -> None:
                rows = [
                    (f"c{size}_{one['_key']}", 1, text := json.dumps(one), text, 0) for one in _batch("c", number, size)
                ]
                async with self.pool.acquire() as connection:
                    await connection.copy_records_to_table(
                        "copied", records=rows, columns=["key", "rev", "raw", "doc", "mark"]
                    )

            return copy

        number = max(2, self.options.documents // 500)
        await self.note("arrays of 1,000 (COPY)", await self.rates(number, array, copied(1000)), 0.5)
        await self.note("import of 10,000 (COPY)", await self.rates(max(1, number // 8), lines, copied(10_000)), 0.5)

    async def queries(self) -> None:
        size = self.options.modified
        await self.http.send("POST", "/_api/collection", {"name": "many"})
        for first in range(0, size, 1000):
            await self.http.send("POST", "/_api/document/many", _batch("m", first // 1000, min(1000, size - first)))
        await self.pool.execute(_TABLE.format(name="changed"))
        await self.pool.execute(
            "INSERT INTO changed (key, rev, raw, doc) SELECT key, rev, raw, doc FROM "
            + await self.pool.fetchval("SELECT relation FROM _crossfade.collection WHERE collection = '_system/many'")
        )
        compiled = "FOR d IN many UPDATE d WITH {group: d.group + 1} IN many"
        evaluated = "FOR d IN many LET r = RAND() * 0 UPDATE d WITH {group: d.group + r} IN many"

        def query(text: str) -> Side:
            async def run(_number: int) -> None:
                await self.http.send("POST", "/_api/cursor", {"query": text})

            return run

        async def update(_number: int) -> None:
            await self.pool.execute(
                "UPDATE changed SET rev = rev + 1, doc = n.doc, raw = n.doc::text::json FROM (SELECT key, "
                "jsonb_set(doc, '{group}', to_jsonb((doc ->> 'group')::int + 1)) AS doc FROM changed) n "
                "WHERE n.key = changed.key"
            )

        clients, self.options.clients = self.options.clients, 1
        await self.note(f"compiled change of {size:,} (UPDATE)", await self.rates(1, query(compiled), update), 0.7)
        await self.note(f"evaluated change of {size:,} (UPDATE)", await self.rates(1, query(evaluated), update), 0.2)
        self.options.clients = clients

    async def reads(self) -> None:
        async def count(_number: int) -> None:
            await self.http.send("GET", "/_api/collection/bulk/count")

        async def read(_number: int) -> None:
            await self.http.send("GET", "/_api/document/bulk/a0_0")

        counts, reads = await self.rates(self.options.documents, count, read)
        # times, so that a slower count is a larger ratio
        await self.note("time of a count (key read)", (1000 / counts, 1000 / reads), 1.2, at_most=True)

    async def unique(self) -> None:
        for name in ("plain", "unique"):
            await self.http.send("POST", "/_api/collection", {"name": name})
        index = {"type": "persistent", "fields": ["n"], "unique": True}
        await self.http.send("POST", "/_api/index?collection=unique", index)

        def post(name: str) -> Side:
            async def insert(number: int) -> None:
                await self.http.send("POST", f"/_api/document/{name}", document(number, 500))

            return insert

        unique, plain = await self.rates(self.options.documents, post("unique"), post("plain"))
        await self.note("time of a unique insert (without)", (1000 / unique, 1000 / plain), 1.3, at_most=True)

    async def memory(self) -> None:
        await self.http.send("POST", "/_api/collection", {"name": "large"})
        lines = "\n".join(map(json.dumps, _batch("l", 0, 50_000)))
        await self._grown("an import of 50,000", "POST", "/_api/import?collection=large&type=documents", lines)
        array = b"[%b]" % b",".join(self._keyed(self.options.array))
        path = "/_api/document/large"
        for method, parameters in (
            ("POST", "?returnNew=true"),
            ("PATCH", "?returnOld=true"),
            ("PUT", ""),
            ("DELETE", ""),
        ):
            name = f"{method} of an array of {self.options.array} MB"
            await self._grown(name, method, path + parameters, array)
        if self.options.imported:
            text = b"\n".join(self._keyed(self.options.imported))
            name = f"an import of {self.options.imported} MB"
            await self._grown(name, "POST", "/_api/import?collection=large&type=documents", text)

    def _keyed(self, megabytes: int) -> Iterator[bytes]:
        """Yield the texts of documents of 500 bytes."""
        text = json.dumps(document(1, 500)).encode()[1:]
        for number in range(megabytes * 1_000_000 // (len(text) + 20)):
            yield b'{"_key":"m%d",%b' % (number, text)

    async def _grown(self, name: str, method: str, path: str, body: str | bytes) -> None:
        """Send a request, and note what the proxy's memory grew by."""
        if body in ("", b"[]"):
            return
        proxy = self.stack.proxy
        assert proxy is not None
        Path(f"/proc/{proxy.pid}/clear_refs").write_text("5", "utf-8")  # the peak is the present memory
        before = _status(proxy.pid, "VmRSS")
        started = time.perf_counter()
        await self.http.send(method, path, body)
        grown = _status(proxy.pid, "VmHWM") - before
        figure = Figure(f"memory of {name}", grown, 1.0, "MiB", _MEMORY, at_most=True)
        self.figures.append(figure)
        if not self.options.json:
            print(f"{figure.line()} in {time.perf_counter() - started:.1f} s", flush=True)


def _batch(prefix: str, number: int, size: int) -> list[dict[str, Any]]:
    return [{"_key": f"{prefix}{number}_{one}", **document(one, 500)} for one in range(size)]


def _status(pid: int, name: str) -> float:
    """Return a size of a process, in MiB: VmRSS, its memory, or VmHWM, the most of it."""
    lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


async def measured(stack: Stack, options: argparse.Namespace) -> list[Figure]:
    """Measure the parts that the options name."""
    async with (
        asyncpg.create_pool(stack.dsn, min_size=options.clients, max_size=options.clients) as pool,
        HttpClient("127.0.0.1", stack.port, options.clients) as http,
    ):
        bench = Bench(stack, pool, http, options)
        for part in options.part or PARTS:
            await getattr(bench, part)()
        return bench.figures


PARTS: Final = ("documents", "bulk", "queries", "reads", "unique", "memory")


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m bench.postgres_alone", description=__doc__)
    parser.add_argument("--documents", type=int, default=4000, help="operations of each side and round")
    parser.add_argument("--modified", type=int, default=10_000, help="documents that a query changes")
    parser.add_argument("--array", type=int, default=100, help="MB of the arrays while memory is watched")
    parser.add_argument("--imported", type=int, default=0, help="MB of an import while memory is watched, perhaps 300")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all, in their order")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a target is missed")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-alone-") as folder, contextlib.ExitStack() as closing:
        Path(folder).chmod(0o755)
        stack = closing.enter_context(Stack(StackOptions.free(stage="complete", folder=Path(folder) / "stack")))
        figures = asyncio.run(measured(stack, options))
    if options.json:
        print(json.dumps([{**asdict(one), "ratio": one.ratio} for one in figures]))
    return 1 if options.strict and not all(one.reached for one in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
