"""Counts of collections whose writes PostgreSQL takes: exact after every kind of statement, at a constant cost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import orjson
import pytest

from proxy.complete import CompleteStore
from proxy.complete.counts import CountFolding
from tests.ad_hoc import Database
from tests.complete_fixtures import complete_store
from tests.integration.target_fixtures import create, put
from tests.property.test_every_endpoint import operation_of
from tests.property.write_requests import Request


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[CompleteStore]:
    async with complete_store(dsn) as opened:
        await send(opened, "POST", "/_api/collection", {"name": "c"})
        yield opened


async def send(store: CompleteStore, method: str, target: str, body: object = None) -> dict[str, object]:
    text = "" if body is None else orjson.dumps(body).decode()
    outcome = await store.execute(operation_of(Request(method, target, (), text)))
    assert outcome.status < 400, outcome.body
    found = orjson.loads(outcome.body)
    return found if isinstance(found, dict) else {}


async def counted(store: CompleteStore) -> object:
    return (await send(store, "GET", "/_api/collection/c/count"))["count"]


async def test_a_count_is_exact_after_each_kind_of_write(store: CompleteStore, database: Database, dsn: str) -> None:
    assert await counted(store) == 0
    await send(store, "POST", "/_api/document/c", [{"_key": str(number)} for number in range(50)])
    assert await counted(store) == 50
    await send(store, "DELETE", "/_api/document/c/7")
    await send(store, "PATCH", "/_api/document/c/8", {"a": 1})
    assert await counted(store) == 49
    await send(store, "POST", "/_api/document/c", {"_key": "7"})
    await send(store, "POST", "/_api/cursor", {"query": "FOR d IN c FILTER d._key < '2' REMOVE d IN c"})
    assert await counted(store) == 38
    relation = await database.fetchval("SELECT relation FROM _crossfade.collection WHERE collection = '_system/c'")
    await database.execute(f"DELETE FROM {relation} WHERE key IN ('3', '4')")  # a client of PostgreSQL itself
    assert await counted(store) == 36
    await send(store, "PUT", "/_api/collection/c/rename", {"name": "d"})
    await send(store, "PUT", "/_api/collection/d/rename", {"name": "c"})
    assert await counted(store) == 36
    await send(store, "PUT", "/_api/collection/c/truncate")
    assert await counted(store) == 0


async def test_counts_stay_exact_while_several_fold_them(store: CompleteStore, database: Database) -> None:
    rng = random.Random(1)
    keys: set[str] = set()

    async def write() -> None:
        for _ in range(60):
            key = str(rng.randrange(40))
            if key in keys:
                keys.discard(key)
                await send(store, "DELETE", f"/_api/document/c/{key}")
            else:
                keys.add(key)
                await send(store, "POST", "/_api/document/c?overwrite=true", {"_key": key})

    async def fold() -> None:
        for _ in range(30):
            await database.execute("SELECT _crossfade.fold_counts(1)")
            await asyncio.sleep(0)

    await asyncio.gather(write(), fold(), fold())
    assert await counted(store) == len(keys)


async def test_folding_leaves_few_rows_and_none_of_dropped_collections(
    store: CompleteStore, database: Database
) -> None:
    for number in range(120):
        await send(store, "POST", "/_api/document/c", {"n": number})
    rows = "SELECT count(*) FROM _crossfade.count_change"
    before = await database.fetchval(rows)
    await CountFolding(database).fold()
    assert await database.fetchval(rows) == before - 120
    assert await counted(store) == 120
    for number in range(120):
        await send(store, "POST", "/_api/document/c", {"n": number})
    await send(store, "DELETE", "/_api/collection/c")
    await CountFolding(database).fold()
    assert await database.fetchval(rows) == before - 121


@pytest.mark.parametrize("number", [10, 5000])
async def test_a_count_reads_as_little_whatever_the_size_of_the_collection(
    store: CompleteStore, database: Database, number: int
) -> None:
    await send(store, "POST", "/_api/document/c", [{} for _ in range(number)])
    relation = await database.fetchval("SELECT relation FROM _crossfade.collection WHERE collection = '_system/c'")
    rows = await database.fetchval("SELECT count(*) FROM _crossfade.count_change WHERE relation = $1", relation)
    assert rows <= 2, "nothing, and what one statement changed"
    assert await counted(store) == number
    reads = "SELECT seq_scan + idx_scan FROM pg_stat_xact_user_tables WHERE relid = $1::text::regclass"
    async with database.transaction() as session:
        assert await session.fetchval("SELECT _crossfade.count_of($1)", relation) == number
        assert await session.fetchval(reads, relation) == 0, "no document is read"


async def test_documents_that_were_there_before_are_counted(database: Database) -> None:
    relation = await create(database, "shop/c")
    await put(database, "shop/c", *(b'{"_key":"%d","_id":"c/%d","_rev":"_mgsT1pW---"}' % (n, n) for n in range(5)))
    await database.execute("SELECT _crossfade.take_writes('shop/c', 1, '{}', 0)")
    await database.execute("SELECT _crossfade.take_writes('shop/c', 1, '{}', 0)")
    assert await database.fetchval("SELECT _crossfade.count_of($1)", relation) == 5
