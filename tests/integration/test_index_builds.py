"""Indexes over PostgreSQL alone while they are built: with `withHidden` they are shown, with their progress."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from proxy.complete import CompleteStore
from proxy.complete.query_indexes import QueryIndexes
from proxy.wire.decode import decode_parts
from tests.ad_hoc import Database
from tests.complete_fixtures import complete_store

LIST = "/_api/index?collection=c"
DOCUMENTS = 1_500  # a build adds them in pages of 1,000


class Server:
    """Requests to a store with the filled collection `c`."""

    def __init__(self, store: CompleteStore) -> None:
        self.store = store

    async def send(self, method: str, path: str, body: Any = None) -> Any:
        raw = b"" if body is None else json.dumps(body).encode()
        outcome = await self.store.execute(decode_parts(method, path.encode(), [], raw))
        return json.loads(outcome.body)

    async def listed(self, *, hidden: bool) -> list[dict[str, Any]]:
        answer = await self.send("GET", LIST + ("&withHidden=true" if hidden else ""))
        assert {one["id"]: one for one in answer["indexes"]} == answer["identifiers"]
        found: list[dict[str, Any]] = answer["indexes"]
        return found

    async def building(self) -> dict[str, Any]:
        """Return the first index that is shown as being built, with some progress."""
        while True:
            for one in await self.listed(hidden=True):
                if one.get("isBuilding") and one["progress"] > 0:
                    return one
            await asyncio.sleep(0.01)


@pytest.fixture
async def server(dsn: str) -> AsyncIterator[Server]:
    async with complete_store(dsn) as store:
        server = Server(store)
        await server.send("POST", "/_api/collection", {"name": "c"})
        await server.send("POST", "/_api/document/c", [{"_key": f"{n:04}", "n": n} for n in range(DOCUMENTS)])
        yield server


@pytest.fixture
async def table(server: Server, database: Database) -> str:
    found: str = await database.fetchval("SELECT relation FROM _crossfade.collection WHERE collection = '_system/c'")
    return found


async def test_a_unique_index_is_shown_to_other_proxies_while_it_is_built(
    server: Server, table: str, database: Database, dsn: str
) -> None:
    async with database.transaction() as session, complete_store(dsn) as other:
        await session.fetch(f"SELECT FROM {table} WHERE key = '1400' FOR UPDATE")
        body = {"type": "persistent", "fields": ["n"], "unique": True, "name": "byN"}
        created = asyncio.get_running_loop().create_task(server.send("POST", LIST, body))
        shown = await Server(other).building()
        assert (shown["name"], shown["unique"], shown["fields"]) == ("byN", True, ["n"])
        assert shown["progress"] == pytest.approx(100_000 / DOCUMENTS)
        assert len(await server.listed(hidden=False)) == 1
    made = await created
    assert (made["code"], made["id"]) == (201, shown["id"])
    assert [one.get("isBuilding") for one in await server.listed(hidden=True)] == [None, None]
    assert await database.fetch("SELECT FROM _crossfade.catalog WHERE kind = 'building'") == []


async def test_a_unique_index_that_documents_violate_is_no_longer_shown(server: Server, database: Database) -> None:
    await server.send("POST", "/_api/document/c", {"n": 1})
    refused = await server.send("POST", LIST, {"type": "persistent", "fields": ["n"], "unique": True})
    assert refused["errorNum"] == 1210
    assert len(await server.listed(hidden=True)) == 1
    assert await database.fetch("SELECT FROM _crossfade.catalog WHERE kind = 'building'") == []


async def test_an_index_for_queries_is_shown_as_building_while_postgresql_builds_it(
    server: Server, table: str, database: Database, dsn: str
) -> None:
    await server.send("POST", LIST, {"type": "ttl", "fields": ["at"], "expireAfter": 5, "name": "at"})
    pool = await Database.open(dsn, size=2, timeout=None)
    async with database.transaction() as session:
        await session.execute(f"UPDATE {table} SET mark = mark WHERE key = '0000'")  # a writer, for whose end it waits
        built = asyncio.get_running_loop().create_task(QueryIndexes(pool).ensure())
        while not any(one.get("isBuilding") for one in await server.listed(hidden=True)):
            await asyncio.sleep(0.01)
        (shown,) = [one for one in await server.listed(hidden=True) if one.get("isBuilding")]
        assert (shown["name"], shown["type"]) == ("at", "ttl")
        assert 0 <= shown["progress"] <= 100
        assert "errorNum" not in await server.send("PATCH", "/_api/document/c/0001", {"at": 1}), "it waits for no build"
        assert not built.done()
        assert not any("isBuilding" in one for one in await server.listed(hidden=False))
    await built
    await pool.close()
    assert not any("isBuilding" in one for one in await server.listed(hidden=True))
