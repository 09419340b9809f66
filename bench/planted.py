"""Faults of every class among many documents: verification must find every real one and nothing else.

    python -m bench.planted [DOCUMENTS]        (100,000)

A development ArangoDB is backfilled; then PostgreSQL is changed directly, without product code: `REAL_FAULTS` are
differences, `HARMLESS_CHANGES` are other ways to print the same value. `verify --full` must name exactly the keys of
the first, in their classes; `--repair` repairs them; then both databases are equal, by `verify` and by a comparison
without the product.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx

from backfill import run_store
from backfill.run_planner import plan_backfill, plan_verification
from backfill.source import ArangoSource
from backfill.worker import WorkerOptions, Workers
from deploy.demo.db_checks import DirectArangoDB, compare_all
from deploy.demo.postgres import EmbeddedPostgres
from proxy.devserver.serve import DevelopmentServer
from proxy.operator import migrate
from tests.ad_hoc import Database

BASE, COLLECTION = "planted", "papers"
NAME = f"{BASE}/{COLLECTION}"
_TABLE = f'"{BASE}"."{COLLECTION}"'

# name: what is printed, what replaces it
REAL_FAULTS = {
    "one deep value": ('"city":"Łódź"', '"city":"Łodź"'),
    "another type": ('"count":7', '"count":"7"'),
    "a reordered array": ('["a","b",["c"]]', '["b","a",["c"]]'),
    "null for false": ('"done":false', '"done":null'),
    "a NUL that was cut off": ("nul\\u0000here", "nulhere"),
    "2^53+1 rounded": ("9007199254740993", "9007199254740992"),
    "2^63, one more": ("9223372036854775808", "9223372036854775809"),
    "1e300, the next one": ("1e+300", "1.0000000000000002e+300"),
    "an attribute left out": ('"empty":{},', ""),
}
HARMLESS_CHANGES = {
    "1 against 1.0": ('"one":1,', '"one":1.0,'),
    "-0 against 0": ('"zero":0,', '"zero":-0,'),
    "1e300 printed otherwise": ("1e+300", "1E300"),
    "attributes in another order": ('"empty":{},"done":false', '"done":false,"empty":{}'),
    "an escape for a character": ("Łódź", "\\u0141\\u00f3d\\u017a"),
}
_CONTENT: dict[str, Any] = {
    "deep": {"list": [1, {"address": {"city": "Łódź"}}]},
    "count": 7,
    "tags": ["a", "b", ["c"]],
    "empty": {},
    "done": False,
    "nul": "nul\x00here",
    "exact": 2**53 + 1,
    "most": 2**63,
    "huge": 1e300,
    "one": 1,
    "zero": 0,
    "end": None,
}


@dataclass
class Outcome:
    """What was seeded and found: keys by class, and the result of each step."""

    documents: int
    planted: dict[str, list[str]] = field(default_factory=dict)
    harmless: list[str] = field(default_factory=list)
    found: dict[str, list[str]] = field(default_factory=dict)
    repaired: int = 0
    equal_after: bool = False
    equal_directly: bool = False
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return self.found == self.planted and self.equal_after and self.equal_directly


async def load(url: str, number: int) -> None:
    """Write documents with unusual values into ArangoDB over HTTP."""
    async with httpx.AsyncClient(base_url=url, auth=("root", ""), timeout=60, trust_env=False) as client:
        await client.post("/_api/database", json={"name": BASE})
        await client.post(f"/_db/{BASE}/_api/collection", json={"name": COLLECTION})
        for start in range(0, number, 1000):
            part = [{"_key": f"{n:08}", "n": n, **_CONTENT} for n in range(start, min(number, start + 1000))]
            answer = await client.post(
                f"/_db/{BASE}/_api/document/{COLLECTION}?silent=true",
                content=json.dumps(part),
                headers={"content-type": "application/json"},
            )
            answer.raise_for_status()


async def plant(dsn: str, number: int) -> tuple[dict[str, list[str]], list[str]]:
    """Change PostgreSQL; return the keys of real faults by class, and those of harmless ones."""
    keys = [f"{(n * number) // 40 + 3:08}" for n in range(40)]
    planted: dict[str, list[str]] = {"missing": keys[0:2], "stale": keys[2:4], "extra": [], "different": []}
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"DELETE FROM {_TABLE} WHERE key = ANY ($1::text[])", planted["missing"])
        for key in planted["stale"]:
            await _rewrite(connection, key, '"count":7', '"count":6')
            await connection.execute(f"UPDATE {_TABLE} SET rev = rev - 1 WHERE key = $1", key)
        for key in (f"{keys[4]}x", "zzz"):
            await connection.execute(
                f"INSERT INTO {_TABLE} (key, rev, raw, doc) VALUES ($1, 5, '{{\"n\":1}}', '{{\"n\":1}}')", key
            )
            planted["extra"].append(key)
        for key, (printed, other) in zip(keys[5:], REAL_FAULTS.values(), strict=False):
            await _rewrite(connection, key, printed, other)
            planted["different"].append(key)
        # the column that clients are served from is right, and the one that queries read is not
        await connection.execute(f"UPDATE {_TABLE} SET doc = doc || '{{\"count\": 8}}' WHERE key = $1", keys[20])
        planted["different"].append(keys[20])
        harmless = keys[25 : 25 + len(HARMLESS_CHANGES)]
        for key, (printed, other) in zip(harmless, HARMLESS_CHANGES.values(), strict=True):
            await _rewrite(connection, key, printed, other)
    finally:
        await connection.close()
    return {kind: sorted(found) for kind, found in planted.items()}, harmless


async def _rewrite(connection: Any, key: str, printed: str, other: str) -> None:
    raw: str = await connection.fetchval(f"SELECT raw::text FROM {_TABLE} WHERE key = $1", key)
    if printed not in raw:
        raise RuntimeError(f"{printed} is not in {raw}")
    changed = raw.replace(printed, other)
    # the column for queries has an escape where jsonb has none: U+FDD0 0 stands for a NUL
    escaped = changed.replace("\\u0000", "\ufdd00")
    await connection.execute(
        f"UPDATE {_TABLE} SET raw = $2::text::json, doc = _crossfade.queryable($3::text::json) WHERE key = $1",
        key,
        changed,
        escaped,
    )


async def run(number: int, dsn: str, *, workers: int = 2) -> Outcome:
    """Run all steps on a migrated database."""
    outcome = Outcome(number)
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(DevelopmentServer())
        database = await Database.open(dsn, size=2 * workers + 4)
        stack.push_async_callback(database.close)
        source = ArangoSource(server.url, "root", "", threads=workers + 1)
        stack.push_async_callback(source.close)
        await load(server.url, number)
        await database.execute("SELECT _crossfade.ensure_collection($1, $2)", BASE, COLLECTION)
        await database.execute("UPDATE _crossfade.collection SET stage = 'mirror' WHERE collection = $1", NAME)

        async def work(chosen: Sequence[int], what: str) -> dict[str, Any]:
            started = time.monotonic()
            options = WorkerOptions(workers=workers, poll=0.05)
            await Workers(database, database, source, options, asyncio.Event()).work(chosen)
            outcome.seconds[what] = time.monotonic() - started
            [status] = await run_store.statuses(database, chosen)
            return dict(status.result)

        await work([await plan_backfill(database, source, NAME)], "backfill")
        outcome.planted, outcome.harmless = await plant(dsn, number)
        report = await work([await plan_verification(database, source, NAME, full=True)], "verify --full")
        outcome.found = {kind: sorted(keys) for kind, keys in report["keys"].items()}
        report = await work(
            [await plan_verification(database, source, NAME, full=True, repair=True)], "verify --full --repair"
        )
        outcome.repaired = report["repaired"]
        report = await work([await plan_verification(database, source, NAME, full=True)], "verify --full again")
        outcome.equal_after = report["differences"] == 0 and report["checked"] == number
        [compared] = await compare_all(DirectArangoDB(server.url), dsn, [(BASE, COLLECTION)])
        outcome.equal_directly = compared.equal and compared.documents == number
    return outcome


async def _main(number: int) -> bool:
    with EmbeddedPostgres(options={"fsync": "off"}) as server:
        database = await Database.open(server.dsn, size=1)
        await migrate.apply(database)
        await database.close()
        outcome = await run(number, server.dsn)
    for what, seconds in outcome.seconds.items():
        print(f"{what}: {number:,} documents in {seconds:.1f} s, {number / seconds:,.0f}/s")
    for kind, keys in outcome.planted.items():
        found = outcome.found.get(kind, [])
        print(f"{kind}: {len(keys)} planted, {len(set(keys) & set(found))} found, {len(set(found) - set(keys))} false")
    print(f"harmless: {len(outcome.harmless)} planted; {outcome.repaired} repaired")
    print(f"equal afterwards: {outcome.equal_after}; read directly: {outcome.equal_directly}")
    return outcome.good


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    sys.exit(0 if asyncio.run(_main(number)) else 1)


if __name__ == "__main__":
    main()
