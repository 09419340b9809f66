"""Asynchronous jobs through a proxy: what they write is mirrored, and their results are kept (protocol page)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.capture import async_jobs
from proxy.model.stages import CollectionState, Stage
from proxy.wire.auth import make_token
from tests.harness import Running, eventually, running

BOOKS = "_system/books"
DOCUMENT = "/_api/document/books"
STORE, FORGET = {"x-arango-async": "store"}, {"x-arango-async": "true"}


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path) as started:
        await started.client.post("/_api/collection", json={"name": "books"})
        await started.move(CollectionState(Stage.MIRROR), BOOKS)
        yield started


async def wait_until_done(stack: Running, number: str) -> None:
    async def is_done() -> bool:
        return (await stack.client.get(f"/_api/job/{number}")).status_code == 200

    await eventually(is_done, "the job is done")


async def assert_same(stack: Running) -> None:
    await stack.drained()
    assert await stack.differences(BOOKS) == []
    assert await stack.database.fetchval("SELECT count(*) FROM _crossfade.unverified") == 0


async def test_a_stored_job_is_captured_and_its_result_fetched_once(stack: Running) -> None:
    """I3, I10."""
    accepted = await stack.client.post(DOCUMENT, json={"_key": "a"}, headers=STORE)
    assert (accepted.status_code, accepted.content) == (202, b"")
    number = accepted.headers["x-arango-async-id"]
    await wait_until_done(stack, number)
    assert number in (await stack.client.get("/_api/job/done")).json()
    assert number not in (await stack.client.get("/_api/job/pending")).json()
    result = await stack.client.put(f"/_api/job/{number}")
    assert (result.status_code, result.json()["_key"]) == (202, "a")
    assert result.headers["x-arango-async-id"] == number
    assert (await stack.client.put(f"/_api/job/{number}")).status_code == 404
    await assert_same(stack)


async def test_a_job_whose_result_is_never_fetched_is_captured(stack: Running) -> None:
    accepted = await stack.client.post(DOCUMENT, json={"_key": "a"}, headers=FORGET)
    assert (accepted.status_code, "x-arango-async-id" in accepted.headers) == (202, False)

    async def written() -> bool:
        return (await stack.direct.get(DOCUMENT + "/a")).status_code == 200

    await eventually(written, "the job is executed")
    await assert_same(stack)


async def test_only_the_owner_of_a_job_can_fetch_or_delete_its_result(stack: Running) -> None:
    numbers = []
    for key in "abc":
        accepted = await stack.client.post(DOCUMENT, json={"_key": key}, headers=STORE)
        numbers.append(accepted.headers["x-arango-async-id"])
        await wait_until_done(stack, numbers[-1])
    for method, path in (("GET", ""), ("PUT", ""), ("PUT", "/cancel"), ("DELETE", "")):
        other_user = await stack.client.request(method, f"/_api/job/{numbers[0]}{path}", auth=("stranger", "x"))
        assert other_user.status_code == 404
    await stack.client.delete("/_api/job/all", auth=("stranger", "x"))
    assert (await stack.client.get("/_api/job/done", auth=("stranger", "x"))).json() == []
    other = {"authorization": f"bearer {make_token('root', b'', time.time())}"}  # the same user, by a token
    renewed = await stack.client.get(f"/_api/job/{numbers[0]}", headers=other, auth=lambda request: request)
    assert renewed.status_code == 200
    assert (await stack.client.delete(f"/_api/job/{numbers[0]}")).json() == {"result": True}
    assert (await stack.client.get(f"/_api/job/{numbers[0]}")).status_code == 404
    assert (await stack.client.put(f"/_api/job/{numbers[1]}/cancel")).json() == {"result": True}
    assert (await stack.client.delete("/_api/job/expired?stamp=1")).status_code == 200
    assert (await stack.client.get("/_api/job/done?count=5")).json() == [numbers[2]]
    await stack.client.delete("/_api/job/all")
    assert (await stack.client.get("/_api/job/done")).json() == []


async def test_jobs_without_mirrored_writes_are_left_to_arangodb(stack: Running) -> None:
    accepted = await stack.client.get("/_api/version", headers=STORE)
    number = accepted.headers["x-arango-async-id"]
    assert not number.startswith("9002")
    assert number in (await stack.client.get("/_api/job/done")).json()
    assert (await stack.client.put(f"/_api/job/{number}")).json()["server"] == "arango"


async def test_too_many_jobs_are_refused_and_old_results_are_evicted(
    stack: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(async_jobs, "_MOST", 1)
    first = await stack.client.post(DOCUMENT, json={"_key": "a"}, headers=STORE)
    await wait_until_done(stack, first.headers["x-arango-async-id"])
    second = await stack.client.post(DOCUMENT, json={"_key": "b"}, headers=STORE)
    assert second.status_code == 202
    assert (await stack.client.get(f"/_api/job/{first.headers['x-arango-async-id']}")).status_code == 404
    monkeypatch.setattr(async_jobs, "_MOST", 0)
    stack.application.dispatcher._writes._jobs._jobs.clear()
    full = await stack.client.post(DOCUMENT, json={"_key": "c"}, headers=STORE)
    assert (full.status_code, full.json()["errorNum"]) == (503, 21003)
