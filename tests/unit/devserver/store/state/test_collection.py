"""Order of keys, truncation, cursors' time, the log's bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.devserver.store import MemoryStore
from proxy.devserver.store.state.collection import DOCUMENTS, Collection
from proxy.devserver.store.state.log import MarkerLog
from proxy.model.revision import Clock, encode_rev
from proxy.semantics.encoded_document import revision_of
from proxy.semantics.write_document import insert, remove
from proxy.wire.decode import decode_parts
from tests.unit.devserver.store.kit import Client


def _collection() -> Collection:
    return Collection(1, "c", DOCUMENTS, {}, tick=iter(range(10, 10**6)).__next__, clock=Clock())


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcdefgh"), st.booleans())))
def test_keys_are_in_order_after_any_history(history: list[tuple[bool, str, bool]]) -> None:
    collection = _collection()
    for put, key, look in history:
        if put and collection.get(key) is None:
            insert(collection, {"_key": key})
        elif not put and collection.get(key) is not None:
            remove(collection, key)
        if look:
            collection.sorted_keys()
    assert collection.sorted_keys() == sorted(collection.documents)
    assert [document["_key"] for document in collection.scan()] == sorted(collection.documents)


def test_the_revision_is_read_from_the_bytes_whatever_stands_in_the_body() -> None:
    collection = _collection()
    insert(collection, {"_key": "k", "x": '"_rev":"nonsense"'})
    raw = collection.get("k")
    assert raw is not None
    assert revision_of(raw) == encode_rev(collection.revision)


def test_many_documents_are_truncated_at_once() -> None:
    client = Client(MemoryStore())
    client.send("POST", "/_api/collection", {"name": "c"})
    client.send("POST", "/_api/index?collection=c", {"type": "persistent", "fields": ["n"], "unique": True})
    client.send("POST", "/_api/import?collection=c&type=list", [{"n": number} for number in range(32_768)])
    assert client.send("GET", "/_api/collection/c/count")[1]["count"] == 32_768
    start = client.store.server.log.last
    assert client.send("PUT", "/_api/collection/c/truncate")[0] == 200
    assert [marker.kind for marker in client.store.server.log.after(start)] == [2004]
    assert client.send("POST", "/_api/document/c", {"n": 1})[0] == 202
    assert client.send("GET", "/_api/collection/c/count")[1]["count"] == 1


def test_a_cursor_that_nobody_asks_expires() -> None:
    now = [0.0]
    client = Client(MemoryStore(now=lambda: now[0]))
    _, body = client.send("POST", "/_api/cursor", {"query": "FOR i IN 1..3 RETURN i", "batchSize": 1, "ttl": 10})
    now[0] = 9
    assert client.send("POST", f"/_api/cursor/{body['id']}")[0] == 200
    now[0] = 18  # asking renewed it
    assert client.send("POST", f"/_api/cursor/{body['id']}/3")[0] == 200
    _, body = client.send("POST", "/_api/cursor", {"query": "FOR i IN 1..3 RETURN i", "batchSize": 1, "ttl": 10})
    now[0] = 29
    assert client.send("POST", f"/_api/cursor/{body['id']}")[0] == 404


def test_the_log_keeps_so_much_and_tells_what_it_lost() -> None:
    log = MarkerLog(iter(range(1, 100)).__next__, kept=3)
    assert (log.first, log.last, log.lost) == (0, 0, 0)
    for number in range(5):
        log.document("d", "g/1" if number < 4 else "g/2", "k", b'{"_rev":"_x"}', None)
    assert (log.first, log.last, log.lost) == (3, 5, 2)
    assert [marker.tick for marker in log.after(3, 4)] == [4]
    log.change(2001, "d", "g/1")
    # writes to a collection that was dropped since are left out
    assert [marker.kind for marker in log.after(0)] == [2300, 2001]


async def test_jobs_are_kept_up_to_a_number() -> None:
    store = MemoryStore()
    operation = decode_parts("GET", b"/_api/version", [(b"x-arango-async", b"store")])
    for _ in range(1001):
        await store.execute(operation)
    assert len(store.server.jobs) == 1000


def test_a_number_of_jobs_or_rows_that_is_none_is_refused() -> None:
    client = Client(MemoryStore())
    assert client.send("GET", "/_api/job/done?count=nan")[0] == 400
    assert client.send("POST", "/_api/cursor", {"query": "RETURN 1", "batchSize": 0.5})[1]["errorNum"] == 17


def test_snapshots_that_nobody_ended_go_when_there_are_many() -> None:
    client = Client(MemoryStore())
    for _ in range(20):
        assert client.send("POST", "/_api/replication/batch", {"ttl": 10})[0] == 200
        assert client.send("POST", "/_api/dump/start", {"shards": []})[0] == 201
    assert len(client.store.server.batches) == len(client.store.server.dumps) == 16


def test_negative_zero_stays_what_was_stored_wherever_it_is_read() -> None:
    client = Client(MemoryStore())
    client.send("POST", "/_api/collection", {"name": "c"})
    client.send("POST", "/_api/document/c", {"_key": "k", "n": -0.0, "list": [-0.0, 0.0]})
    client.send("PATCH", "/_api/document/c/k", {"other": 1})

    for method, target, body in (
        ("GET", "/_api/document/c/k", None),
        ("POST", "/_api/cursor", b'{"query":"FOR d IN c RETURN d"}'),
        ("POST", "/_api/cursor", b'{"query":"UPDATE \'k\' WITH {more: 1} IN c RETURN NEW"}'),
        ("POST", "/_api/cursor", b'{"query":"RETURN DOCUMENT(\'c/k\')"}'),
        ("PUT", "/_api/simple/lookup-by-keys", b'{"collection":"c","keys":["k"]}'),
    ):
        outcome = client.store.run(decode_parts(method, target.encode(), [], body or b""))
        assert b'"n":-0,' in outcome.body, (target, body)
        assert b'"list":[-0,0' in outcome.body, (target, body)
