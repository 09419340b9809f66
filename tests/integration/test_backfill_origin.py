"""The source against the development ArangoDB server: its requests are valid, its pages contain every key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from arango.client import ArangoClient

from backfill import run_store
from backfill.key_repair import repair_keys
from backfill.run_planner import plan_backfill, plan_verification
from backfill.source import ArangoSource
from proxy.base.errors import ArangoError
from proxy.devserver.serve import DevelopmentServer
from tests.ad_hoc import Database
from tests.integration.backfill_fixtures import register, stored, work

KEYS = ["Zebra", "apple", "_x", "x-y", "x_y", "10", "9", "a:b", "a.b", "@", "(", "%41"]


@pytest.fixture
async def server() -> AsyncIterator[DevelopmentServer]:
    async with DevelopmentServer() as started:
        yield started


@pytest.fixture
async def source(server: DevelopmentServer) -> AsyncIterator[ArangoSource]:
    opened = ArangoSource(server.url, "root", "", threads=3, retry_seconds=5)
    yield opened
    await opened.close()


async def load(server: DevelopmentServer, documents: list[dict[str, Any]]) -> None:
    """Insert documents with an ordinary client, as a service would."""

    def insert() -> None:
        client = ArangoClient(hosts=server.url)
        client.db("_system").create_database("shop")
        shop = client.db("shop")
        shop.create_collection("carts")
        shop.collection("carts").insert_many(documents)
        client.close()

    await asyncio.to_thread(insert)


async def test_a_collection_is_copied_verified_and_repaired(
    database: Database, server: DevelopmentServer, source: ArangoSource
) -> None:
    relation = await register(database)
    odd = {"nul": "a\x00b", "one": 1.0, "exact": 2**53 + 1, "most": 2**64 - 1, "huge": 1e300, "deep": {"": [{}, None]}}
    await load(server, [{"_key": key, **odd} for key in KEYS])
    await work(database, source, [await plan_backfill(database, source, "shop/carts")])
    printed = await source.read("shop", "carts", KEYS)
    assert await stored(database, relation) == {key: printed[key] for key in sorted(KEYS)}

    await database.execute(f"DELETE FROM {relation} WHERE key = 'Zebra'")
    await database.execute(f"UPDATE {relation} SET doc = '{{}}' WHERE key = 'apple'")
    run = await plan_verification(database, source, "shop/carts", full=True, repair=True)
    await work(database, source, [run])
    [status] = await run_store.statuses(database, [run])
    assert status.result["keys"] == {"missing": ["Zebra"], "different": ["apple"]}
    assert (status.result["repaired"], status.result["differences"], status.result["checked"]) == (2, 0, 12)
    assert (await repair_keys(database, source, "shop/carts", ["nobody"])).removed == {"nobody"}


async def test_pages_of_one_document_hold_every_key_once(server: DevelopmentServer, source: ArangoSource) -> None:
    await load(server, [{"_key": key} for key in KEYS])
    found: list[str] = []
    while True:
        page = await source.page("shop", "carts", found[-1] if found else "", None, 1)
        if page.last:
            break
        found += [document.key for document in page.documents]
    assert found == sorted(KEYS, key=str.encode)
    revisions = await source.revisions("shop", "carts", "10", "a.b", 100)
    assert [key for key, _ in revisions.entries] == ["9", "@", "Zebra", "_x", "a.b"]
    assert dict(revisions.entries) == await source.revisions_of("shop", "carts", ["9", "@", "Zebra", "_x", "a.b", "no"])
    assert await source.sample_keys("shop", "carts", 12, 3) == ["10", "Zebra", "a:b"]
    assert await source.sample_keys("shop", "carts", 1_000, 3) == []  # fewer than were counted
    assert await source.sample_keys("shop", "carts", 3, 5) == []
    assert await source.count("shop", "carts") == 12


async def test_missing_documents_collections_and_databases_are_distinguished(
    server: DevelopmentServer, source: ArangoSource
) -> None:
    await load(server, [])
    assert await source.read("shop", "carts", ["a"]) == {"a": None}
    for asked in (source.read("shop", "nothing", ["a"]), source.page("shop", "nothing", "", None, 1)):
        with pytest.raises(ArangoError) as caught:
            await asked
        assert caught.value.number == 1203
    with pytest.raises(ArangoError) as caught:
        await source.count("nowhere", "carts")
    assert caught.value.number == 1228
