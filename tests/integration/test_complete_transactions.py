"""Stream transactions over PostgreSQL alone: the development server's answers, isolation, locks, limits, their end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any, Final

import orjson
import pytest

from proxy.base.database import Database
from proxy.complete import CompleteStore
from proxy.complete.stream_transactions import TransactionLimits
from proxy.devserver.store import MemoryStore
from proxy.model.operations import Outcome
from proxy.stores.postgres.modifications import transaction_reads
from proxy.wire.decode import decode_parts
from tests.harness import eventually, straight
from tests.integration.answers_alike import Client, compare
from tests.integration.transaction_sequences import BEGIN, CURSOR, SEQUENCES, SETUP


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Database]:
    opened = await Database.open(dsn, size=6)
    yield opened
    await opened.close()


@pytest.fixture
async def store(pool: Database) -> AsyncIterator[CompleteStore]:
    made = CompleteStore(pool, lock_wait=0.05)
    yield made
    await made.close()


async def send(
    store: CompleteStore, method: str, target: str, body: Any = None, trx: str | None = None
) -> tuple[int, Any]:
    headers = [] if trx is None else [(b"x-arango-trx-id", trx.encode())]
    raw = b"" if body is None else orjson.dumps(body)
    outcome: Outcome = await store.execute(decode_parts(method, target.encode(), headers, raw))
    return outcome.status, orjson.loads(outcome.body) if outcome.body else None


async def begun(store: CompleteStore, **collections: Any) -> str:
    status, body = await send(store, "POST", BEGIN, {"collections": collections})
    assert status == 201, body
    return str(body["result"]["id"])


@pytest.mark.parametrize("name", SEQUENCES)
async def test_each_answer_is_that_of_the_development_server(store: CompleteStore, name: str) -> None:
    await compare(Client(store), Client(MemoryStore(lock_wait=0)), SETUP + SEQUENCES[name])


async def test_a_transaction_sees_the_documents_of_its_beginning(store: CompleteStore) -> None:
    await send(store, "POST", "/_api/collection", {"name": "c"})
    await send(store, "POST", "/_api/document/c", {"_key": "a", "n": 0})
    trx = await begun(store, write=["c"])
    await send(store, "PATCH", "/_api/document/c/a", {"n": 1})
    await send(store, "POST", "/_api/document/c", {"_key": "b"})
    assert (await send(store, "GET", "/_api/document/c/a", trx=trx))[1]["n"] == 0
    _, found = await send(store, "POST", CURSOR, {"query": "FOR x IN c RETURN x._key"}, trx)
    assert found["result"] == ["a"]
    for method, target, body in (
        ("PATCH", "/_api/document/c/a", {"n": 2}),
        ("POST", "/_api/document/c", {"_key": "b"}),
        ("POST", CURSOR, {"query": "UPDATE 'a' WITH {n: 2} IN c"}),
    ):
        status, refused = await send(store, method, target, body, trx)
        assert (status, refused["errorNum"]) == (409, 1200), refused
    assert (await send(store, "POST", "/_api/document/c", {"_key": "z"}, trx))[0] == 202
    assert (await send(store, "PUT", f"/_api/transaction/{trx}"))[0] == 200
    assert (await send(store, "GET", "/_api/document/c/z"))[0] == 200
    assert (await send(store, "GET", "/_api/document/c/a"))[1]["n"] == 1


async def test_reads_are_one_statement_that_sees_the_writes_of_the_transaction(
    store: CompleteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement that refuses its data leaves the query to the evaluator, and the transaction as it was."""
    exact: list[bool] = []
    read = transaction_reads.read

    async def noted(*given: Any) -> Any:
        found = await read(*given)
        exact.append(found is not None)
        return found

    monkeypatch.setattr(transaction_reads, "read", noted)
    await send(store, "POST", "/_api/collection", {"name": "c"})
    await send(store, "POST", "/_api/document/c", [{"_key": f"k{n}", "n": n} for n in range(3)])
    trx = await begun(store, write=["c"])
    await send(store, "PATCH", "/_api/document/c/k1", {"n": [7]}, trx)
    for query, expected, answered in (
        ("FOR x IN c FILTER x.n != 0 SORT x._key RETURN x.n", [[7], 2], True),
        ("FOR x IN c SORT x.n DESC RETURN x.n", [[7], 2, 0], False),
        ("FOR x IN c FILTER x.n > 9 COLLECT WITH COUNT INTO n RETURN n", [1], True),
        ("FOR x IN c FILTER x._key == 'k0' RETURN {k: x._key, m: x.m}", [{"k": "k0", "m": None}], True),
    ):
        status, found = await send(store, "POST", CURSOR, {"query": query}, trx)
        assert (status, found["result"]) == (201, expected), query
        assert exact.pop() is answered
    _, found = await send(store, "POST", CURSOR, {"query": "FOR x IN c RETURN x.n"})
    assert found["result"] == [0, 1, 2]
    assert exact == []
    assert (await send(store, "PUT", f"/_api/transaction/{trx}"))[0] == 200


