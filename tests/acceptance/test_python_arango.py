"""Unmodified python-arango on the development server and the proxy, in the shadow and flipped: the calls of a document
service.

No test knows which of them it talks to.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from arango.client import ArangoClient
from arango.exceptions import (
    AQLQueryExecuteError,
    CollectionCreateError,
    CursorNextError,
    DatabaseCreateError,
    DocumentGetError,
    DocumentInsertError,
    DocumentRevisionError,
    DocumentUpdateError,
    TransactionFetchError,
)

from tests.acceptance.servers import ServerUnderTest


@pytest.fixture(scope="module")
def client(server: ServerUnderTest) -> Iterator[Any]:
    client = ArangoClient(hosts=server.url)
    yield client
    client.close()


@pytest.fixture
def database(client: Any) -> Iterator[Any]:
    system = client.db("_system", username="root", password="")
    system.create_database("shop", users=[{"username": "ann", "password": "x", "active": True}])
    yield client.db("shop", username="ann", password="x", verify=True)
    system.delete_database("shop")


def test_databases_and_users_can_be_managed(client: Any, database: Any) -> None:
    system = client.db("_system", username="root", password="", verify=True)
    assert "shop" in system.databases()
    assert database.properties()["name"] == "shop"
    assert system.has_user("ann")
    assert database.version().startswith("3.12")
    assert database.engine()["name"] == "rocksdb"
    assert database.status()["server"] == "arango"
    with pytest.raises(DatabaseCreateError):
        system.create_database("shop")
    assert system.create_user("bob", "x", extra={"a": 1})["extra"] == {"a": 1}
    assert system.update_user("bob", active=False)["active"] is False
    assert system.update_permission("bob", "rw", "shop")
    assert system.permission("bob", "shop") == "rw"
    assert system.delete_user("bob")


def test_a_database_accepts_a_token(client: Any, database: Any) -> None:
    by_token = client.db("shop", username="ann", password="x", auth_method="jwt")
    assert by_token.has_collection("_graphs")


def test_single_documents_are_written_and_read(database: Any) -> None:
    people = database.create_collection("people")
    inserted = people.insert({"_key": "ann", "age": 30.0, "tags": [1e5]}, return_new=True)
    assert inserted["new"]["age"] == 30
    assert people.get("ann")["_rev"] == inserted["_rev"]
    assert people.has("ann")
    assert "ann" in people
    assert people.get("none") is None
    assert people.update({"_key": "ann", "age": None}, keep_none=False)["_old_rev"] == inserted["_rev"]
    assert "age" not in people["ann"]
    replaced = people.replace({"_key": "ann", "name": "Ann"}, return_old=True)
    assert replaced["old"]["tags"] == [100000]
    with pytest.raises(DocumentRevisionError):
        people.replace({"_key": "ann", "_rev": inserted["_rev"]})
    with pytest.raises(DocumentUpdateError):
        people.update({"_key": "none"})
    with pytest.raises(DocumentRevisionError):
        people.get({"_key": "ann", "_rev": inserted["_rev"]})
    assert people.insert({"_key": "ann", "v": 2}, overwrite=True, return_old=True)["old"]["name"] == "Ann"
    assert people.insert({"_key": "ann", "w": 3}, overwrite_mode="update", silent=True) is True
    assert people.delete("ann", return_old=True)["old"]["w"] == 3
    assert people.delete("ann", ignore_missing=True) is False
    assert people.count() == 0


def test_arrays_of_documents_are_written_and_read(database: Any) -> None:
    people = database.create_collection("people")
    results = people.insert_many([{"_key": str(number), "n": number} for number in range(10)] + [{"_key": "3"}])
    assert isinstance(results[10], DocumentInsertError)
    assert results[10].error_code == 1210
    assert len(people.get_many(["1", "2", "none"])) == 2
    assert all("_rev" in item for item in people.update_many([{"_key": "1", "m": 1}, {"_key": "2", "m": 1}]))
    assert sorted(people.keys()) == [str(number) for number in range(10)]
    assert {document["_key"] for document in people.find({"m": 1})} == {"1", "2"}
    assert len(list(people.all(skip=2, limit=3))) == 3
    assert people.random()["_key"] in set(map(str, range(10)))
    assert people.update_match({"m": 1}, {"m": 2}) == 2
    assert people.replace_match({"m": 2}, {"m": 3}, limit=1) == 1
    assert people.delete_match({"n": 5}) == 1
    people.delete_many([{"_key": "6"}, {"_key": "7"}])
    assert people.count() == 7
    assert people.truncate()
    assert people.count() == 0


def test_an_import_reports_what_it_created_and_refused(database: Any) -> None:
    people = database.create_collection("people")
    result = people.import_bulk([{"_key": "a"}, {"_key": "a"}, {"_key": "b/"}], halt_on_error=False, details=True)
    assert (result["created"], result["errors"], len(result["details"])) == (1, 2, 2)
    assert people.import_bulk([{"_key": "a", "x": 1}], on_duplicate="update")["updated"] == 1
    edges = database.create_collection("edges", edge=True)
    assert edges.import_bulk([{"_from": "a", "_to": "b"}], from_prefix="people", to_prefix="people")["created"] == 1
    assert next(edges.all())["_from"] == "people/a"


def test_collections_are_created_changed_renamed_and_dropped(database: Any) -> None:
    collection = database.create_collection("c", sync=True, schema={"rule": {"required": ["n"]}, "level": "strict"})
    with pytest.raises(CollectionCreateError):
        database.create_collection("c")
    with pytest.raises(DocumentInsertError):
        collection.insert({})
    assert collection.properties()["sync"] is True
    assert collection.configure(sync=False)["sync"] is False
    assert collection.statistics()["indexes"]["count"] == 1
    assert collection.revision()
    before = collection.checksum(with_rev=True, with_data=True)
    collection.insert({"n": 1})
    assert collection.checksum(with_rev=True, with_data=True) != before
    assert collection.rename("d")
    assert database.has_collection("d")
    assert {item["name"] for item in database.collections() if not item["system"]} == {"d"}
    assert database.delete_collection("d")
    assert database.delete_collection("d", ignore_missing=True) is False


def test_a_unique_index_refuses_duplicates_until_it_is_dropped(database: Any) -> None:
    collection = database.create_collection("c")
    index = collection.add_index({"type": "persistent", "fields": ["a.b"], "unique": True, "sparse": True})
    assert index["isNewlyCreated"] is True
    collection.insert_many([{"a": {"b": 1}}, {"x": 1}, {"x": 2}])
    with pytest.raises(DocumentInsertError) as refused:
        collection.insert({"a": {"b": 1.0}})
    assert refused.value.error_code == 1210
    assert {item["type"] for item in collection.indexes()} == {"primary", "persistent"}
    assert collection.add_index({"type": "ttl", "fields": ["t"], "expireAfter": 60})["expireAfter"] == 60
    assert collection.delete_index(index["id"])
    collection.insert({"a": {"b": 1}})


def test_queries_and_cursors(database: Any) -> None:
    collection = database.create_collection("c")
    collection.insert_many([{"_key": str(number), "n": number, "even": number % 2 == 0} for number in range(25)])
    cursor = database.aql.execute(
        "FOR d IN @@c FILTER d.n >= @low SORT d.n LIMIT 2, 10 RETURN d.n",
        bind_vars={"@c": "c", "low": 5},
        count=True,
        batch_size=4,
        full_count=True,
    )
    assert cursor.count() == 10
    assert cursor.has_more()
    assert list(cursor) == list(range(7, 17))
    assert cursor.statistics()["fullCount"] == 20
    assert list(database.aql.execute("FOR d IN c COLLECT e = d.even WITH COUNT INTO n RETURN [e, n]")) == [
        [False, 12],
        [True, 13],
    ]
    with pytest.raises(AQLQueryExecuteError) as refused:
        database.aql.execute("FOR d IN nowhere RETURN d")
    assert refused.value.error_code == 1203
    assert database.aql.validate("FOR d IN c RETURN d")["collections"] == ["c"]
    assert database.aql.explain("FOR d IN c RETURN d")["nodes"]


def test_a_cursor_with_allow_retry_repeats_a_batch(database: Any) -> None:
    cursor = database.aql.execute("FOR i IN 1..5 RETURN i", batch_size=2, allow_retry=True)
    assert list(cursor) == [1, 2, 3, 4, 5]
    assert cursor.close() is True
    with pytest.raises(CursorNextError):
        cursor.fetch()


def test_modifying_queries(database: Any) -> None:
    collection = database.create_collection("c")
    list(database.aql.execute("FOR i IN 1..3 INSERT {_key: TO_STRING(i), n: i} INTO c"))
    cursor = database.aql.execute("FOR d IN c FILTER d.n > 1 UPDATE d WITH {n: d.n * 10} IN c SORT OLD.n RETURN NEW.n")
    assert list(cursor) == [20, 30]
    assert cursor.statistics()["modified"] == 2
    # a query that fails leaves no change
    with pytest.raises(AQLQueryExecuteError):
        database.aql.execute("FOR i IN 3..6 INSERT {_key: TO_STRING(9 - i)} INTO c")
    assert collection.count() == 3
    list(database.aql.execute("FOR d IN c REMOVE d IN c"))
    assert collection.count() == 0


def test_stream_transactions(database: Any) -> None:
    collection = database.create_collection("c")
    collection.insert({"_key": "a", "n": 1})
    transaction = database.begin_transaction(read="c", write="c")
    inside = transaction.collection("c")
    inside.insert({"_key": "b"})
    inside.update({"_key": "a", "n": 2})
    assert inside.count() == 2
    assert collection.count() == 1
    assert collection.get("a")["n"] == 1
    with pytest.raises(DocumentUpdateError) as refused:
        collection.update({"_key": "a", "n": 3})
    assert refused.value.error_code == 1200
    assert list(transaction.aql.execute("FOR d IN c SORT d._key RETURN d.n")) == [2, None]
    assert transaction.transaction_status() == "running"
    assert transaction.commit_transaction()
    assert collection.get("a")["n"] == 2
    aborted = database.begin_transaction(write="c")
    aborted.collection("c").delete("a")
    assert aborted.abort_transaction()
    assert collection.has("a")
    with pytest.raises(DocumentGetError):
        aborted.collection("c").get("a")
    with pytest.raises(TransactionFetchError):
        database.fetch_transaction("1")


def test_graphs(database: Any) -> None:
    graph = database.create_graph(
        "g",
        [{"edge_collection": "knows", "from_vertex_collections": ["people"], "to_vertex_collections": ["people"]}],
        orphan_collections=["lonely"],
    )
    people, knows = graph.vertex_collection("people"), graph.edge_collection("knows")
    people.insert({"_key": "a"})
    people.insert({"_key": "b"})
    knows.insert({"_key": "ab", "_from": "people/a", "_to": "people/b"})
    assert knows.get("ab")["_to"] == "people/b"
    assert len(knows.edges("people/a", direction="out")["edges"]) == 1
    assert people.update({"_key": "a", "n": 1})["_old_rev"]
    assert people.replace({"_key": "a", "m": 1})
    assert people.get("a")["m"] == 1
    people.delete("a")
    assert knows.count() == 0
    assert graph.vertex_collections() == ["lonely", "people"]
    assert graph.delete_vertex_collection("lonely", purge=True)
    assert not database.has_collection("lonely")
    assert graph.create_edge_definition("likes", ["people"], ["things"]).name == "likes"
    assert graph.replace_edge_definition("likes", ["people"], ["people"]).name == "likes"
    assert graph.delete_edge_definition("likes", purge=True)
    assert [item["name"] for item in database.graphs()] == ["g"]
    assert database.delete_graph("g", drop_collections=True)
    assert not database.has_collection("people")


def test_async_jobs(database: Any) -> None:
    collection = database.create_collection("c")
    later = database.begin_async_execution(return_result=True)
    job = later.collection("c").insert({"_key": "a"})
    limit = time.monotonic() + 30
    while job.status() != "done":
        assert time.monotonic() < limit
    assert job.result()["_key"] == "a"
    assert database.async_jobs("done") == []
    forgotten = database.begin_async_execution(return_result=False)
    assert forgotten.collection("c").insert({"_key": "b"}) is None
    while not collection.has("b"):
        assert time.monotonic() < limit


def test_the_write_ahead_log(client: Any, database: Any) -> None:
    collection = database.create_collection("c")
    system = client.db("_system", username="root", password="")
    start = system.wal.last_tick()["tick"]
    collection.insert({"_key": "a", "n": 1})
    collection.delete("a")
    tail = system.wal.tail(lower=start, all_databases=True, deserialize=True)
    assert [marker["type"] for marker in tail["content"]] == [2300, 2302]
    assert tail["content"][0]["data"]["n"] == 1
    assert tail["last_included"] == tail["content"][-1]["tick"]
    assert system.wal.tail(lower=tail["last_included"], all_databases=True, deserialize=True)["content"] == []
    assert int(system.wal.tick_ranges()["tick_max"]) >= int(start)
