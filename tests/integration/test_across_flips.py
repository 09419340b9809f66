"""Cursors and transactions stay with the store that opened them, across flips and rollbacks; that store is reported on
request.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.model.stages import CollectionState, Stage
from tests.harness import Running, running

BOOKS = "_system/books"
DOCUMENT = "/_api/document/books"
EXPLAIN = {"X-Crossfade-Explain": "1"}
DOCUMENTS = 30


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path) as started:
        await started.client.post("/_api/collection", json={"name": "books"})
        for stage in (Stage.MIRROR, Stage.SHADOW):
            await started.move(CollectionState(stage), BOOKS)
        await started.client.post(DOCUMENT, json=[{"_key": f"k{n}", "n": n} for n in range(DOCUMENTS)])
        await started.drained()
        yield started


def served_by(answer: httpx.Response) -> str:
    """Return the answering store, as the proxy reports it on request."""
    return str(answer.headers.get("x-crossfade-served-by", ""))


async def begin(stack: Running, query: str = "FOR b IN books SORT b.n RETURN b.n") -> tuple[str, list[int], str]:
    """Start a query with several batches; return (cursor, first batch, answering store)."""
    body = {"query": query, "batchSize": 10}
    answer = await stack.client.post("/_api/cursor", json=body, headers=EXPLAIN)
    value = answer.json()
    assert value["hasMore"], value
    return value["id"], value["result"], served_by(answer)


async def read_rest(stack: Running, cursor: str) -> tuple[list[int], list[str]]:
    """Read the rest; return it and the answering store of each batch."""
    found: list[int] = []
    givers = []
    while True:
        answer = await stack.client.post(f"/_api/cursor/{cursor}", headers=EXPLAIN)
        value: dict[str, Any] = answer.json()
        assert answer.status_code == 200, value
        found += value["result"]
        givers.append(served_by(answer))
        if not value["hasMore"]:
            return found, givers


async def flip(stack: Running) -> None:
    await stack.move(CollectionState(Stage.FLIPPED, 100), BOOKS)
    assert served_by(await stack.client.get(DOCUMENT + "/k0", headers=EXPLAIN)) == "postgresql"


async def roll_back(stack: Running) -> None:
    await stack.move(CollectionState(Stage.SHADOW), BOOKS)
    assert served_by(await stack.client.get(DOCUMENT + "/k0", headers=EXPLAIN)) == "arangodb"


async def test_an_arangodb_cursor_stays_with_arangodb_after_a_flip(stack: Running) -> None:
    cursor, first, opened_by = await begin(stack)
    assert opened_by == "arangodb"
    await flip(stack)
    await stack.client.patch(DOCUMENT + "/k29", json={"n": 2900})  # the cursor's snapshot is older
    rest, givers = await read_rest(stack, cursor)
    assert first + rest == list(range(DOCUMENTS))
    assert set(givers) == {"arangodb"}
    new_cursor, _, opened_by = await begin(stack)  # a new one is of the other store
    assert opened_by == "postgresql"
    assert (await stack.client.delete(f"/_api/cursor/{new_cursor}")).status_code == 202


@pytest.mark.parametrize(
    "query", ["FOR b IN books SORT b.n RETURN b.n", "FOR b IN books SORT b.n LIMIT 100 RETURN b.n"]
)
async def test_a_postgresql_cursor_stays_with_postgresql_after_a_rollback(stack: Running, query: str) -> None:
    await flip(stack)
    cursor, first, opened_by = await begin(stack, query)
    assert opened_by == "postgresql"
    await roll_back(stack)
    await stack.client.delete(DOCUMENT + "/k29")
    rest, givers = await read_rest(stack, cursor)
    assert first + rest == list(range(DOCUMENTS))
    assert set(givers) == {"postgresql"}
    late_read = await stack.client.post(f"/_api/cursor/{cursor}")
    assert (late_read.status_code, late_read.json()["errorNum"]) == (404, 1600)


@pytest.mark.parametrize("first", ["shadow", "flipped"])
async def test_a_transaction_stays_at_the_origin_across_a_change(stack: Running, first: str) -> None:
    """Its reads go to ArangoDB; its writes are in both databases after the commit, at any stage (I7)."""
    if first == "flipped":
        await flip(stack)
    transaction = await stack.client.post("/_api/transaction/begin", json={"collections": {"write": ["books"]}})
    inside = {"x-arango-trx-id": transaction.json()["result"]["id"], **EXPLAIN}
    await stack.client.patch(DOCUMENT + "/k1", json={"n": 1000}, headers=inside)
    await (roll_back(stack) if first == "flipped" else flip(stack))
    read = await stack.client.get(DOCUMENT + "/k1", headers=inside)
    assert (read.json()["n"], served_by(read)) == (1000, "arangodb")
    outside = await stack.client.get(DOCUMENT + "/k1", headers=EXPLAIN)
    assert outside.json()["n"] == 1
    assert (await stack.client.patch(DOCUMENT + "/k2", json={"n": 2000}, headers=inside)).status_code in (201, 202)
    committed = await stack.client.put(f"/_api/transaction/{inside['x-arango-trx-id']}")
    assert committed.status_code == 200
    for key, n in (("k1", 1000), ("k2", 2000)):
        assert (await stack.client.get(f"{DOCUMENT}/{key}")).json()["n"] == n
    await stack.drained()
    assert await stack.differences(BOOKS) == []


async def test_the_answering_store_is_reported_only_on_request(stack: Running) -> None:
    """I6: byte for byte, headers included."""
    await flip(stack)
    for path in (DOCUMENT + "/k0", DOCUMENT + "/none", "/_api/version"):
        plain = await stack.client.get(path)
        unexplained = await stack.client.get(path, headers={"X-Crossfade-Explain": "0"})
        explained = await stack.client.get(path, headers=EXPLAIN)
        for answer in (plain, unexplained):
            assert not [name for name in answer.headers if "crossfade" in name.lower()]
        assert explained.headers["x-crossfade-epoch"] == str(stack.application.lease.snapshot.epoch)
        assert explained.content == plain.content
    assert served_by(await stack.client.get("/_api/version", headers=EXPLAIN)) == "arangodb"
    written = await stack.client.patch(DOCUMENT + "/k0", json={"n": 5}, headers=EXPLAIN)
    assert served_by(written) == "arangodb"
    await stack.origin.stop()
    assert served_by(await stack.client.get("/_api/version", headers=EXPLAIN)) == "crossfade"
