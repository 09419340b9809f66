"""Queries over PostgreSQL alone while they run, and afterwards: listed, killed, asleep, slow, with their profile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from proxy.complete import CompleteStore
from proxy.model.operations import Outcome
from proxy.wire.decode import decode_parts
from tests.ad_hoc import Database
from tests.complete_fixtures import complete_store


class Server:
    """Requests to a store whose collection `c` has the document `a`."""

    def __init__(self, store: CompleteStore, database: Database) -> None:
        self.store = store
        self.database = database

    async def send(self, method: str, path: str, body: Any = None, transaction: str | None = None) -> tuple[int, Any]:
        headers = [] if transaction is None else [(b"x-arango-trx-id", transaction.encode())]
        raw = b"" if body is None else json.dumps(body).encode()
        outcome: Outcome = await self.store.execute(decode_parts(method, path.encode(), headers, raw))
        return outcome.status, json.loads(outcome.body)

    async def query(self, text: str, transaction: str | None = None, **options: Any) -> tuple[int, Any]:
        return await self.send("POST", "/_api/cursor", {"query": text, "options": options}, transaction)

    async def running(self, text: str, transaction: str | None = None) -> tuple[asyncio.Task[tuple[int, Any]], Any]:
        """Begin a query; return its task, and what is shown of it when it is listed."""
        task = asyncio.get_running_loop().create_task(self.query(text, transaction))
        while True:
            _, listed = await self.send("GET", "/_api/query/current")
            if listed:
                return task, listed[0]
            assert not task.done(), task.result()
            await asyncio.sleep(0.005)


@pytest.fixture
async def server(dsn: str) -> AsyncIterator[Server]:
    async with complete_store(dsn) as store:
        database = await Database.open(dsn, size=2)
        server = Server(store, database)
        await server.send("POST", "/_api/collection", {"name": "c"})
        await server.send("POST", "/_api/document/c", {"_key": "a", "n": 1})
        yield server
        await database.close()


@pytest.mark.parametrize(
    ("text", "modifies"),
    [("FOR d IN c FILTER d.n == 1 RETURN d", False), ("FOR d IN c UPDATE d WITH {n: d.n + 1} IN c", True)],
)
async def test_a_query_that_waits_for_a_lock_is_listed_and_can_be_killed(
    server: Server, text: str, modifies: bool
) -> None:
    table = await server.database.fetchval("SELECT relation FROM _crossfade.collection WHERE collection = '_system/c'")
    async with server.database.transaction() as session:
        await session.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        task, shown = await server.running(text)
        assert (shown["query"], shown["state"], shown["modificationQuery"]) == (text, "executing", modifies)
        status, answer = await server.send("DELETE", f"/_api/query/{shown['id']}")
        assert (status, answer) == (200, {"error": False, "code": 200})
        status, answer = await task
    assert (status, answer["errorNum"]) == (410, 1500)
    assert (await server.send("GET", "/_api/query/current"))[1] == []
    assert (await server.query("RETURN DOCUMENT('c/a').n"))[1]["result"] == [1]
    assert (await server.send("DELETE", f"/_api/query/{shown['id']}"))[0] == 404


async def test_a_query_sleeps_without_a_connection_and_writes_once(server: Server) -> None:
    asleep = [await server.running("INSERT {n: SLEEP(60) == null} INTO c RETURN NEW.n") for _ in range(1)]
    others = [asyncio.create_task(server.query("RETURN SLEEP(60)")) for _ in range(10)]
    await asyncio.sleep(0.02)
    assert (await server.query("RETURN LENGTH(c)"))[1]["result"] == [1]
    assert len((await server.send("GET", "/_api/query/current"))[1]) == 11
    for one in (await server.send("GET", "/_api/query/current"))[1]:
        await server.send("DELETE", f"/_api/query/{one['id']}")
    for task in (*(task for task, _ in asleep), *others):
        assert (await task)[1]["errorNum"] == 1500
    text = "FOR n IN 1..3 INSERT {n, slept: SLEEP(0.001)} INTO c RETURN NEW.n"
    assert (await server.query(text))[1]["result"] == [1, 2, 3]
    assert (await server.query("FOR d IN c FILTER d.n == 1 SORT d._key RETURN SLEEP(0.001)"))[1]["result"] == [None] * 2
    assert (await server.query("RETURN LENGTH(c)"))[1]["result"] == [4]


async def test_a_query_of_a_stream_transaction_sleeps_and_is_killed_alone(server: Server) -> None:
    _, begun = await server.send("POST", "/_api/transaction/begin", {"collections": {"write": ["c"]}})
    number = begun["result"]["id"]
    text = "FOR n IN 1..2 INSERT {n, slept: SLEEP(0.001)} INTO c RETURN NEW.n"
    assert (await server.query(text, number))[1]["result"] == [1, 2]
    task, shown = await server.running("RETURN SLEEP(60)", number)
    await server.send("DELETE", f"/_api/query/{shown['id']}")
    assert (await task)[1]["errorNum"] == 1500
    assert (await server.query("RETURN LENGTH(c)"))[1]["result"] == [1]
    assert (await server.send("PUT", f"/_api/transaction/{number}"))[0] == 200
    assert (await server.query("RETURN LENGTH(c)"))[1]["result"] == [3]


@pytest.mark.parametrize("text", ["FOR d IN c RETURN d.n", "FOR d IN c UPDATE d WITH {m: 1} IN c RETURN NEW.n"])
@pytest.mark.parametrize("within", [False, True])
async def test_a_profile_shows_stages_plan_and_figures(server: Server, text: str, within: bool) -> None:
    await server.send("POST", "/_api/document/c", [{"n": 2}, {"n": 3}])
    number = None
    if within:
        _, begun = await server.send("POST", "/_api/transaction/begin", {"collections": {"write": ["c"]}})
        number = begun["result"]["id"]
    status, answer = await server.query(text, number, profile=2)
    assert (status, len(answer["result"])) == (201, 3)
    extra = answer["extra"]
    assert {"parsing", "optimizing plan", "executing"} <= extra["profile"].keys()
    assert extra["plan"]["estimatedNrItems"] == 3
    assert extra["stats"]["nodes"][-1]["items"] == 3
    _, answer = await server.query(text, number, profile=1)
    assert answer["extra"].keys() == {"warnings", "stats", "profile"}


@pytest.mark.parametrize("text", ["RETURN APPLY('a::b', [1])", "RETURN CALL('a::b', 1)", "RETURN a::b(1)"])
async def test_a_function_of_a_user_is_not_found(server: Server, text: str) -> None:
    status, answer = await server.query(text)
    assert (status, answer["errorNum"]) == (404, 1582)


async def test_slow_queries_are_remembered_once_with_their_errors(server: Server) -> None:
    await server.send("PUT", "/_api/query/properties", {"slowQueryThreshold": 0})
    sent = ["RETURN 1", "FOR d IN c RETURN d", "REMOVE 'absent' IN c", "FOR x IN", "FOR x IN nowhere RETURN x"]
    for text in sent:
        await server.query(text)
    _, begun = await server.send("POST", "/_api/transaction/begin", {"collections": {"read": ["c"]}})
    await server.query("RETURN LENGTH(c)", begun["result"]["id"])
    _, slow = await server.send("GET", "/_api/query/slow")
    codes = [0, 0, 1202, 1501, 1203, 0]
    assert [(one["query"], one["exitCode"]) for one in slow] == list(
        zip([*sent, "RETURN LENGTH(c)"], codes, strict=True)
    )
    assert [one["modificationQuery"] for one in slow] == [False, False, True, False, False, False]
