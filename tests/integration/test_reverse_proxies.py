"""What proxies let PostgreSQL write, ArangoDB has soon, equal to the byte; and then it takes the writes again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import sql
from tests.harness import eventually
from tests.integration.promotion_steps import Pair, pair

A, B = "_system/a", "_system/b"


@pytest.fixture
async def both(dsn: str, tmp_path: Path) -> AsyncIterator[Pair]:
    async with pair(dsn, tmp_path, "a", "b") as started:
        for name in ("a", "b"):
            await started.first.post(f"/_api/document/{name}", json=[{"_key": f"k{n}", "n": n} for n in range(5)])
        yield started


async def _carried(both: Pair) -> None:
    async def empty() -> bool:
        return (await both.stack.database.fetchval(sql.outbox.BACKLOG)).rows == 0

    await eventually(empty, "an empty outbox")


async def test_there_and_back(both: Pair) -> None:
    await both.promote(A, B)
    first, second = both.clients
    imported = "\n".join(json.dumps({"_key": f"i{n}", "text": "x" * 100}) for n in range(300))
    for client, method, path, body in (
        (first, "POST", "/_api/document/a", [{"_key": f"n{n}", "n": n} for n in range(150)]),
        (second, "PATCH", "/_api/document/a/k1", {"n": None, "more": {"a": [1, 2.5, "ü"]}}),
        (first, "PUT", "/_api/document/b/k2", {"only": True}),
        (second, "DELETE", "/_api/document/a/k3", None),
        (first, "POST", "/_api/cursor", {"query": "FOR d IN a FILTER d.n > 100 UPDATE d WITH {far: true} IN a"}),
        (second, "POST", "/_api/cursor", {"query": "FOR d IN b REMOVE d IN b"}),
        (first, "POST", "/_api/index?collection=a", {"type": "persistent", "fields": ["far"], "name": "far"}),
    ):
        answer = await client.request(method, path, json=body)
        assert answer.status_code < 300, answer.text
    answer = await second.post("/_api/import?collection=b&type=documents", content=imported)
    assert answer.json()["created"] == 300, answer.text
    await _carried(both)
    assert await both.stack.differences(A) == []
    assert await both.stack.differences(B) == []
    names = [one["name"] for one in (await both.stack.direct.get("/_api/index?collection=a")).json()["indexes"]]
    assert names == ["primary", "far"]
    shown = both.stack.application.status()["reverse"]
    assert isinstance(shown, dict)
    assert shown["refused"] == 0
    await both.withhold(A, B)
    await both.commit_demotion(A, B)
    assert (await first.post("/_api/document/a", json={"_key": "again"})).status_code in (201, 202)
    assert (await both.stack.direct.get("/_api/document/a/again")).status_code == 200
    await both.stack.drained()
    assert await both.stack.differences(A) == []
