"""Documents that PostgreSQL cannot hold, PostgreSQL away or full: the errors say why, and nothing else is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from proxy.complete import CompleteStore
from tests.ad_hoc import Database
from tests.complete_fixtures import complete_store
from tests.faults.chaos import Chaos
from tests.integration.test_complete_proxies import send

WHY = "PostgreSQL cannot hold the document: "


@pytest.fixture
async def store(dsn: str, database: Database) -> AsyncIterator[CompleteStore]:
    """Open a store with a collection whose table refuses a value."""
    async with complete_store(dsn) as opened:
        await send(opened, "POST", "/_api/collection", {"name": "c"})
        await database.execute("ALTER TABLE _system.c ADD CHECK ((doc ->> 'v') IS DISTINCT FROM 'bad')")
        yield opened


def documents(*keys: str) -> list[dict[str, str]]:
    return [{"_key": key, "v": "bad" if key.startswith("bad") else "good"} for key in keys]


async def keys(store: CompleteStore) -> list[str]:
    _, body = await send(store, "POST", "/_api/cursor", {"query": "FOR d IN c SORT d._key RETURN d._key"})
    found: list[str] = body["result"]
    return found


async def test_a_document_is_refused_and_the_error_says_why(store: CompleteStore) -> None:
    status, body = await send(store, "POST", "/_api/document/c", documents("bad")[0])
    assert (status, body["errorNum"]) == (400, 10)
    assert body["errorMessage"].startswith(WHY)
    query = {"query": "FOR d IN @d INSERT d INTO c", "bindVars": {"d": documents("a", "bad")}}
    status, body = await send(store, "POST", "/_api/cursor", query)
    assert (status, body["errorNum"]) == (400, 10)
    assert body["errorMessage"].startswith(WHY)
    assert await keys(store) == []


async def test_an_array_loses_no_other_document(store: CompleteStore) -> None:
    status, body = await send(store, "POST", "/_api/document/c", documents("a", "bad1", "b", "c", "bad2"))
    assert status == 202
    assert [one.get("errorNum", 0) for one in body] == [0, 10, 0, 0, 10]
    assert body[1]["errorMessage"].startswith(WHY)
    assert await keys(store) == ["a", "b", "c"]


async def test_an_import_loses_no_other_document(store: CompleteStore) -> None:
    body = documents("a", "bad1", "b")
    status, counted = await send(store, "POST", "/_api/import?collection=c&type=array&details=true", body)
    assert (status, counted["created"], counted["errors"]) == (201, 2, 1)
    assert counted["details"][0].startswith("at position 1: ")
    assert await keys(store) == ["a", "b"]
    path = "/_api/import?collection=c&type=array&complete=true"
    status, refused = await send(store, "POST", path, documents("d", "bad1"))
    assert (status, refused["errorNum"]) == (400, 10)
    assert await keys(store) == ["a", "b"]


async def test_a_stream_transaction_goes_on(store: CompleteStore) -> None:
    _, begun = await send(store, "POST", "/_api/transaction/begin", {"collections": {"write": ["c"]}})
    trx = {"x-arango-trx-id": begun["result"]["id"]}
    assert (await send(store, "POST", "/_api/document/c", documents("bad")[0], trx))[0] == 400
    _, body = await send(store, "POST", "/_api/document/c", documents("a", "bad", "b"), trx)
    assert [one.get("errorNum", 0) for one in body] == [0, 10, 0]
    assert (await send(store, "PUT", f"/_api/transaction/{trx['x-arango-trx-id']}"))[0] == 200
    assert await keys(store) == ["a", "b"]


async def test_while_postgresql_is_away_each_request_gets_503_and_then_continues(dsn: str) -> None:
    port = int(dsn.rpartition(":")[2].partition("/")[0])
    async with Chaos(port) as way, complete_store(dsn.replace(f":{port}/", f":{way.port}/")) as store:
        await send(store, "POST", "/_api/collection", {"name": "c"})
        _, begun = await send(store, "POST", "/_api/transaction/begin", {"collections": {"write": ["c"]}})
        trx = {"x-arango-trx-id": begun["result"]["id"]}
        way.misbehave("cut")
        requests: list[tuple[str, str, Any]] = [
            ("POST", "/_api/document/c", {"_key": "a"}),
            ("POST", "/_api/document/c", [{"_key": "a"}, {"_key": "b"}]),
            ("POST", "/_api/import?collection=c&type=array", [{"_key": "a"}]),
            ("GET", "/_api/document/c/a", None),
            ("POST", "/_api/cursor", {"query": "FOR d IN c RETURN d"}),
            ("POST", "/_api/cursor", {"query": "INSERT {} INTO c"}),
            ("POST", "/_api/collection", {"name": "d"}),
            ("GET", "/_api/collection/c/count", None),
            ("POST", "/_api/transaction/begin", {"collections": {"write": ["c"]}}),
        ]
        async with asyncio.timeout(60):
            for method, path, body in requests:
                status, answer = await send(store, method, path, body)
                assert (status, answer["error"], answer["code"]) == (503, True, 503), path
            status, answer = await send(store, "POST", "/_api/document/c", {"_key": "t"}, trx)
            assert (status, answer["errorMessage"].partition(": ")[0]) == (
                503,
                f"transaction '{begun['result']['id']}' was lost",
            )
            status, answer = await send(store, "PUT", f"/_api/transaction/{begun['result']['id']}")
            assert (status, "was lost" in answer["errorMessage"]) == (503, True)
            status, answer = await send(store, "GET", f"/_api/transaction/{begun['result']['id']}")
            assert (status, answer["result"]["status"]) == (200, "aborted")
        way.heal()
        assert (await send(store, "POST", "/_api/document/c", {"_key": "a"}))[0] == 202
        assert (await send(store, "POST", "/_api/document/c", {"_key": "t"}))[0] == 202, "nothing has it locked"
        assert await keys(store) == ["a", "t"]


async def test_a_full_pool_is_an_error_and_no_hang(dsn: str) -> None:
    database = await Database.open(dsn, size=2, wait=0.2)
    store = CompleteStore(database)
    await store.start()
    await send(store, "POST", "/_api/collection", {"name": "c"})
    async with asyncio.timeout(30), database.session(), database.session():
        status, body = await send(store, "POST", "/_api/document/c", {"_key": "a"})
    assert (status, body["errorMessage"]) == (503, "service unavailable: PostgreSQL is overloaded")
    assert (await send(store, "POST", "/_api/document/c", {"_key": "a"}))[0] == 202
    await store.close()
    await database.close()


async def test_a_postgresql_without_a_free_connection_is_overloaded(dsn: str, database: Database) -> None:
    """The role may have as many sessions as the store has open: none for a transaction, nor for a further request."""
    name = "limited_" + dsn.rpartition("/")[2].replace("-", "_")
    await database.execute(f"CREATE ROLE {name} LOGIN IN ROLE crossfade")
    try:
        async with complete_store(dsn.replace("crossfade@", f"{name}@")) as store:
            await send(store, "POST", "/_api/collection", {"name": "c"})
            await database.execute(f"ALTER ROLE {name} CONNECTION LIMIT 0")
            async with asyncio.timeout(60):
                begin = {"collections": {"write": ["c"]}}
                status, body = await send(store, "POST", "/_api/transaction/begin", begin)
            assert (status, body["errorMessage"]) == (503, "service unavailable: PostgreSQL is overloaded")
    finally:
        await database.execute(f"REASSIGN OWNED BY {name} TO crossfade; DROP OWNED BY {name}; DROP ROLE {name}")


async def test_a_unique_value_that_contains_a_revision_is_decided(dsn: str) -> None:
    computed = {"name": "d", "expression": "RETURN @doc", "overwrite": True, "computeOn": ["insert", "update"]}
    async with complete_store(dsn) as store, asyncio.timeout(30):
        await send(store, "POST", "/_api/collection", {"name": "c", "computedValues": [computed]})
        index = {"type": "persistent", "fields": ["d"], "unique": True}
        assert (await send(store, "POST", "/_api/index?collection=c", index))[0] == 201
        status, body = await send(store, "POST", "/_api/document/c", [{"_key": "a"}, {"_key": "a"}, {"_key": "b"}])
        assert [one.get("errorNum", 0) for one in body] == [0, 1210, 0]
        status, body = await send(store, "PATCH", "/_api/document/c", [{"_key": "a", "n": 1}, {"_key": "a", "n": 2}])
        assert (status, [one.get("errorNum", 0) for one in body]) == (202, [0, 0])


@pytest.mark.parametrize("kind", ["UPDATE @key WITH {n: 1} IN e", "REMOVE @key IN e", "REPLACE @key WITH {} IN e"])
async def test_a_write_of_a_document_that_an_empty_collection_lacks_is_an_error(dsn: str, kind: str) -> None:
    async with complete_store(dsn) as store:
        for name in ("c", "e"):
            await send(store, "POST", "/_api/collection", {"name": name})
        await send(store, "POST", "/_api/document/c", [{"_key": "a"}, {"_key": "b"}])
        query = {"query": f"FOR d IN c {kind}", "bindVars": {"key": "none"}}
        status, body = await send(store, "POST", "/_api/cursor", query)
        assert (status, body.get("errorNum")) == (404, 1202)