async def test_a_document_that_a_transaction_wrote_is_locked_for_others(store: CompleteStore) -> None:
    await send(store, "POST", "/_api/collection", {"name": "c"})
    await send(store, "POST", "/_api/document/c", {"_key": "a"})
    trx = await begun(store, write=["c"])
    await send(store, "PATCH", "/_api/document/c/a", {"n": 1}, trx)
    status, refused = await send(store, "PATCH", "/_api/document/c/a", {"n": 2})
    assert (status, refused["errorNum"]) == (409, 1200)
    status, refused = await send(store, "POST", CURSOR, {"query": "UPDATE 'a' WITH {n: 2} IN c"})
    assert (status, refused["errorNum"]) == (409, 1200)
    await send(store, "DELETE", f"/_api/transaction/{trx}")
    assert (await send(store, "PATCH", "/_api/document/c/a", {"n": 2}))[0] == 202


async def test_new_keys_do_not_wait_for_a_transaction(store: CompleteStore) -> None:
    await send(store, "POST", "/_api/collection", {"name": "c", "keyOptions": {"type": "autoincrement"}})
    trx = await begun(store, write=["c"])
    _, first = await send(store, "POST", "/_api/document/c", {}, trx)
    _, second = await send(store, "POST", "/_api/document/c", {})
    _, third = await send(store, "POST", CURSOR, {"query": "INSERT {} INTO c RETURN NEW._key"}, trx)
    _, fourth = await send(store, "POST", "/_api/document/c", {})
    assert [first["_key"], second["_key"], third["result"][0], fourth["_key"]] == ["1", "2", "3", "4"]
    await send(store, "PUT", f"/_api/transaction/{trx}")
    assert (await send(store, "GET", "/_api/collection/c/count"))[1]["count"] == 4


async def test_their_number_is_limited(pool: Database) -> None:
    store = CompleteStore(pool, transactions=TransactionLimits(most=2))
    await send(store, "POST", "/_api/collection", {"name": "c"})
    first = await begun(store, read=["c"])
    await begun(store, read=["c"])
    status, refused = await send(store, "POST", BEGIN, {"collections": {"read": ["c"]}})
    assert (status, refused["errorNum"]) == (503, 32)
    assert "CROSSFADE_STREAM_TRANSACTIONS" in refused["errorMessage"]
    await send(store, "DELETE", f"/_api/transaction/{first}")
    await begun(store, read=["c"])
    await store.close()


