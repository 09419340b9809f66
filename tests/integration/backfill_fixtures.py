"""Fixtures of the backfill tests: a registered collection, workers, and a mirror that is late."""

from __future__ import annotations

import asyncio
from typing import Any

import sql
from backfill import run_store
from backfill.run_planner import plan_backfill
from backfill.source import ArangoSource
from backfill.worker import WorkerOptions, Workers
from proxy.model.documents import to_jsonb
from tests.ad_hoc import Database
from tests.integration.stub_origin import StubOrigin

NAME = "shop/carts"


async def register(database: Database, collection: str = NAME, stage: str = "mirror") -> str:
    """Register the collection at that stage; return its relation."""
    base, _, name = collection.partition("/")
    await database.execute("SELECT _crossfade.ensure_collection($1, $2)", base, name)
    await database.execute("UPDATE _crossfade.collection SET stage = $2 WHERE collection = $1", collection, stage)
    return str(await database.fetchval("SELECT relation FROM _crossfade.collection WHERE collection = $1", collection))


async def work(database: Database, source: ArangoSource, chosen: list[int] | None, **options: Any) -> None:
    workers = Workers(database, database, source, WorkerOptions(poll=0.02, **options), asyncio.Event())
    await workers.work(chosen)


async def stored(database: Database, relation: str) -> dict[str, bytes]:
    rows = await database.fetch(f"SELECT key, raw::text AS raw FROM {relation} WHERE doc IS NOT NULL ORDER BY key")
    return {row["key"]: row["raw"].encode() for row in rows}


async def claimed(database: Database, source: ArangoSource) -> run_store.Claim:
    run = await plan_backfill(database, source, NAME)
    claim = await run_store.claim(database, "me", [run])
    assert claim is not None
    return claim


class LateMirror:
    """Writes of proxies during a backfill, by the same statements, late and out of order."""

    def __init__(self, database: Database, origin: StubOrigin, relation: str) -> None:
        self._database = database
        self._origin = origin
        self._relation = relation

    async def put(self, key: str, content: str) -> None:
        era = await self._database.fetchval("SELECT era FROM _crossfade.era")
        rev = self._origin.put(NAME, key, content)
        raw = self._origin.document(NAME, key).decode()
        await asyncio.sleep(0)
        upsert = sql.documents.UPSERT.on(self._relation)
        await self._database.execute(upsert, NAME, [key], [rev], [raw], [to_jsonb(raw.encode())], [era])

    async def remove(self, key: str) -> None:
        era = await self._database.fetchval("SELECT era FROM _crossfade.era")
        rev = self._origin.remove(NAME, key)
        await asyncio.sleep(0)
        await self._database.execute(sql.documents.REMOVE.on(self._relation), NAME, [key], [rev], [era])
