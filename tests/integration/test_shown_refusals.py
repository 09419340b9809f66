"""What a refused write shows of a flipped collection, PostgreSQL has before the client sees the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy.model.stages import CollectionState, Stage
from tests.harness import Running, running

BOOKS = "_system/books"
DOCUMENT = "/_api/document/books"


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    """Flip a collection, and change two documents at ArangoDB as a write does that PostgreSQL does not have yet."""
    async with running(dsn, tmp_path) as started:
        await started.client.post("/_api/collection", json={"name": "books"})
        unique = {"type": "persistent", "fields": ["isbn"], "unique": True, "sparse": True}
        await started.client.post("/_api/index?collection=books", json=unique)
        await started.move(CollectionState(Stage.MIRROR), BOOKS)
        await started.client.post(DOCUMENT, json={"_key": "gone"})
        await started.drained()
        for state in (CollectionState(Stage.SHADOW), CollectionState(Stage.FLIPPED, 100)):
            await started.move(state, BOOKS)
        await started.direct.post(DOCUMENT, json={"_key": "new", "isbn": 7})
        await started.direct.delete(f"{DOCUMENT}/gone")
        assert await started.differences(BOOKS) != []
        yield started


_INSERT = "INSERT @document INTO books"
REFUSED: list[tuple[str, str, Any, str]] = [
    ("POST", "", [{"_key": "new"}, {"_key": "other"}], "new"),
    ("POST", "", [{"n": 1}, {"_key": "new"}], "new"),  # a key of the first is ArangoDB's to make
    ("POST", "", {"isbn": 7}, "new"),  # in a unique index: the key of the other document is in the message
    ("POST", "", [{"isbn": 8}, {"isbn": 7}], "new"),
    ("PATCH", "", [{"_key": "gone", "n": 1}], "gone"),
    ("DELETE", "", ["gone"], "gone"),
    ("DELETE", "/gone", None, "gone"),
    ("POST", "AQL", {"query": _INSERT, "bindVars": {"document": {"_key": "new"}}}, "new"),
    ("POST", "AQL", {"query": _INSERT, "bindVars": {"document": {"isbn": 7}}}, "new"),
]


@pytest.mark.parametrize("transaction", [False, True], ids=["alone", "in a transaction"])
@pytest.mark.parametrize(("method", "path", "body", "key"), REFUSED, ids=str)
async def test_a_later_read_shows_no_less_than_a_refusal(
    stack: Running, method: str, path: str, body: Any, key: str, transaction: bool
) -> None:
    headers = {"X-Crossfade-Explain": "1"}
    inside = {}
    if transaction:
        begun = await stack.client.post("/_api/transaction/begin", json={"collections": {"write": "books"}})
        inside = {"x-arango-trx-id": begun.json()["result"]["id"]}
    target = "/_api/cursor" if path == "AQL" else f"{DOCUMENT}{path}"
    answer = await stack.client.request(method, target, json=body, headers=inside)
    assert "errorNum" in answer.text
    read = await stack.client.get(f"{DOCUMENT}/{key}", headers=headers)
    assert (read.headers["x-crossfade-served-by"], read.status_code) == ("postgresql", 404 if key == "gone" else 200)
    query = {"query": "FOR b IN books FILTER b._key == @key RETURN b._key", "bindVars": {"key": key}}
    found = await stack.client.post("/_api/cursor", json=query, headers=headers)
    assert found.headers["x-crossfade-served-by"] == "postgresql"
    assert found.json()["result"] == ([] if key == "gone" else [key])