@pytest.mark.parametrize("seconds", [61.0, 700.0])
async def test_one_that_is_idle_or_too_old_is_aborted(pool: Database, seconds: float) -> None:
    now = 1_000_000.0
    store = CompleteStore(pool, now=lambda: now)
    await send(store, "POST", "/_api/collection", {"name": "c"})
    trx = await begun(store, write=["c"])
    await send(store, "POST", "/_api/document/c", {"_key": "a"}, trx)
    if seconds > 600:
        while now < 1_000_000.0 + seconds:  # it is used all the time
            now += 50
            await send(store, "GET", "/_api/document/c/a", trx=trx)
    now = 1_000_000.0 + seconds

    async def aborted() -> bool:
        return bool((await send(store, "GET", f"/_api/transaction/{trx}"))[1]["result"]["status"] == "aborted")

    await eventually(aborted, "the transaction is aborted")
    status, refused = await send(store, "GET", "/_api/document/c/a", trx=trx)
    assert (status, refused["errorNum"]) == (410, 1654)
    assert (await send(store, "GET", "/_api/document/c/a"))[0] == 404
    await store.close()


async def test_one_that_has_written_too_much_is_refused(pool: Database) -> None:
    store = CompleteStore(pool, transactions=TransactionLimits(size=1000))
    await send(store, "POST", "/_api/collection", {"name": "c"})
    trx = await begun(store, write=["c"])
    assert (await send(store, "POST", "/_api/document/c", {"_key": "a", "text": "x" * 1100}, trx))[0] == 202
    status, refused = await send(store, "POST", "/_api/document/c", {"_key": "b"}, trx)
    assert (status, refused["errorNum"]) == (500, 32)
    assert (await send(store, "PUT", f"/_api/transaction/{trx}"))[0] == 200
    await store.close()


async def test_one_whose_session_postgresql_ended_is_lost_and_says_so(store: CompleteStore, dsn: str) -> None:
    await send(store, "POST", "/_api/collection", {"name": "c"})
    trx = await begun(store, write=["c"])
    await send(store, "POST", "/_api/document/c", {"_key": "a"}, trx)
    async with straight(dsn) as other:
        await other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'crossfade transactions' AND datname = current_database()"
        )
    status, refused = await send(store, "GET", "/_api/document/c/a", trx=trx)
    assert status == 503
    assert f"transaction '{trx}' was lost" in refused["errorMessage"]
    assert (await send(store, "GET", f"/_api/transaction/{trx}"))[1]["result"]["status"] == "aborted"
    assert (await send(store, "GET", "/_api/document/c/a"))[0] == 404
    again = await begun(store, write=["c"])
    assert (await send(store, "POST", "/_api/document/c", {"_key": "a"}, again))[0] == 202
    assert (await send(store, "PUT", f"/_api/transaction/{again}"))[0] == 200


async def test_a_commit_that_cannot_be_sent_any_more_has_certainly_not_happened(store: CompleteStore, dsn: str) -> None:
    await send(store, "POST", "/_api/collection", {"name": "c"})
    trx = await begun(store, write=["c"])
    await send(store, "POST", "/_api/document/c", {"_key": "a"}, trx)
    async with straight(dsn) as other:
        await other.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE application_name = 'crossfade transactions' AND datname = current_database()"
        )
    status, refused = await send(store, "PUT", f"/_api/transaction/{trx}")
    assert status == 503
    assert f"transaction '{trx}' was lost" in refused["errorMessage"]
    assert "not known" not in refused["errorMessage"]
    assert (await send(store, "GET", "/_api/document/c/a"))[0] == 404


@pytest.mark.parametrize("first", ["status", "list", "commit", "abort"])
async def test_a_lost_transaction_is_never_shown_as_running(store: CompleteStore, dsn: str, first: str) -> None:
    await send(store, "POST", "/_api/collection", {"name": "c"})
    trx = await begun(store, write=["c"])
    await send(store, "POST", "/_api/document/c", {"_key": "a"}, trx)
    async with straight(dsn) as other:
        await other.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE application_name LIKE 'crossfade%' AND datname = current_database() AND pid <> pg_backend_pid()"
        )
    requests: dict[str, tuple[str, str]] = {
        "status": ("GET", f"/_api/transaction/{trx}"),
        "list": ("GET", "/_api/transaction"),
        "commit": ("PUT", f"/_api/transaction/{trx}"),
        "abort": ("DELETE", f"/_api/transaction/{trx}"),
    }
    lost = f"transaction '{trx}' was lost: PostgreSQL has ended its connection"
    for kind in (first, *requests):
        status, body = await send(store, *requests[kind])
        if kind == "commit":
            assert (status, body["errorMessage"]) == (503, lost)
        elif kind == "list":
            assert (status, body["transactions"]) == (200, [])
        else:
            assert (status, body["result"]["status"]) == (200, "aborted")
    for method, target, body in (("GET", "/_api/document/c/a", None), ("POST", CURSOR, {"query": "RETURN 1"})):
        status, refused = await send(store, method, target, body, trx)
        assert (status, refused["errorMessage"]) == (503, lost)
    assert (await send(store, "GET", "/_api/document/c/a"))[0] == 404


