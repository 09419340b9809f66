"""The mirror's cost per write, and the memory and time of a backlog: `python -m bench.mirror_micro [INTENTS]`.

Prints µs per call for a 2 KB insert, beside one JSON parse of the same document in the same run (the ratio is
comparable between machines); then spills INTENTS (600,000) into the journal while PostgreSQL is away, and drains them.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import orjson

from deploy.demo.postgres import EmbeddedPostgres
from proxy.base.config import Settings
from proxy.capture.answers import DocumentPlan, parse_answer_in_turns, plan
from proxy.journal.journal import Journal
from proxy.journal.records import DocumentWrite
from proxy.model.message import Headers, Request
from proxy.model.operations import Change, Operation
from proxy.model.revision import decode_rev, encode_rev
from proxy.replication.mirror import Mirror
from proxy.wire.endpoints import named
from sql.loader import migrations
from tests.ad_hoc import Database
from tests.integration.mirror_fixtures import KeyedOrigin

C = "shop/products"
REV = "_l6zhVHK---"
BASE = decode_rev(REV)


def printed(key: str, rev: str = REV) -> bytes:
    """Return a document of 2 KB as ArangoDB prints it."""
    document = {"_key": key, "_id": f"products/{key}", "_rev": rev, **{f"attribute{n}": "x" * 40 for n in range(34)}}
    return json.dumps(document, separators=(",", ":")).encode()


class Origin(KeyedOrigin):
    """An origin that has every document."""

    async def read(self, database: str, collection: str, keys: Sequence[str]) -> dict[str, bytes | None]:
        return {key: printed(key) for key in keys}


def measured(name: str, call: Callable[[], object], number: int = 20_000, *, unit: float | None = None) -> float:
    """Return the best of five, in µs."""
    best = 1e9
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(number // 5):
            call()
        best = min(best, (time.perf_counter() - started) / (number // 5) * 1e6)
    ratio = "" if unit is None else f"   {best / unit:5.2f} × one parse"
    print(f"{name:34}{best:8.2f} µs{ratio}")
    return best


def _finish(steps: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine that waits for nothing but turns of the event loop, without one."""
    try:
        while True:
            steps.send(None)
    except StopIteration:
        return


def calls(folder: Path) -> None:
    raw = printed("0f8fad5b-d9cb-469f-a165-70867728950e")
    key = orjson.loads(raw)["_key"]
    body = f'{{"_id":"products/{key}","_key":"{key}","_rev":"{REV}","new":'.encode() + raw + b"}"
    operation = Operation(named("document.insert"), "POST", "shop", "products", None, (), {}, {}, raw)
    headers: Headers = [(b"Etag", b'"x"'), (b"Content-Type", b"application/json"), (b"Server", b"ArangoDB")]
    request = Request("POST", b"/_db/shop/_api/document/products?silent=0", headers, raw)
    write_plan = plan(operation)
    assert isinstance(write_plan, DocumentPlan)
    unit = measured("orjson.loads of the document", lambda: orjson.loads(raw))
    measured("plan", lambda: plan(operation), unit=unit)
    measured("rewritten", lambda: write_plan.rewritten(request), unit=unit)
    measured("parse the answer", lambda: _finish(parse_answer_in_turns(write_plan, 202, headers, body)), unit=unit)
    journal = Journal(folder / "journal")
    journal.open()
    measured(
        "journal: intend + complete", lambda: journal.complete(journal.intend(C, DocumentWrite((key,)), 1)), unit=unit
    )

    def keyless() -> None:
        seq = journal.intend(C, DocumentWrite(), 1)
        journal.amend(seq, C, DocumentWrite((key,)), 1)
        journal.complete(seq)

    measured("journal: intend + keys + complete", keyless, unit=unit)
    journal.close()


async def whole(folder: Path, dsn: str, number: int) -> None:
    settings = Settings.model_validate({"state_dir": folder / "state", "dsn": dsn, "lost_request_timeout": 0.0})
    database = await Database.open(dsn)
    mirror = Mirror(settings, database, Origin(), "bench", lambda: 1)
    await mirror.start()
    documents = [Change(C, f"k{n}", BASE + n, printed(f"k{n}", encode_rev(BASE + n))) for n in range(10_000)]
    started, cpu = time.perf_counter(), time.process_time()
    for change in documents:
        mirror.captured(mirror.intend(C, (change.key,)), (change,))
    elapsed = time.perf_counter() - started
    while mirror.backlog:
        await asyncio.sleep(0.001)
    spent = time.perf_counter() - started
    print(f"mirror: intend + captured         {elapsed / len(documents) * 1e6:8.2f} µs")
    print(f"mirror: whole way, CPU            {(time.process_time() - cpu) / len(documents) * 1e6:8.2f} µs")
    print(f"applied                           {len(documents) / spent:8.0f} documents/s")
    await mirror.close()
    await database.close()
    del documents
    await backlog(folder, dsn, number)


async def backlog(folder: Path, dsn: str, number: int) -> None:
    settings = Settings.model_validate({"state_dir": folder / "state2", "dsn": dsn, "lost_request_timeout": 0.0})
    unreachable = await Database.open("postgresql://crossfade@127.0.0.1:1/none", connect_timeout=0.2)
    mirror = Mirror(settings, unreachable, Origin(), "bench", lambda: 1)
    await mirror.start()
    before = resident()
    for n in range(number):
        key = f"k{n % 50_000}"
        mirror.captured(mirror.intend(C, (key,)), (Change(C, key, BASE + n, printed(key)),))
        if n % 1000 == 0:
            await asyncio.sleep(0)
    gc.collect()
    print(f"backlog of {mirror.backlog}: resident {resident():.0f} MiB (before: {before:.0f}), queued {mirror.queued}")
    await mirror.close()
    await unreachable.close()
    database = await Database.open(dsn)
    mirror = Mirror(settings, database, Origin(), "bench", lambda: 1)
    started = time.perf_counter()
    await mirror.start()
    print(f"recovered in {time.perf_counter() - started:.1f} s")
    started = time.perf_counter()
    while mirror.backlog:
        await asyncio.sleep(0.05)
    spent = time.perf_counter() - started
    print(f"drained {number / spent:.0f} intents/s; resident at most {peak():.0f} MiB")
    await mirror.close()
    await database.close()


def resident() -> float:
    """Return the current resident memory in MiB."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize() / (1 << 20)


def peak() -> float:
    """Return the maximum resident memory in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def migrate(dsn: str) -> None:
    database = await Database.open(dsn)
    for migration in migrations():
        await database.execute(migration.text)
    await database.close()


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 600_000
    with tempfile.TemporaryDirectory() as name, EmbeddedPostgres(options={"fsync": "off"}) as server:
        calls(Path(name))
        asyncio.run(migrate(server.dsn))
        asyncio.run(whole(Path(name), server.dsn, number))


if __name__ == "__main__":
    main()
