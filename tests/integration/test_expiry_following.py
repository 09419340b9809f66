"""What ArangoDB's TTL indexes remove disappears from PostgreSQL, and is no mismatch meanwhile."""

from __future__ import annotations

import asyncio
import functools
import time
from pathlib import Path
from typing import Any, Final

import pytest

from proxy.devserver.store import MemoryStore
from proxy.model.stages import CollectionState, Stage
from proxy.replication import mirror
from proxy.replication.expiry_following import ExpiryFollower, TtlIndex, ttl_indexes
from tests.harness import Running, eventually, running

BOOKS: Final = "_system/books"
DOCUMENT: Final = "/_api/document/books"


def rounds(monkeypatch: pytest.MonkeyPatch, interval: float) -> None:
    """Let rounds follow each other after `interval` seconds."""
    monkeypatch.setattr(mirror, "ExpiryFollower", functools.partial(ExpiryFollower, interval=interval))


async def prepare(stack: Running, stage: Stage) -> None:
    """Create a collection with a TTL index in ArangoDB, move it to a stage, and write documents through the proxy."""
    await stack.direct.post("/_api/collection", json={"name": "books"})
    index = {"type": "ttl", "fields": ["at.end"], "expireAfter": 60}
    assert (await stack.direct.post("/_api/index?collection=books", json=index)).status_code == 201
    await stack.move(CollectionState(Stage.MIRROR), BOOKS)
    now = time.time()
    moments: dict[str, Any] = {
        "over": now - 3600,
        "date": "2001-02-03",
        "still": now,
        "never": "tomorrow",
        "none": None,
    }
    for key, moment in moments.items():
        await stack.client.post(DOCUMENT, json={"_key": key, "at": {"end": moment}})
    await stack.drained()
    if stage is not Stage.MIRROR:
        await stack.move(CollectionState(Stage.SHADOW), BOOKS)
        await stack.move(CollectionState(stage, 100 if stage is Stage.FLIPPED else 0), BOOKS)


async def keys(stack: Running) -> set[str]:
    rows = await stack.database.fetch("SELECT key FROM _system.books WHERE doc IS NOT NULL")
    return {row["key"] for row in rows}


async def test_what_arangodb_expires_is_removed_and_nothing_else(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds(monkeypatch, 0.05)
    store = MemoryStore()
    async with running(dsn, tmp_path, store=store) as stack:
        await prepare(stack, Stage.MIRROR)

        async def indexed() -> bool:
            text = "SELECT count(*) FROM pg_indexes WHERE schemaname = '_system' AND indexname LIKE 'ttl/%'"
            return bool(await stack.database.fetchval(text) == 1)

        await eventually(indexed, "the index of moments exists")
        await asyncio.sleep(0.3)
        assert await keys(stack) == {"over", "date", "still", "never", "none"}, "ArangoDB has not removed them yet"
        assert store.expire() == 2

        async def followed() -> bool:
            return await keys(stack) == {"still", "never", "none"}

        await eventually(followed, "expired documents are removed")
        assert await stack.differences(BOOKS) == []
        await stack.client.post(DOCUMENT, json={"_key": "over", "n": 1})
        await stack.drained()
        assert await stack.differences(BOOKS) == []


async def test_an_expired_document_is_no_mismatch(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds(monkeypatch, 3600)
    store = MemoryStore()
    async with running(dsn, tmp_path, store=store) as stack:
        await prepare(stack, Stage.SHADOW)
        assert store.expire() == 2
        assert (await stack.client.get(f"{DOCUMENT}/over")).status_code == 404
        answer = await stack.client.post("/_api/cursor", json={"query": "FOR b IN books SORT b._key RETURN b"})
        assert len(answer.json()["result"]) == 3
        await stack.application.shadow.idle()
        mismatches = await stack.database.fetch("SELECT class, paths FROM _crossfade.mismatch")
        assert [tuple(row) for row in mismatches] == []
        assert await keys(stack) == {"still", "never", "none"}


async def test_a_flipped_read_does_not_show_it_for_long(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds(monkeypatch, 0.05)
    store = MemoryStore()
    async with running(dsn, tmp_path, store=store) as stack:
        await prepare(stack, Stage.FLIPPED)
        explained = {"x-crossfade-explain": "1"}
        read = await stack.client.get(f"{DOCUMENT}/over", headers=explained)
        assert (read.status_code, read.headers["x-crossfade-served-by"]) == (200, "postgresql")
        store.expire()

        async def gone() -> bool:
            return (await stack.client.get(f"{DOCUMENT}/over")).status_code == 404

        await eventually(gone, "the expired document is gone")


def test_only_ttl_indexes_count() -> None:
    shown: list[dict[str, object]] = [
        {"type": "primary", "id": "c/0", "fields": ["_key"]},
        {"type": "ttl", "id": "c/17", "fields": ["a.b"], "expireAfter": 5},
        {"type": "ttl", "id": "c/18", "fields": ["a"]},
    ]
    assert ttl_indexes(shown) == (TtlIndex(17, ("a", "b"), 5.0),)
