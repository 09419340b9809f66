"""What the protocol's cases cannot show of stream transactions: time, and races at the commit."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from proxy.devserver.store import MemoryStore
from proxy.wire.decode import decode_parts
from tests.unit.devserver.store.kit import Client


def _client() -> tuple[Client, list[float]]:
    now = [1000.0]
    client = Client(MemoryStore(now=lambda: now[0]))
    client.send("POST", "/_api/collection", {"name": "c"})
    return client, now


def test_one_that_nobody_uses_for_a_minute_is_aborted() -> None:
    client, now = _client()
    number = client.begin(write="c")
    client.send("POST", "/_api/document/c", {"_key": "a"}, trx=number)
    now[0] += 59
    assert client.send("GET", "/_api/document/c/a", trx=number)[0] == 200
    now[0] += 61
    assert client.send("GET", f"/_api/transaction/{number}")[1]["result"]["status"] == "aborted"
    assert client.send("POST", "/_api/document/c", {"_key": "a"})[0] == 202


def test_a_commit_that_a_unique_index_forbids_leaves_nothing() -> None:
    client, _ = _client()
    client.send("POST", "/_api/document/c", {"_key": "old", "u": "old"})
    number = client.begin(write="c")
    client.send("POST", "/_api/document/c", {"_key": "a", "u": 1}, trx=number)
    client.send("DELETE", "/_api/document/c/old", trx=number)
    client.send("POST", "/_api/document/c", {"_key": "b", "u": 2}, trx=number)
    # an index that the transaction does not know: of those that it knows it holds the values
    client.send("POST", "/_api/index?collection=c", {"type": "persistent", "fields": ["u"], "unique": True})
    assert client.send("POST", "/_api/document/c", {"_key": "c", "u": 2})[0] == 202
    status, body = client.send("PUT", f"/_api/transaction/{number}")
    assert (status, body["errorNum"]) == (409, 1210)
    assert client.send("GET", "/_api/collection/c/count")[1]["count"] == 2
    assert client.send("GET", "/_api/document/c/old")[0] == 200


def test_who_truncates_waits_for_those_who_write() -> None:
    client, _ = _client()
    number = client.begin(write="c")
    client.send("POST", "/_api/document/c", {"_key": "a"}, trx=number)
    assert client.send("PUT", "/_api/collection/c/truncate")[1]["errorNum"] == 18
    other = client.begin(write="c")
    client.send("POST", "/_api/document/c", {"_key": "b"})
    third = client.begin(write="c")
    client.send("PATCH", "/_api/document/c/b", {"x": 1}, trx=third)
    assert client.send("PUT", "/_api/collection/c/truncate", trx=other)[0] == 200  # it sees none of them
    assert client.send("PUT", f"/_api/transaction/{number}")[0] == 200
    fourth = client.begin(write="c")
    assert client.send("PUT", "/_api/collection/c/truncate", trx=fourth)[1]["errorNum"] == 1200


def test_a_dropped_collection_or_database_ends_what_was_written_there() -> None:
    client, _ = _client()
    number = client.begin(write="c")
    client.send("POST", "/_api/document/c", {"_key": "a"}, trx=number)
    client.send("DELETE", "/_api/collection/c")
    assert client.send("PUT", f"/_api/transaction/{number}")[0] == 200


def test_two_transactions_on_one_key() -> None:
    client, _ = _client()
    client.send("POST", "/_api/document/c", {"_key": "a"})
    first, second = client.begin(write="c"), client.begin(write="c")
    assert client.send("PATCH", "/_api/document/c/a", {"x": 1}, trx=first)[0] == 202
    assert client.send("PATCH", "/_api/document/c/a", {"x": 2}, trx=second)[0] == 409
    assert client.send("PUT", f"/_api/transaction/{first}")[0] == 200
    # even now: its snapshot is older than that commit
    assert client.send("PATCH", "/_api/document/c/a", {"x": 2}, trx=second)[0] == 409
    assert client.send("POST", "/_api/document/c", {"_key": "b"}, trx=second)[0] == 202
    assert client.send("PUT", f"/_api/transaction/{second}")[0] == 200


def test_ended_ones_are_forgotten_in_time() -> None:
    client, _ = _client()
    for _ in range(1005):
        client.send("DELETE", f"/_api/transaction/{client.begin(read='c')}")
    client.begin(read="c")
    assert len(client.store.server.transactions) <= 1002


async def _send(client: Client, method: str, target: str, body: Any = None, trx: str | None = None) -> tuple[int, Any]:
    """Like `send`, but through `execute`, which waits for locks."""
    headers = [(b"x-arango-trx-id", trx.encode())] if trx else []
    raw = b"" if body is None else json.dumps(body).encode()
    outcome = await client.store.execute(decode_parts(method, target.encode(), headers, raw))
    return outcome.status, json.loads(outcome.body) if outcome.body else None


def _waiting(seconds: float | None = None) -> Client:
    client = Client(MemoryStore(lock_wait=seconds))
    client.send("POST", "/_api/collection", {"name": "c"})
    client.send("POST", "/_api/document/c", [{"_key": "a", "n": 0}, {"_key": "b", "n": 0}])
    return client


WRITES: list[tuple[str, str, Any, int]] = [
    ("PATCH", "/_api/document/c/a", {"x": 1}, 202),
    ("PATCH", "/_api/document/c", [{"_key": "b", "x": 1}, {"_key": "a", "x": 1}], 202),
    ("POST", "/_api/document/c?overwriteMode=replace", [{"_key": "new"}, {"_key": "a", "x": 1}], 202),
    ("DELETE", "/_api/document/c", ["b", "a"], 202),
    ("POST", "/_api/import?collection=c&type=list&onDuplicate=update", [{"_key": "n"}, {"_key": "a", "x": 1}], 201),
    ("POST", "/_api/cursor", {"query": "FOR d IN c UPDATE d WITH {x: 1} IN c"}, 201),
    ("PUT", "/_api/simple/update-by-example", {"collection": "c", "example": {"n": 0}, "newValue": {"x": 1}}, 200),
    ("PUT", "/_api/simple/remove-by-keys", {"collection": "c", "keys": ["b", "a"]}, 200),
]


@pytest.mark.parametrize(("method", "target", "body", "expected"), WRITES)
async def test_a_write_waits_for_a_key_and_is_carried_out_once(
    method: str, target: str, body: Any, expected: int
) -> None:
    """Nothing of it is visible before the key is free, and then its answer has no error."""
    client = _waiting()
    number = client.begin(write="c")
    client.send("PATCH", "/_api/document/c/a", {"mine": True}, trx=number)
    waiting = asyncio.create_task(_send(client, method, target, body))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    assert client.send("GET", "/_api/document/c/b")[1].keys() == {"_key", "_id", "_rev", "n"}
    assert client.send("PUT", f"/_api/transaction/{number}")[0] == 200
    status, answer = await waiting
    assert (status, "errorNum" in json.dumps(answer)) == (expected, False)


@pytest.mark.parametrize(("method", "target", "body", "_expected"), WRITES)
async def test_who_waits_in_vain_is_told(method: str, target: str, body: Any, _expected: int) -> None:
    client = _waiting(0.01)
    number = client.begin(write="c")
    client.send("PATCH", "/_api/document/c/a", {"mine": True}, trx=number)
    status, answer = await _send(client, method, target, body)
    if isinstance(answer, list):
        assert sorted(item.get("errorNum", 0) for item in answer) == [0, 1200]
    elif "import" in target:
        assert (answer["created"], answer["errors"]) == (1, 1)
    else:
        assert (status, answer["errorNum"]) == (409, 1200)
        assert client.send("GET", "/_api/document/c/b")[1].keys() == {"_key", "_id", "_rev", "n"}  # nothing of it


async def test_a_collection_that_one_has_to_itself_is_written_by_nobody_else() -> None:
    client = _waiting(0.01)
    number = client.begin(exclusive="c")
    assert client.send("PATCH", "/_api/document/c/a", {"x": 1}, trx=number)[0] == 202
    status, answer = await _send(client, "POST", "/_api/document/c", {"_key": "z"})
    assert (status, answer["errorNum"]) == (500, 18)
    for kind in ("write", "exclusive"):
        body = {"collections": {kind: ["c"]}, "lockTimeout": 1}
        status, answer = await _send(client, "POST", "/_api/transaction/begin", body)
        assert (status, answer["errorNum"]) == (500, 18)
    assert client.begin(read="c")
    assert client.send("GET", "/_api/document/c/a")[0] == 200
    assert client.send("PUT", f"/_api/transaction/{number}")[0] == 200
    assert client.send("POST", "/_api/document/c", {"_key": "z"})[0] == 202


async def test_who_wants_a_collection_alone_waits_for_its_writers() -> None:
    client = _waiting()
    number = client.begin(write="c")
    body = {"collections": {"exclusive": "c"}}
    waiting = asyncio.create_task(_send(client, "POST", "/_api/transaction/begin", body))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    client.send("DELETE", f"/_api/transaction/{number}")
    assert (await waiting)[0] == 201


def test_a_lock_time_out_is_a_positive_number() -> None:
    client, _ = _client()
    for wrong in (-1, "1", True):
        body = {"collections": {"write": "c"}, "lockTimeout": wrong}
        assert client.send("POST", "/_api/transaction/begin", body)[1]["errorNum"] == 10


def test_a_document_that_came_and_went_since_a_transaction_began_is_a_conflict() -> None:
    client, _ = _client()
    number = client.begin(write="c")
    client.send("POST", "/_api/document/c", [{"_key": "a"}, {"_key": "b"}])
    client.send("DELETE", "/_api/document/c/a")
    assert client.send("POST", "/_api/document/c", {"_key": "a"}, trx=number)[1]["errorNum"] == 1200
    assert client.send("POST", "/_api/document/c", {"_key": "x"}, trx=number)[0] == 202
    client.send("DELETE", f"/_api/transaction/{number}")
    later = client.begin(write="c")
    assert client.send("POST", "/_api/document/c", {"_key": "a"}, trx=later)[0] == 202


def test_documents_exchange_unique_values_within_a_transaction() -> None:
    """A chain of 30 values, of which the last takes the first one's: RocksDB checks each write when it is made."""
    client, _ = _client()
    client.send("POST", "/_api/index?collection=c", {"type": "persistent", "fields": ["u"], "unique": True})
    before = [{"_key": f"k{number}", "u": number} for number in range(30)]
    after = [{"_key": f"k{number}", "u": (number + 1) % 30} for number in range(30)]
    assert client.send("POST", "/_api/document/c", before)[0] == 202
    number = client.begin(write="c")
    client.send("DELETE", "/_api/document/c", [one["_key"] for one in before], trx=number)
    written = client.send("POST", "/_api/document/c", after, trx=number)[1]
    assert [one for one in written if "error" in one] == []
    assert client.send("PUT", f"/_api/transaction/{number}")[0] == 200
    shown = client.send("PUT", "/_api/document/c?onlyget=true", [one["_key"] for one in before])[1]
    assert [one["u"] for one in shown] == [one["u"] for one in after]
    taken = client.send("POST", "/_api/document/c", {"u": 7})[1]
    assert taken["errorMessage"].endswith("conflicting key: k6")


def test_a_refused_commit_keeps_the_values_of_unique_indexes() -> None:
    client, _ = _client()
    client.send("POST", "/_api/index?collection=c", {"type": "persistent", "fields": ["u"], "unique": True})
    client.send("POST", "/_api/document/c", [{"_key": "a", "u": 1, "v": 1}, {"_key": "b", "u": 2, "v": 2}])
    number = client.begin(write="c")
    client.send("DELETE", "/_api/document/c", ["a", "b"], trx=number)
    client.send("POST", "/_api/document/c", [{"_key": "a", "u": 2, "v": 3}, {"_key": "b", "u": 1, "v": 4}], trx=number)
    client.send("POST", "/_api/index?collection=c", {"type": "persistent", "fields": ["v"], "unique": True})
    client.send("POST", "/_api/document/c", {"_key": "c", "u": 5, "v": 4})
    assert client.send("PUT", f"/_api/transaction/{number}")[1]["errorNum"] == 1210
    client.send("DELETE", f"/_api/transaction/{number}")
    assert client.send("POST", "/_api/document/c", {"u": 1})[1]["errorMessage"].endswith("conflicting key: a")
    assert client.send("POST", "/_api/document/c", {"u": 2})[1]["errorMessage"].endswith("conflicting key: b")
