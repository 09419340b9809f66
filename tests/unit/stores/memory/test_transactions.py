"""What the protocol's cases cannot show of stream transactions: time, and races at the commit."""

from __future__ import annotations

from proxy.stores.memory import MemoryStore
from tests.unit.stores.memory.kit import Client


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
    client.send("POST", "/_api/index?collection=c", {"type": "persistent", "fields": ["u"], "unique": True})
    client.send("POST", "/_api/document/c", {"_key": "old", "u": "old"})
    number = client.begin(write="c")
    client.send("POST", "/_api/document/c", {"_key": "a", "u": 1}, trx=number)
    client.send("DELETE", "/_api/document/c/old", trx=number)
    client.send("POST", "/_api/document/c", {"_key": "b", "u": 2}, trx=number)
    assert client.send("POST", "/_api/document/c", {"_key": "c", "u": 2})[0] == 202
    status, body = client.send("PUT", f"/_api/transaction/{number}")
    assert (status, body["errorNum"]) == (409, 1210)
    assert client.send("GET", "/_api/collection/c/count")[1]["count"] == 2
    assert client.send("GET", "/_api/document/c/old")[0] == 200


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
