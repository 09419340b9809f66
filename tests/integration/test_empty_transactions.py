"""Stream transactions that write nothing are committed like any other, whichever proxy began them (I10).

An ORM does this around every request: begin with declared writes, possibly read, commit.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from proxy.app import Application
from proxy.capture import open_transactions
from proxy.model.stages import CollectionState, Stage
from tests.harness import Running, eventually, running

BOOKS = "_system/books"
DOCUMENT = "/_api/document/books"
_EMPTY_UPDATE = {"query": "FOR b IN books FILTER b._key == 'nobody' UPDATE b WITH {n: 1} IN books"}


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path) as started:
        await started.client.post("/_api/collection", json={"name": "books"})
        await started.move(CollectionState(Stage.MIRROR), BOOKS)
        await started.client.post(DOCUMENT, json={"_key": "a", "n": 1})
        await started.drained()
        yield started


@contextlib.asynccontextmanager
async def proxy(stack: Running, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Another proxy of the same databases, or the same one again."""
    settings = stack.settings.model_copy(update={"state_dir": folder})
    async with (
        Application(settings) as application,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{application.port}", auth=("root", ""), timeout=30) as client,
    ):
        yield client


async def flip(stack: Running) -> None:
    for state in (CollectionState(Stage.SHADOW), CollectionState(Stage.FLIPPED, 100)):
        await stack.move(state, BOOKS)


async def stage(stack: Running) -> str:
    found: str = await stack.database.fetchval("SELECT stage FROM _crossfade.collection WHERE collection = $1", BOOKS)
    return found


async def marks(stack: Running) -> list[tuple[str, str]]:
    """Return the marks once no intent is open."""
    await stack.drained()
    return [tuple(row) for row in await stack.database.fetch("SELECT collection, reason FROM _crossfade.unverified")]


async def begin(client: httpx.AsyncClient) -> dict[str, str]:
    answer = await client.post("/_api/transaction/begin", json={"collections": {"write": ["books"]}})
    assert answer.status_code == 201
    return {"x-arango-trx-id": answer.json()["result"]["id"]}


async def end(client: httpx.AsyncClient, trx: dict[str, str], method: str = "PUT") -> int:
    return (await client.request(method, f"/_api/transaction/{trx['x-arango-trx-id']}")).status_code


async def send_requests_without_writes(client: httpx.AsyncClient, trx: dict[str, str], what: str) -> None:
    """Send requests in a transaction that write nothing."""
    if what == "reads":
        assert (await client.get(DOCUMENT + "/a", headers=trx)).status_code == 200
        assert (await client.post("/_api/cursor", json={"query": "FOR b IN books RETURN b"}, headers=trx)).is_success
    if what == "an update that matches nothing":
        assert (await client.post("/_api/cursor", json=_EMPTY_UPDATE, headers=trx)).status_code == 201
    if what == "a removal that finds nothing":
        assert (await client.delete(DOCUMENT + "/nobody", headers=trx)).status_code == 404


@pytest.mark.parametrize("flipped", [False, True], ids=["mirror", "flipped"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"], ids=["commit", "abort"])
@pytest.mark.parametrize("what", ["", "reads", "an update that matches nothing", "a removal that finds nothing"])
async def test_a_transaction_without_writes_leaves_no_mark(
    stack: Running, what: str, method: str, *, flipped: bool
) -> None:
    if flipped:
        await flip(stack)
    trx = await begin(stack.client)
    await send_requests_without_writes(stack.client, trx, what)
    assert await end(stack.client, trx, method) == 200
    assert await end(stack.client, trx, method) == 200, "a second commit is not an error"
    assert await marks(stack) == []
    assert await stage(stack) == ("flipped" if flipped else "mirror")


@pytest.mark.parametrize("flipped", [False, True], ids=["mirror", "flipped"])
async def test_another_proxy_commits_an_empty_transaction_and_refuses_one_with_writes(
    stack: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, flipped: bool
) -> None:
    monkeypatch.setattr(open_transactions, "_IDLE", 0.2)
    async with proxy(stack, tmp_path / "other") as other:
        if flipped:
            await flip(stack)
        empty = await begin(stack.client)
        await send_requests_without_writes(other, empty, "reads")
        assert await end(other, empty) == 200
        written = await begin(stack.client)
        await stack.client.post(DOCUMENT, json={"_key": "b"}, headers=written)
        assert await end(other, written) == (404 if flipped else 200)
        split = await begin(stack.client)
        await other.post(DOCUMENT, json={"_key": "c"}, headers=split)
        await stack.client.post(DOCUMENT, json={"_key": "d"}, headers=split)
        assert await end(stack.client, split) == (404 if flipped else 200), "the other proxy holds a part of it"
        if flipped:
            assert [await end(stack.client, trx, "DELETE") for trx in (written, split)] == [200, 200]
            assert (await stack.client.get(DOCUMENT + "/c")).status_code == 404
        assert await stage(stack) == ("flipped" if flipped else "mirror")
        assert await marks(stack) == []

        async def same() -> bool:
            return await stack.differences(BOOKS) == []

        await eventually(same, "each proxy applies what it holds")


async def test_after_a_restart_only_the_commit_of_a_transaction_with_writes_leaves_a_mark(
    stack: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writes of the second are in no process's memory; its journal was read again before the commit."""

    async def do_not_wait(_: Application) -> None:
        """Skip the wait for open transactions, which drain when they end."""

    monkeypatch.setattr(Application, "_drain", do_not_wait)
    folder = tmp_path / "again"
    async with proxy(stack, folder) as first:
        empty = await begin(first)
        await send_requests_without_writes(first, empty, "reads")
    async with proxy(stack, folder) as second:
        assert await end(second, empty) == 200
        written = await begin(second)
        assert (await second.post(DOCUMENT, json={"_key": "b"}, headers=written)).status_code == 202
    assert await marks(stack) == []
    async with proxy(stack, folder) as third:
        assert await end(third, written) == 200

        async def marked() -> bool:
            return [name for name, _ in await marks(stack)] == ["_system/*"]

        await eventually(marked, "the mark is in PostgreSQL")


async def test_a_commit_marks_collections_written_before_the_mirror_began(stack: Running) -> None:
    """The write was forwarded before the mirror captured it, and committed when a backfill may have passed its key."""
    await stack.client.post("/_api/collection", json={"name": "later"})
    transaction = await stack.client.post(
        "/_api/transaction/begin", json={"collections": {"write": ["books", "later"]}}
    )
    trx = {"x-arango-trx-id": transaction.json()["result"]["id"]}
    await stack.client.post("/_api/document/later", json={"_key": "l"}, headers=trx)
    await stack.client.post(DOCUMENT, json={"_key": "b"}, headers=trx)
    await stack.move(CollectionState(Stage.MIRROR), "_system/later")
    assert await end(stack.client, trx) == 200
    assert [name for name, _ in await marks(stack)] == ["_system/later"]
    assert await stack.differences(BOOKS) == []
