"""PostgreSQL carries out requests to promoted collections beside ArangoDB: what its fence refuses has done nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
import orjson
import pytest

from proxy.base.database import Database
from proxy.base.errors import FenceRefused
from proxy.complete import CompleteStore
from proxy.model.operations import Fence, Outcome
from proxy.model.own_ids import PROMOTED_CURSORS, PROMOTED_JOBS, PROMOTED_TRANSACTIONS
from proxy.wire.decode import decode_parts
from tests.ad_hoc import Database as AdHoc
from tests.harness import eventually
from tests.integration.target_fixtures import take_writes

GENERATION: Final = 1  # of a new control row
OWN, OTHER = "shop/own", "shop/other"
BEGIN: Final = "/_db/shop/_api/transaction/begin"


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Database]:
    opened = await Database.open(dsn, size=8)
    yield opened
    await opened.close()


@pytest.fixture
async def store(pool: Database, database: AdHoc) -> AsyncIterator[CompleteStore]:
    await take_writes(database, OWN, {"id": "77"})
    await database.execute("SELECT _crossfade.ensure_collection('shop', 'other', false)")
    await database.execute("SELECT _crossfade.ensure_collection('shop', '_graphs', false)")
    made = CompleteStore(pool, embedded=True, lock_wait=0.3)
    await made.start()
    await send(made, "POST", "_api/document/own", {"_key": "k", "n": 1})
    yield made
    await made.close()


async def send(
    store: CompleteStore,
    method: str,
    path: str,
    body: Any = None,
    *,
    fence: Fence | None = None,
    reads: bool = False,
    **headers: str,
) -> Outcome:
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    raw = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
    operation = decode_parts(method, f"/_db/shop/{path}".encode(), given, raw)
    return await store.execute(
        msgspec.structs.replace(operation, fence=fence or Fence(GENERATION, (OWN,), only_reads=reads))
    )


async def writer(database: AdHoc, name: str) -> None:
    await database.execute("UPDATE _crossfade.stamp_floor SET writer = $1 WHERE collection = $2", name, OWN)


async def closing(database: AdHoc, *, on: bool) -> None:
    await database.execute("UPDATE _crossfade.control SET closing = $1", on)


def aql(query: str) -> dict[str, str]:
    return {"query": query}


WRITES: Final = {
    "one": ("POST", "_api/document/own", {"n": 2}),
    "many": ("POST", "_api/document/own", [{"n": 2}, {"n": 3}]),
    "changed": ("PATCH", "_api/document/own/k", {"n": 2}),
    "removed": ("DELETE", "_api/document/own/k", None),
    "imported": ("POST", "_api/import?collection=own&type=list", [{"n": 2}]),
    "inserted": ("POST", "_api/cursor", aql("FOR i IN 1..2 INSERT {n: i} INTO own")),
    "updated": ("POST", "_api/cursor", aql("FOR d IN own UPDATE d WITH {n: 9} IN own")),
    "evaluated": ("POST", "_api/cursor", aql("FOR d IN own SORT RAND() REMOVE d IN own")),
    "slept": ("POST", "_api/cursor", aql("LET s = SLEEP(0.01) FOR d IN own REMOVE d IN own")),
    "by example": ("PUT", "_api/simple/remove-by-example", {"collection": "own", "example": {"n": 1}}),
    "by keys": ("PUT", "_api/simple/remove-by-keys", {"collection": "own", "keys": ["k"]}),
    "truncated": ("PUT", "_api/collection/own/truncate", None),
    "dropped": ("DELETE", "_api/collection/own", None),
    "properties": ("PUT", "_api/collection/own/properties", {"waitForSync": True}),
    "indexed": ("POST", "_api/index?collection=own", {"type": "persistent", "fields": ["n"]}),
    "unique": ("POST", "_api/index?collection=own", {"type": "persistent", "fields": ["n"], "unique": True}),
}


async def state(database: AdHoc) -> object:
    """Return what a write may change."""
    relation = await database.fetchval("SELECT relation FROM _crossfade.collection WHERE collection = $1", OWN)
    documents = await database.fetch(f"SELECT key, rev, raw::text AS raw FROM {relation} ORDER BY key")
    floor = await database.fetchval("SELECT properties::text FROM _crossfade.stamp_floor WHERE collection = $1", OWN)
    return [tuple(row) for row in documents], floor


async def test_a_refused_write_has_done_nothing_and_is_done_afterwards(store: CompleteStore, database: AdHoc) -> None:
    before = await state(database)

    async def all_are_refused() -> None:
        for name, (method, path, body) in WRITES.items():
            with pytest.raises(FenceRefused):
                assert (await send(store, method, path, body), name) is None
            assert await state(database) == before, name

    for value in ("none", "origin"):
        await writer(database, value)
        await all_are_refused()
    await writer(database, "target")
    await closing(database, on=True)
    await all_are_refused()
    await closing(database, on=False)
    for name, (method, path, body) in WRITES.items():
        await send(store, "PUT", "_api/document/own?overwrite=true", [{"_key": "k"}])
        outcome = await send(store, method, path, body)
        assert outcome.status < 300 or name == "removed", (name, outcome.body)
        if name == "dropped":
            await send(store, "POST", "_api/collection", {"name": "own"})


READS: Final = {
    "one": ("GET", "_api/document/own/k", None),
    "none": ("GET", "_api/document/own/nobody", None),
    "head": ("HEAD", "_api/document/own/k", None),
    "many": ("PUT", "_api/document/own?onlyget=true", ["k"]),
    "query": ("POST", "_api/cursor", aql("FOR d IN own RETURN d")),
    "stream": ("POST", "_api/cursor", {"query": "FOR d IN own RETURN d", "options": {"stream": True}}),
    "counted": ("POST", "_api/cursor", aql("RETURN LENGTH(own)")),
    "all": ("PUT", "_api/simple/all", {"collection": "own"}),
    "example": ("PUT", "_api/simple/by-example", {"collection": "own", "example": {"n": 1}}),
    "keys": ("PUT", "_api/simple/lookup-by-keys", {"collection": "own", "keys": ["k"]}),
    "count": ("GET", "_api/collection/own/count", None),
    "checksum": ("GET", "_api/collection/own/checksum", None),
    "indexes": ("GET", "_api/index?collection=own", None),
    "explained": ("POST", "_api/explain", aql("FOR d IN own RETURN d")),
}


async def test_reads_go_on_until_arangodb_takes_the_writes(store: CompleteStore, database: AdHoc) -> None:
    generation = await database.fetchval("SELECT generation FROM _crossfade.control")
    fence = Fence(generation, (OWN,), only_reads=True)
    for value in ("target", "none"):
        await writer(database, value)
        for name, (method, path, body) in READS.items():
            assert (await send(store, method, path, body, fence=fence)).status in (200, 201, 404), name
    await database.execute("UPDATE _crossfade.control SET generation = generation + 1")
    await writer(database, "origin")
    for name, (method, path, body) in READS.items():
        with pytest.raises(FenceRefused):
            assert (await send(store, method, path, body, fence=fence), name) is None


async def test_a_read_of_one_document_follows_the_generation(store: CompleteStore, database: AdHoc) -> None:
    generation = await database.fetchval("SELECT generation FROM _crossfade.control")
    with pytest.raises(FenceRefused):
        await send(store, "GET", "_api/document/own/k", fence=Fence(generation + 1, (OWN,), only_reads=True))


async def test_what_continues_has_ids_that_arangodb_never_gives(store: CompleteStore) -> None:
    cursor = await send(store, "POST", "_api/cursor", {"query": "FOR i IN 1..3 RETURN i", "batchSize": 1})
    assert PROMOTED_CURSORS.owns(orjson.loads(cursor.body)["id"])
    answer = await send(store, "POST", "_api/document/own", {}, x_arango_async="store")
    assert PROMOTED_JOBS.owns((answer.header(b"x-arango-async-id") or b"").decode())
    begun = await send(store, "POST", "_api/transaction/begin", {"collections": {"write": "own"}})
    number = orjson.loads(begun.body)["result"]["id"]
    assert PROMOTED_TRANSACTIONS.owns(number)
    await send(store, "POST", "_api/document/own", {"_key": "inside"}, x_arango_trx_id=number)
    assert (await send(store, "PUT", f"_api/transaction/{number}")).status == 200
    assert (await send(store, "GET", "_api/document/own/inside")).status == 200


async def test_stream_transactions_give_way_to_a_demotion(store: CompleteStore, database: AdHoc) -> None:
    begun = await send(store, "POST", "_api/transaction/begin", {"collections": {"write": "own"}})
    number = orjson.loads(begun.body)["result"]["id"]
    await send(store, "POST", "_api/document/own", {"_key": "inside"}, x_arango_trx_id=number)
    await closing(database, on=True)
    async with asyncio.timeout(5):
        await writer(database, "none")  # waits for its end
    assert (await send(store, "PUT", f"_api/transaction/{number}")).status == 400
    with pytest.raises(FenceRefused):
        await send(store, "POST", "_api/transaction/begin", {"collections": {"write": "own"}})
    await writer(database, "origin")
    with pytest.raises(FenceRefused):
        await send(store, "POST", "_api/transaction/begin", {"collections": {"read": "own"}})
    await closing(database, on=False)
    await writer(database, "target")
    assert (await send(store, "GET", "_api/document/own/inside")).status == 404


async def test_the_catalog_has_promoted_collections_only(store: CompleteStore, database: AdHoc) -> None:
    names = "SELECT array_agg(name ORDER BY name) FROM _crossfade.catalog WHERE kind = 'collection'"
    assert await database.fetchval(names) == [OWN]
    assert await store.named("shop", "77") == "own"
    await writer(database, "origin")
    await store.adopt()
    assert await database.fetchval(names) is None
    await take_writes(database, OTHER, {})
    await writer(database, "target")
    await store.adopt()
    assert await database.fetchval(names) == [OTHER, OWN]


async def test_a_job_ends_with_an_error_if_the_writer_has_changed(store: CompleteStore, database: AdHoc) -> None:
    await writer(database, "none")
    answer = await send(store, "POST", "_api/document/own", {"_key": "late"}, x_arango_async="store")
    number = (answer.header(b"x-arango-async-id") or b"").decode()

    async def failed() -> bool:
        return (await send(store, "PUT", f"_api/job/{number}", fence=Fence(GENERATION))).status == 503

    await eventually(failed, "the job has ended")
