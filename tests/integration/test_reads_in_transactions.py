"""Reads in stream transactions are compared if the transaction has written nothing, and never raise a false alarm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy.model.stages import CollectionState, Stage
from proxy.operator import shapes
from tests.harness import Running, running

BOOKS = "_system/books"
QUERY = {"query": "FOR b IN books SORT b._key RETURN b"}


@pytest.fixture(params=[CollectionState(Stage.SHADOW), CollectionState(Stage.FLIPPED, 100)], ids=["shadow", "flipped"])
async def stack(request: pytest.FixtureRequest, dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path) as running_stack:
        await running_stack.direct.post("/_api/collection", json={"name": "books"})
        await running_stack.move(CollectionState(Stage.MIRROR), BOOKS)
        await running_stack.client.post("/_api/document/books", json=[{"_key": f"k{n}", "n": n} for n in range(3)])
        await running_stack.drained()
        for state in (CollectionState(Stage.SHADOW), request.param):
            await running_stack.move(state, BOOKS)
        yield running_stack


async def _begin(stack: Running, **collections: list[str]) -> dict[str, str]:
    """Begin a transaction; return its headers."""
    body = {"collections": collections or {"read": ["books"]}}
    answer = await stack.client.post("/_api/transaction/begin", json=body)
    return {"x-arango-trx-id": answer.json()["result"]["id"]}


async def _account(stack: Running) -> dict[str, tuple[int, int, int]]:
    """Return by shape: compared equal, compared different, not compared."""
    await stack.application.shadow.idle()
    await stack.application.coverage.flush()
    rows = await shapes.listed(stack.database, [BOOKS])
    return {row.text: (row.matched, row.mismatched, row.skipped) for row in rows}


async def _read_all(stack: Running, headers: dict[str, str]) -> list[Any]:
    one = await stack.client.get("/_api/document/books/k1", headers=headers)
    assert one.status_code == 200
    many = await stack.client.put("/_api/document/books?onlyget=true", json=["k0", "k1"], headers=headers)
    assert many.status_code == 200
    rows = await stack.client.post("/_api/cursor", json=QUERY, headers=headers)
    assert rows.status_code == 201
    result: list[Any] = rows.json()["result"]
    return result


async def test_reads_of_a_transaction_that_has_written_nothing_are_compared(stack: Running) -> None:
    headers = await _begin(stack)
    await _read_all(stack, headers)
    account = await _account(stack)
    assert len(account) == 3
    assert set(account.values()) == {(1, 0, 0)}
    number = headers["x-arango-trx-id"]
    assert (await stack.client.put(f"/_api/transaction/{number}")).status_code == 200


async def test_concurrent_writes_during_a_transaction_are_not_a_mismatch(stack: Running) -> None:
    """Its snapshot is older than what PostgreSQL has: the recheck reads both sides outside of it."""
    headers = await _begin(stack)
    await stack.client.get("/_api/document/books/k0", headers=headers)
    await asyncio.gather(*(stack.client.patch(f"/_api/document/books/k{n}", json={"n": 9}) for n in range(3)))
    await _read_all(stack, headers)
    assert {mismatched for _, mismatched, _ in (await _account(stack)).values()} == {0}
    assert await stack.database.fetchval("SELECT count(*) FROM _crossfade.mismatch") == 0


async def test_reads_after_own_writes_see_them_and_are_not_compared(stack: Running) -> None:
    headers = await _begin(stack, write=["books"])
    await stack.client.post("/_api/document/books", json={"_key": "own"}, headers=headers)
    rows = await _read_all(stack, headers)
    assert [row["_key"] for row in rows] == ["k0", "k1", "k2", "own"]
    assert {(matched, mismatched) for matched, mismatched, _ in (await _account(stack)).values()} == {(0, 0)}
    await stack.client.put(f"/_api/transaction/{headers['x-arango-trx-id']}")


async def test_a_real_difference_is_found_through_a_transaction(stack: Running) -> None:
    await stack.database.execute("UPDATE _system.books SET raw = (raw::jsonb || '{\"n\": 7}')::json WHERE key = 'k1'")
    headers = await _begin(stack)
    await stack.client.get("/_api/document/books/k1", headers=headers)
    # in a flip what ArangoDB shows is brought into PostgreSQL before the answer: nothing differs any more
    flipped = stack.application.lease.snapshot.state(BOOKS).stage is Stage.FLIPPED
    assert (await _account(stack))["document.read"] == ((1, 0, 0) if flipped else (0, 1, 0))
