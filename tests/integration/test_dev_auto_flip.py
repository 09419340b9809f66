"""A local stack at stage flipped: collections created through the proxy are served from PostgreSQL from the start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.base.config import load
from proxy.base.errors import ConfigurationError
from proxy.model.stages import Stage
from tests.harness import Running, running


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path, dev_auto_flip=True) as started:
        await started.default(Stage.SHADOW)
        yield started


async def stage(stack: Running, name: str) -> str | None:
    found: str | None = await stack.database.fetchval(
        "SELECT stage FROM _crossfade.collection WHERE collection = $1", f"_system/{name}"
    )
    return found


async def test_a_new_collection_is_served_from_postgresql_from_its_first_read(stack: Running) -> None:
    await stack.client.post("/_api/collection", json={"name": "books"})
    assert await stage(stack, "books") == "flipped"
    created = (await stack.client.post("/_api/document/books", json={"_key": "a", "n": 1})).json()
    # written around the proxy: what PostgreSQL serves shows that it is PostgreSQL
    await stack.direct.patch("/_api/document/books/a", json={"n": 2})
    assert (await stack.client.get("/_api/document/books/a")).json()["_rev"] == created["_rev"]


async def test_a_truncated_collection_is_flipped_again(stack: Running) -> None:
    """A truncation rolls the flip back (mirror-protocol, answer 6); the stack's user asked for flipped."""
    await stack.client.post("/_api/collection", json={"name": "books"})
    await stack.client.post("/_api/document/books", json={"_key": "a"})
    assert (await stack.client.put("/_api/collection/books/truncate")).status_code == 200
    assert await stage(stack, "books") == "flipped"
    assert (await stack.client.get("/_api/document/books/a")).status_code == 404


async def test_a_collection_written_out_of_band_stays_with_arangodb(stack: Running) -> None:
    """Gates are waived, but an incomplete copy is still never read."""
    await stack.direct.post("/_api/collection", json={"name": "old"})
    await stack.direct.post("/_api/document/old", json={"_key": "a"})
    await stack.client.post("/_api/document/old", json={"_key": "b"})
    await stack.drained()
    await stack.client.post("/_api/collection", json={"name": "books"})
    assert await stage(stack, "books") == "flipped"
    assert await stage(stack, "old") == "shadow"
    assert (await stack.client.get("/_api/document/old/a")).status_code == 200


async def test_a_collection_that_is_unverified_stays_with_arangodb(stack: Running) -> None:
    """A write that was not captured may have changed an existing document: counts cannot show that."""
    await stack.client.post("/_api/collection", json={"name": "books"})
    await stack.client.post("/_api/document/books", json={"_key": "a", "n": 1})
    expiring = {"type": "ttl", "fields": ["at"], "expireAfter": 3600}
    assert (await stack.client.post("/_api/index?collection=books", json=expiring)).status_code == 201
    await stack.client.post("/_api/collection", json={"name": "others"})
    assert (await stage(stack, "books"), await stage(stack, "others")) == ("shadow", "flipped")


async def test_a_collection_that_is_gone_is_not_found(stack: Running) -> None:
    await stack.client.post("/_api/collection", json={"name": "books"})
    await stack.client.delete("/_api/collection/books")
    await stack.client.post("/_api/collection", json={"name": "others"})
    missing = await stack.client.get("/_api/document/books/a")
    assert (missing.status_code, missing.json()["errorNum"]) == (404, 1203)


async def test_a_dropped_collection_is_not_checked_again_until_it_is_recreated(stack: Running) -> None:
    """A stack sees many collections come and go, and each check costs three round trips."""
    for name in ("books", "tomes"):
        await stack.client.post("/_api/collection", json={"name": name})
        await stack.client.delete(f"/_api/collection/{name}")
    await stack.drained()
    before = len(stack.origin.store.server.calls)
    await stack.client.post("/_api/collection", json={"name": "others"})
    requests = [call.path for call in list(stack.origin.store.server.calls)[before:]]
    assert not [path for path in requests if "books" in path or "tomes" in path]
    await stack.client.post("/_api/collection", json={"name": "books"})
    assert await stage(stack, "books") == "flipped"


def test_automatic_flips_are_refused_if_arangodb_is_on_another_machine() -> None:
    with pytest.raises(ConfigurationError, match="only for a local stack"):
        load(origin="http://db.example.org:8529", dev_auto_flip=True)
    assert load(origin="http://localhost:8529", dev_auto_flip=True).dev_auto_flip
