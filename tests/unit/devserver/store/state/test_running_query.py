"""SLEEP makes its own client wait, and no other; a query that sleeps can be killed, and writes once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from proxy.devserver.store import MemoryStore
from proxy.devserver.store.state.running_query import RunningQuery
from proxy.wire.decode import decode_parts
from tests.unit.devserver.store.kit import Client


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    Client(store).send("POST", "/_api/collection", {"name": "c"})
    return store


async def ask(store: MemoryStore, query: str, **more: Any) -> tuple[int, Any]:
    body = json.dumps({"query": query, **more}).encode()
    outcome = await store.execute(decode_parts("POST", b"/_api/cursor", [], body))
    return outcome.status, json.loads(outcome.body)


async def sleeping(store: MemoryStore, query: str, **more: Any) -> asyncio.Task[tuple[int, Any]]:
    """Return the task of a query that has reached its pause."""
    task = asyncio.get_running_loop().create_task(ask(store, query, **more))
    while not store.server.running:
        await asyncio.sleep(0)
    return task


async def test_others_are_answered_while_a_query_sleeps(store: MemoryStore) -> None:
    task = await sleeping(store, "INSERT {n: SLEEP(60) == null} INTO c RETURN NEW.n")
    assert (await ask(store, "RETURN LENGTH(c)"))[1]["result"] == [0]
    (running,) = store.server.running.values()
    assert (running.query, running.database) == ("INSERT {n: SLEEP(60) == null} INTO c RETURN NEW.n", "_system")
    running.kill()
    status, answer = await task
    assert (status, answer["errorNum"]) == (410, 1500)
    assert store.server.running == {}


async def test_what_was_written_before_a_pause_is_written_once(store: MemoryStore) -> None:
    text = "FOR n IN 1..3 INSERT {n, slept: SLEEP(0.001)} INTO c RETURN NEW.n"
    status, answer = await ask(store, text)
    assert (status, answer["result"]) == (201, [1, 2, 3])
    assert (await ask(store, "RETURN LENGTH(c)"))[1]["result"] == [3]


async def test_many_short_pauses_evaluate_a_query_a_few_times(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each evaluation sleeps about as long as all before it together, and the last one what is left."""
    slept: list[float] = []

    async def sleep(running: RunningQuery) -> None:
        slept.append(running.owed)
        await original(running)

    original = RunningQuery.sleep
    monkeypatch.setattr(RunningQuery, "sleep", sleep)
    status, answer = await ask(store, "FOR n IN 1..1000 FILTER SLEEP(0.00001) == null RETURN n")
    assert (status, len(answer["result"])) == (201, 1000)
    assert sum(slept) == pytest.approx(0.01)
    assert len(slept) < 15


async def test_a_query_that_fails_sleeps_first(store: MemoryStore) -> None:
    status, answer = await ask(store, "RETURN [SLEEP(0.002), SLEEP(0.001), FAIL('now')]")
    assert (status, answer["errorNum"]) == (400, 1569)
    assert store.server.running == {}


async def test_a_query_sleeps_no_longer_than_it_may_run(store: MemoryStore) -> None:
    status, answer = await ask(store, "RETURN SLEEP(60)", options={"maxRuntime": 0.01})
    assert (status, answer["errorNum"]) == (410, 1500)


@pytest.mark.parametrize("seconds", ["-1", "'1'", "null"])
async def test_what_is_no_time_is_null_with_a_warning(store: MemoryStore, seconds: str) -> None:
    _, answer = await ask(store, f"RETURN SLEEP({seconds})")
    assert answer["result"] == [None]
    assert [warning["code"] for warning in answer["extra"]["warnings"]] == [1542]


async def test_a_query_that_is_given_up_is_no_longer_listed(store: MemoryStore) -> None:
    task = await sleeping(store, "RETURN SLEEP(60)")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert store.server.running == {}


async def test_a_server_without_user_functions_knows_none(store: MemoryStore) -> None:
    for text in ("RETURN my::own(1)", "RETURN CALL('my::own', 1)"):
        status, answer = await ask(store, text)
        assert (status, answer["errorNum"]) == (404, 1582)


async def test_a_job_that_is_cancelled_ends_as_a_canceled_request(store: MemoryStore) -> None:
    """Unlike a query that is killed: 21, not 1500."""
    client, body = Client(store), json.dumps({"query": "RETURN SLEEP(60)"}).encode()
    accepted = await store.execute(decode_parts("POST", b"/_api/cursor", [(b"x-arango-async", b"store")], body))
    number = dict(accepted.headers)[b"x-arango-async-id"].decode()
    assert client.send("PUT", f"/_api/job/{number}/cancel") == (200, {"result": True})
    while client.send("GET", "/_api/job/done")[1] != [number]:
        await asyncio.sleep(0)
    status, answer = client.send("PUT", f"/_api/job/{number}")
    assert (status, answer["errorNum"], answer["errorMessage"]) == (410, 21, "canceled request")
