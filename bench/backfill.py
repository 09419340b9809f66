"""Backfill and verification, and their limits in the same run: `python -m bench.backfill [DOCUMENTS] [--json]`.

psql COPY            the same rows from a file into a table of the same shape
reading the origin   the same pages over two connections, discarded
backfill             end to end by two workers, without the final index; ratio to the slower of the two
verify --fast        keys per second
memory               maximum of a worker process: documents of 1 KB, 1 MB, 16 MB

The origin is a stub with prerendered documents (tests/integration/stub_origin.py) in a separate process: it answers
faster than an ArangoDB would, so that the reader and the writer are measured.
"""

from __future__ import annotations

import argparse
import asyncio
import concurrent.futures
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from bench.process import Process, wait_for_port
from deploy.demo.postgres import EmbeddedPostgres, binaries
from deploy.demo.stack import crossfade
from proxy.base.free_port import free_port
from proxy.operator import migrate
from tests.ad_hoc import Database
from tests.integration.stub_origin import StubOrigin

DATABASE = "bench"
SIZE = 1_300  # bytes of a document
PAGE = 1_000
_CREATE_COPY_TABLE = "CREATE TABLE copied (LIKE {table} INCLUDING ALL)"
_COPY = r"\copy copied (key, rev, raw, doc) from '{file}'"
_SPAN = """
SELECT r.id, extract(epoch FROM clock_timestamp())::float8 AS at,
       (SELECT count(*) FROM _crossfade.chunk c WHERE c.run = r.id AND c.state <> 'open') AS begun,
       (SELECT count(*) FROM _crossfade.chunk c WHERE c.run = r.id AND c.state <> 'done') AS left
FROM _crossfade.run r WHERE r.collection = $1 AND r.kind = $2 ORDER BY r.id DESC LIMIT 1
"""


