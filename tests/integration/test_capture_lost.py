"""I3: ArangoDB executed a write, and its answer was lost.

In the end both databases are equal, or a mark states that they may differ.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy.base.errors import UpstreamOutcomeUnknown
from proxy.capture import aql_plan, open_transactions
from proxy.model.message import Request, Response
from proxy.model.stages import CollectionState, Stage
from tests.harness import Running, running

BOOKS, LINKS = "_system/books", "_system/links"


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path) as started:
        await started.move(CollectionState(Stage.MIRROR), "_system/*")
        await started.client.post("/_api/collection", json={"name": "books"})
        await started.client.post("/_api/collection", json={"name": "links", "type": 3})
        definition = {"collection": "links", "from": ["books"], "to": ["books"]}
        await started.client.post("/_api/gharial", json={"name": "g", "edgeDefinitions": [definition]})
        await started.client.post("/_api/document/books", json=[{"_key": f"k{n}", "n": n} for n in range(9)])
        await started.client.post("/_api/document/links", json={"_from": "books/k1", "_to": "books/k2"})
        await started.drained()
        yield started


def lose(stack: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next request reach ArangoDB, and drop its answer."""
    origin = stack.application.origin
    real = origin.request

    async def lost(request: Request, *, idempotent: bool = False) -> Response:
        monkeypatch.setattr(origin, "request", real)
        await real(request)
        raise UpstreamOutcomeUnknown("cut off in the middle of an answer")

    monkeypatch.setattr(origin, "request", lost)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/_api/collection/books/truncate", None),
        ("DELETE", "/_api/collection/links", None),
        ("POST", "/_api/import?collection=books&type=documents", '{"_key":"a"}\n{"_key":"k1","m":1}\n'),
        ("POST", "/_api/import?collection=books&type=documents", '{"n":1}\n{"n":2}\n'),
        ("POST", "/_api/import?collection=books&type=documents&overwrite=true", '{"_key":"a"}\n'),
        ("POST", "/_api/cursor", {"query": "FOR d IN books UPDATE d WITH {m: 1} IN books"}),
        ("POST", "/_api/cursor", {"query": "FOR d IN books FILTER d.n > 5 REMOVE d IN books"}),
        ("POST", "/_api/gharial/g/vertex/books", {"n": 1}),
        ("DELETE", "/_api/gharial/g/vertex/books/k1", None),
        ("PUT", "/_api/simple/remove-by-keys", {"collection": "books", "keys": ["k3"]}),
    ],
)
async def test_a_lost_answer_loses_no_write(
    stack: Running, monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: Any
) -> None:
    lose(stack, monkeypatch)
    content = {"content": body} if isinstance(body, str) else {"json": body} if body is not None else {}
    answer = await stack.client.request(method, path, **content)
    assert answer.status_code == 503
    await stack.drained()
    assert await stack.differences(BOOKS) == []
    assert await stack.differences(LINKS) == []
    assert await stack.database.fetchval("SELECT count(*) FROM _crossfade.unverified") == 0


@pytest.mark.parametrize("verb", ["UPDATE d WITH {m: 1} IN books", "REMOVE d IN books"])
async def test_a_lost_batch_of_a_cursor_loses_no_write(
    stack: Running, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """Its documents are found by their revisions; removals by a comparison of the complete collection."""
    monkeypatch.setattr(aql_plan, "_BATCH", 3)
    origin = stack.application.origin
    real = origin.request

    async def second_lost(request: Request, *, idempotent: bool = False) -> Response:
        response = await real(request, idempotent=idempotent)
        if request.target.startswith(b"/_api/cursor/") and request.method == "POST":
            monkeypatch.setattr(origin, "request", real)
            raise UpstreamOutcomeUnknown("cut off in the middle of an answer")
        return response

    monkeypatch.setattr(origin, "request", second_lost)
    answer = await stack.client.post(
        "/_api/cursor", json={"query": f"FOR d IN books {verb} RETURN OLD", "batchSize": 3}
    )
    assert answer.status_code == 503
    await stack.drained()
    assert await stack.differences(BOOKS) == []
    assert await stack.database.fetchval("SELECT count(*) FROM _crossfade.unverified") == 0


@pytest.mark.parametrize("step", ["write", "commit"])
async def test_a_lost_answer_in_a_transaction_is_resolved_at_its_end(
    stack: Running, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """mirror-protocol, answer 7."""
    monkeypatch.setattr(open_transactions, "_LOOK", 0.02)
    transaction = await stack.client.post("/_api/transaction/begin", json={"collections": {"write": ["books"]}})
    number = transaction.json()["result"]["id"]
    trx = {"x-arango-trx-id": number}
    if step == "write":
        lose(stack, monkeypatch)
    answer = await stack.client.post("/_api/document/books", json={"_key": "a"}, headers=trx)
    assert answer.status_code == (503 if step == "write" else 202)
    if step == "commit":
        lose(stack, monkeypatch)
    await stack.client.put(f"/_api/transaction/{number}")
    await stack.drained()
    assert await stack.differences(BOOKS) == []
    assert await stack.database.fetchval("SELECT count(*) FROM _system.books WHERE key = 'a'") == 1