async def test_a_store_that_is_closed_leaves_nothing_of_its_transactions(pool: Database) -> None:
    first = CompleteStore(pool)
    await send(first, "POST", "/_api/collection", {"name": "c"})
    trx = await begun(first, write=["c"])
    await send(first, "POST", "/_api/document/c", {"_key": "a"}, trx)
    other = CompleteStore(pool)
    status, refused = await send(other, "GET", "/_api/document/c/a", trx=trx)
    assert (status, refused["errorNum"]) == (404, 1655)  # the process that began it knows it, and no other
    await first.close()
    assert (await send(other, "POST", "/_api/document/c", {"_key": "a"}))[0] == 202
    await other.close()


_DIES: Final = """
import asyncio, sys
from proxy.base.database import Database
from proxy.complete import CompleteStore
from tests.integration.test_complete_transactions import begun, send

async def main() -> None:
    store = CompleteStore(await Database.open(sys.argv[1], size=2))
    trx = await begun(store, exclusive=["c"])
    assert (await send(store, "POST", "/_api/document/c", {"_key": "a"}, trx))[0] == 202
    print("written", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_nothing_is_left_of_the_transactions_of_a_process_that_is_killed(store: CompleteStore, dsn: str) -> None:
    await send(store, "POST", "/_api/collection", {"name": "c"})
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _DIES, dsn, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"written\n"
        assert (await send(store, "POST", "/_api/document/c", {"_key": "a"}))[0] == 500
    finally:
        process.kill()
        await process.wait()

    async def free() -> bool:
        return (await send(store, "POST", "/_api/document/c", {"_key": "a"}))[0] == 202

    await eventually(free, "the lock of the killed process is gone")


async def test_transactions_that_wait_for_each_other_do_not_hang(pool: Database) -> None:
    store = CompleteStore(pool, lock_wait=3.0)
    await send(store, "POST", "/_api/collection", {"name": "c"})
    await send(store, "POST", "/_api/document/c", [{"_key": "a"}, {"_key": "b"}])
    one, other = await begun(store, write=["c"]), await begun(store, write=["c"])
    await send(store, "PATCH", "/_api/document/c/a", {"n": 1}, one)
    await send(store, "PATCH", "/_api/document/c/b", {"n": 2}, other)
    answers = await asyncio.gather(
        send(store, "PATCH", "/_api/document/c/b", {"n": 1}, one),
        send(store, "PATCH", "/_api/document/c/a", {"n": 2}, other),
    )
    assert (409, 1200) in [(status, body.get("errorNum")) for status, body in answers]
    await store.close()


async def test_requests_of_one_transaction_take_turns(store: CompleteStore) -> None:
    await send(store, "POST", "/_api/collection", {"name": "c"})
    trx = await begun(store, write=["c"])
    text = "UPSERT {_key: 'k'} INSERT {_key: 'k', n: 1} UPDATE {n: OLD.n + 1} IN c"
    answers = await asyncio.gather(*(send(store, "POST", CURSOR, {"query": text}, trx) for _ in range(8)))
    assert {status for status, _ in answers} == {201}
    assert (await send(store, "GET", "/_api/document/c/k", trx=trx))[1]["n"] == 8
