"""Stream transactions over PostgreSQL alone beside other requests: what is locked, for whom, and what they answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import orjson
import pytest

from proxy.complete import CompleteStore
from proxy.wire.decode import decode_parts
from tests.complete_fixtures import complete_store
from tests.integration.test_complete_transactions import begun, send
from tests.integration.transaction_sequences import BEGIN, CURSOR

# writes of a collection that a transaction keeps for itself
EXCLUDED: Final[list[tuple[str, str, Any]]] = [
    ("POST", "/_api/document/c", {"_key": "a"}),
    ("POST", "/_api/document/c", [{"_key": "a"}]),
    ("PATCH", "/_api/document/c/absent", {}),
    ("DELETE", "/_api/document/c", []),
    ("POST", "/_api/import?collection=c&type=list", [{"_key": "a"}]),
    ("POST", CURSOR, {"query": "INSERT {_key: 'a'} INTO c"}),
    ("POST", CURSOR, {"query": "FOR d IN c REMOVE d IN c"}),
    ("PUT", "/_api/collection/c/truncate", None),
    ("PUT", "/_api/simple/remove-by-keys", {"collection": "c", "keys": ["absent"]}),
]


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[CompleteStore]:
    async with complete_store(dsn, lock_wait=0.05) as made:
        yield made


async def test_an_exclusive_lock_keeps_writers_out_until_it_ends(store: CompleteStore) -> None:
    await send(store, "POST", "/_api/collection", {"name": "c"})
    writer = await begun(store, write=["c"])
    body = {"collections": {"exclusive": ["c"]}, "lockTimeout": 0.05}
    status, refused = await send(store, "POST", BEGIN, body)
    assert (status, refused["errorNum"]) == (500, 18), refused
    await send(store, "PUT", f"/_api/transaction/{writer}")
    trx = await begun(store, exclusive=["c"])
    for method, target, excluded in EXCLUDED:
        status, refused = await send(store, method, target, excluded)
        assert (status, refused["errorNum"]) == (500, 18), refused
        assert "waiting to acquire lock on collection 'c'" in refused["errorMessage"]
    assert (await send(store, "POST", "/_api/document/c", {"_key": "a"}, trx))[0] == 202
    waiting = asyncio.create_task(begun(store, write=["c"]))
    await asyncio.sleep(0.05)
    await send(store, "PUT", f"/_api/transaction/{trx}")
    after = await waiting
    assert (await send(store, "GET", "/_api/document/c/a", trx=after))[0] == 200  # its snapshot came after the lock


async def test_a_write_continues_when_the_exclusive_lock_is_released(dsn: str) -> None:
    async with complete_store(dsn) as store:
        await send(store, "POST", "/_api/collection", {"name": "c"})
        trx = await begun(store, exclusive=["c"])
        text = "INSERT {_key: 'b'} INTO c RETURN NEW._key"
        example = {"collection": "c", "example": {"x": 1}}
        waiting = [
            asyncio.create_task(send(store, "POST", "/_api/document/c", {"_key": "a"})),
            asyncio.create_task(send(store, "POST", CURSOR, {"query": text})),
            asyncio.create_task(send(store, "PUT", "/_api/simple/remove-by-example", example)),
        ]
        await send(store, "POST", "/_api/document/c", {"_key": "x", "x": 1}, trx)
        await asyncio.sleep(1.2)  # longer than a write waits for a document
        assert [task.done() for task in waiting[:2]] == [False, False]
        await send(store, "PUT", f"/_api/transaction/{trx}")
        assert [status for status, _ in await asyncio.gather(*waiting)] == [202, 201, 200]


async def test_elements_of_an_array_that_others_changed_are_refused_alone(store: CompleteStore) -> None:
    await send(store, "POST", "/_api/collection", {"name": "c"})
    await send(store, "POST", "/_api/document/c", [{"_key": key} for key in "abc"])
    trx = await begun(store, write=["c"])
    await send(store, "PATCH", "/_api/document/c/a", {"n": 1})
    await send(store, "POST", "/_api/document/c", {"_key": "d"})
    other = await begun(store, write=["c"])
    await send(store, "PATCH", "/_api/document/c/b", {"n": 1}, other)
    body = [{"_key": key, "n": 2} for key in "abcd"]
    status, answer = await send(store, "POST", "/_api/document/c?overwriteMode=update", body, trx)
    assert (status, [one.get("errorNum") for one in answer]) == (202, [1200, 1200, None, 1200])
    await send(store, "DELETE", f"/_api/transaction/{other}")
    assert (await send(store, "PUT", f"/_api/transaction/{trx}"))[0] == 200
    assert (await send(store, "GET", "/_api/document/c/c"))[1]["n"] == 2


async def test_inserts_into_a_graph_do_not_wait_for_the_keys_of_a_transaction(store: CompleteStore) -> None:
    await send(store, "POST", "/_api/collection", {"name": "c", "keyOptions": {"type": "autoincrement"}})
    await send(store, "POST", "/_api/gharial", {"name": "g", "orphanCollections": ["c"]})
    trx = await begun(store, write=["c"])
    keys = []
    for number in (trx, None, trx, None, trx):
        status, body = await send(store, "POST", "/_api/gharial/g/vertex/c", {}, number)
        assert status == 202, body
        keys.append(body["vertex"]["_key"])
        status, body = await send(store, "POST", "/_api/document/c", {})
        assert status == 202, body
        keys.append(body["_key"])
    assert keys == [str(n) for n in range(1, 11)]
    assert (await send(store, "PUT", f"/_api/transaction/{trx}"))[0] == 200
    assert (await send(store, "GET", "/_api/collection/c/count"))[1]["count"] == 10


async def test_a_refused_write_of_a_transaction_locks_nothing(store: CompleteStore) -> None:
    await send(store, "POST", "/_api/collection", {"name": "c"})
    await send(store, "POST", "/_api/document/c", {"_key": "a"})
    trx = await begun(store, write=["c"])
    assert (await send(store, "POST", "/_api/document/c", {"_key": "a"}, trx))[1]["errorNum"] == 1210
    assert (await send(store, "DELETE", "/_api/document/c/a"))[0] == 202
    await send(store, "DELETE", f"/_api/transaction/{trx}")


@pytest.mark.parametrize(("body", "number"), [('{"a"', 600), ("3", 1227)])
async def test_a_body_that_cannot_be_read_is_refused_before_its_collection(
    store: CompleteStore, body: str, number: int
) -> None:
    for name in ("c", "undeclared"):
        await send(store, "POST", "/_api/collection", {"name": name})
    trx = await begun(store, write=["c"])
    headers = [(b"x-arango-trx-id", trx.encode())]
    outcome = await store.execute(decode_parts("PATCH", b"/_api/document/undeclared/k", headers, body.encode()))
    assert orjson.loads(outcome.body)["errorNum"] == number
