"""A minimal origin, and a mirror on it, for the tests of the mirror."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

from proxy.base.config import Settings
from proxy.base.errors import ArangoError, UpstreamUnavailable
from proxy.model.operations import Change
from proxy.model.revision import Clock, encode_rev
from proxy.replication.mirror import Mirror
from tests.ad_hoc import Database

COLLECTION = "shop/products"


class KeyedOrigin:
    """The requests of the mirror that an origin which is read by key alone does not support."""

    async def time_now(self, database: str) -> int:
        raise ArangoError(501)

    async def written_since(self, database: str, collection: str, since: int, limit: int) -> list[tuple[str, int]]:
        raise ArangoError(501)

    async def indexes(self, database: str, collection: str) -> list[dict[str, object]]:
        return []

    async def edge_collections(self, database: str) -> list[str]:
        raise ArangoError(501)

    async def is_edge(self, database: str, collection: str) -> bool:
        raise ArangoError(501)

    async def revisions(
        self, database: str, collection: str, after: str, upper: str | None, limit: int
    ) -> list[tuple[str, int]]:
        raise ArangoError(501)


class Origin(KeyedOrigin):
    """Documents by `database/name` and key, as ArangoDB would print them. It can be down, or lack a collection."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.documents: dict[str, dict[str, bytes]] = {}
        self.gone: set[str] = set()
        self.down = False
        self.reads = 0
        self.refusals: list[ArangoError] = []
        self.before_answer: Callable[[], Awaitable[None]] | None = None  # once

    def put(self, key: str, value: object, collection: str = COLLECTION) -> Change:
        """Write a document; return the change that its answer would show."""
        rev = self.clock.tick()
        name = collection.partition("/")[2]
        document = {"_key": key, "_id": f"{name}/{key}", "_rev": encode_rev(rev), "value": value}
        raw = json.dumps(document, separators=(",", ":")).encode()
        self.documents.setdefault(collection, {})[key] = raw
        return Change(collection, key, rev, raw)

    def delete(self, change: Change) -> Change:
        """Remove a document that `put` wrote; return the change that its answer would show."""
        del self.documents[change.collection][change.key]
        return Change(change.collection, change.key, change.rev, None)

    async def is_edge(self, database: str, collection: str) -> bool:
        if f"{database}/{collection}" in self.gone:
            raise ArangoError(1203)
        return False

    async def read(self, database: str, collection: str, keys: Sequence[str]) -> dict[str, bytes | None]:
        self.reads += 1
        if self.down:
            raise UpstreamUnavailable("the origin is down")
        name = f"{database}/{collection}"
        if name in self.gone:
            raise ArangoError(1203)
        if self.refusals:
            raise self.refusals.pop()
        found = {key: self.documents.get(name, {}).get(key) for key in keys}
        if self.before_answer is not None:
            before, self.before_answer = self.before_answer, None
            await before()
        return found


async def stored(database: Database, collection: str = COLLECTION) -> dict[str, bytes]:
    """Return the documents of a collection that PostgreSQL has, without tombstones."""
    relation = await database.fetchval("SELECT relation FROM _crossfade.collection WHERE collection = $1", collection)
    if relation is None:
        return {}
    rows = await database.fetch(f"SELECT key, raw::text AS raw FROM {relation} WHERE doc IS NOT NULL")
    return {row["key"]: row["raw"].encode() for row in rows}


async def marks(database: Database) -> list[tuple[str, str]]:
    """Return (collection, reason) of every needs-verification mark."""
    rows = await database.fetch("SELECT collection, reason FROM _crossfade.unverified ORDER BY id")
    return [(row["collection"], row["reason"]) for row in rows]


def settings(folder: Path, dsn: str, **overrides: object) -> Settings:
    """Return settings with limits that suit a test."""
    values: dict[str, object] = {
        "state_dir": folder,
        "dsn": dsn,
        "lost_request_timeout": 0.15,
        "batch": 20,
        **overrides,
    }
    return Settings.model_validate(values)


@contextlib.asynccontextmanager
async def running(
    folder: Path, database: Database, dsn: str, origin: Origin, *, drain: float = 0.0, era: int = 1, **overrides: object
) -> AsyncIterator[Mirror]:
    """Run a mirror."""
    mirror = Mirror(settings(folder, dsn, **overrides), database, origin, "proxy-1", lambda: era)
    await mirror.start()
    try:
        yield mirror
    finally:
        await mirror.close(drain)


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def drained(mirror: Mirror) -> None:
    """Wait until no intent is open."""
    await until(lambda: mirror.backlog == 0)