def content(number: int, size: int) -> bytes:
    """Return members of a document of about that many bytes."""
    text = (f"text {number} of a document, " * (size // 20 + 1))[: max(0, size - 200)]
    members = {"n": number, "share": number / 7, "deep": {"list": [1, {"x": None}], "flag": True}, "text": text}
    return json.dumps(members)[1:-1].encode()


async def serve(port: int, collections: Sequence[tuple[str, int, int]]) -> None:
    """Run the stub until the process is ended. collections: (name, documents, bytes of one)."""
    stub = StubOrigin()
    stub.port = port
    for name, number, size in collections:
        for n in range(number):
            stub.put_raw(f"{DATABASE}/{name}", f"{n:09}", stub.clock.tick(), content(n, size))
    async with stub:
        await asyncio.Event().wait()


def read_origin(port: int, number: int) -> float:
    """Return documents per second over two connections, discarding the answers."""

    def half(first: int, last: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for start in range(first, last, PAGE):
            bind = {"@c": "small", "after": f"{start - 1:09}" if start else "", "n": PAGE}
            query = "FOR d IN @@c FILTER d._key > @after SORT d._key LIMIT @n RETURN d"
            body = json.dumps({"query": query, "bindVars": bind, "batchSize": PAGE})
            connection.request("POST", f"/_db/{DATABASE}/_api/cursor", body)
            connection.getresponse().read()
        connection.close()

    started = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(half, (0, number // 2), (number // 2, number)))
    return number / (time.perf_counter() - started)


async def copy_rows(dsn: str, folder: Path, table: str) -> float:
    """Rows a second of psql's \\copy of what the backfill has written."""
    connection = await asyncpg.connect(dsn)
    try:
        file = folder / "rows.copy"
        await connection.copy_from_query(f"SELECT key, rev, raw, doc FROM {table}", output=file)
        await connection.execute(_CREATE_COPY_TABLE.format(table=table))
        number = int(await connection.fetchval(f"SELECT count(*) FROM {table}"))
        command = [str(binaries() / "psql"), "-q", "-d", dsn, "-c", _COPY.format(file=file)]
        started = time.perf_counter()
        await asyncio.to_thread(subprocess.run, command, check=True)
        seconds = time.perf_counter() - started
        await connection.execute("DROP TABLE copied")
    finally:
        await connection.close()
    return number / seconds


async def timed(dsn: str, environment: dict[str, str], name: str, kind: str, *arguments: str) -> tuple[float, float]:
    """Run a command.

    Return seconds from the first chunk's claim until every chunk was done (without the start of Python), and the
    greatest memory of one of its processes, in MiB.
    """
    connection = await asyncpg.connect(dsn)
    before = await connection.fetchrow(_SPAN, name, kind)
    with tempfile.TemporaryDirectory() as folder:
        process = Process(crossfade(*arguments), core=0, env=environment, log=Path(folder) / "log")
        os.sched_setaffinity(process._popen.pid, os.sched_getaffinity(0))
        seconds = memory = started = 0.0
        try:
            while process.alive:
                row = await connection.fetchrow(_SPAN, name, kind)
                if row is not None and (before is None or row["id"] != before["id"]) and not seconds:
                    started = started or (row["at"] if row["begun"] else 0.0)
                    seconds = row["at"] - started if row["left"] == 0 else 0.0
                memory = max(memory, peak_memory(process))
                await asyncio.sleep(0.01)
            if process._popen.returncode:
                raise RuntimeError((Path(folder) / "log").read_text())
        finally:
            process.stop()
            await connection.close()
    return seconds, memory


def peak_memory(process: Process) -> float:
    """Return the greatest resident memory so far of one process of a command, in MiB."""
    most = 0.0
    for pid in process._pids():
        try:
            lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
        except OSError:
            continue
        most = max([most, *(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))])
    return most


async def measure(number: int) -> dict[str, float]:
    """Return every figure by name."""
    with (
        tempfile.TemporaryDirectory() as name,
        EmbeddedPostgres(options={"fsync": "off", "max_wal_size": "4GB"}) as server,
    ):
        database = await Database.open(server.dsn, size=1)
        await migrate.apply(database)
        sizes = [("small", number, SIZE), ("mb1", 120, 1 << 20), ("mb16", 8, 16 << 20)]
        for collection, _, _ in sizes:
            await database.execute("SELECT _crossfade.ensure_collection($1, $2)", DATABASE, collection)
        await database.execute("UPDATE _crossfade.collection SET stage = 'mirror'")
        await database.close()
        port = free_port()
        script = f"import asyncio; from bench.backfill import serve; asyncio.run(serve({port}, {sizes!r}))"
        stub = Process([sys.executable, "-c", script], core=1)
        os.sched_setaffinity(stub._popen.pid, os.sched_getaffinity(0))
        try:
            wait_for_port(port, stub, 120)
            environment = {"CROSSFADE_DSN": server.dsn, "CROSSFADE_ORIGIN": f"http://127.0.0.1:{port}"}
            folder = Path(name)
            folder.chmod(0o755)
            return await _figures(server.dsn, environment, folder, port, number)
        finally:
            stub.stop()


class Figures(dict[str, float]):
    """The measured figures, printed as they arrive, since all of it takes minutes."""

    def __setitem__(self, name: str, value: float) -> None:
        super().__setitem__(name, value)
        text = f"{value:12,.2f}" if name.endswith("ratio") else f"{value:12,.0f}"
        print(f"{name:20} {text}", file=sys.stderr, flush=True)


async def _figures(dsn: str, environment: dict[str, str], folder: Path, port: int, number: int) -> dict[str, float]:
    figures = Figures()
    figures["documents"] = number
    read_origin(port, number)  # renders the pages
    figures["origin_per_s"] = read_origin(port, number)
    two = ("--processes", "2", "--workers", "1")
    small = f"{DATABASE}/small"
    seconds, memory = await timed(dsn, environment, small, "backfill", "backfill", "run", small, *two)
    figures["backfill_per_s"] = number / seconds
    figures["memory_1kb_mib"] = memory
    figures["copy_per_s"] = await copy_rows(dsn, folder, f'"{DATABASE}"."small"')
    figures["backfill_ratio"] = figures["backfill_per_s"] / min(figures["copy_per_s"], figures["origin_per_s"])
    for _ in range(2):  # the first renders the pages
        seconds, _ = await timed(dsn, environment, small, "verify", "verify", small, *two)
    figures["verify_fast_per_s"] = number / seconds
    seconds, _ = await timed(dsn, environment, small, "verify", "verify", "--full", small, *two)
    figures["verify_full_per_s"] = number / seconds
    for collection, label in (("mb1", "1mb"), ("mb16", "16mb")):
        name = f"{DATABASE}/{collection}"
        _, memory = await timed(dsn, environment, name, "backfill", "backfill", "run", name, *two)
        _, more = await timed(dsn, environment, name, "verify", "verify", "--full", name, *two)
        figures[f"memory_{label}_mib"] = max(memory, more)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", nargs="?", type=int, default=200_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = asyncio.run(measure(options.documents))
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
