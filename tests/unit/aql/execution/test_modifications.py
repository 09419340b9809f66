"""Modifications: the writes, their order, and OLD and NEW."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.aql import Write, WriteOptions
from proxy.base.errors import ArangoError
from proxy.devserver.store import MemoryStore
from tests.unit.aql.store import Store
from tests.unit.devserver.store.kit import Client


@pytest.fixture
def store() -> Store:
    return Store(c=[{"a": 1, "n": 1}, {"a": 2}], other=[], e=[])


def test_insert_gives_new(store: Store) -> None:
    assert store.rows("FOR i IN 1..2 INSERT {_key: CONCAT('k', i), v: i} INTO c RETURN [OLD, NEW.v]") == [
        [None, 1], [None, 2],
    ]  # fmt: skip
    assert store.writes[0] == Write("insert", "c", "k1", {"_key": "k1", "v": 1}, WriteOptions())


def test_update_replace_and_remove_take_keys_and_documents(store: Store) -> None:
    assert store.rows("UPDATE '1' WITH {b: 5, _id: 'x', _key: 'y'} IN c RETURN [OLD.b, NEW.b, NEW.a]") == [[None, 5, 1]]
    assert store.rows("UPDATE {_key: '1', b: 6} IN c RETURN NEW.b") == [6]
    assert store.rows("FOR d IN c FILTER d.a == 1 REPLACE d WITH {z: 1} IN c RETURN NEW.a") == [None]
    assert store.rows("FOR d IN c REMOVE d IN c RETURN OLD._key") == ["1", "2"]
    assert store.collections["c"] == {}


def test_all_rows_are_read_before_the_first_write(store: Store) -> None:
    store.query("FOR d IN c INSERT {copy: d._key} INTO other")
    store.query("FOR d IN c UPDATE d WITH {a: d.a + 1} IN c LIMIT 1 RETURN 1")
    assert [d["a"] for d in store.collections["c"].values()] == [2, 3]  # a LIMIT after it limits no write


def test_a_filter_after_a_modification_does_not_keep_rows_from_it(store: Store) -> None:
    text = "FOR d IN c LET made = (INSERT {from: d._key} INTO other RETURN NEW.from) FILTER d.a == 2 RETURN made"
    assert store.rows(text) == [["2"]]
    assert [document["from"] for document in store.collections["other"].values()] == ["1", "2"]


def test_counter_idiom(store: Store) -> None:
    upsert = (
        "UPSERT {a: @a} INSERT {a: @a, n: 1} UPDATE {n: OLD.n + 1} IN c RETURN {t: OLD ? 'update' : 'insert', n: NEW.n}"
    )
    assert store.rows(upsert, {"a": 1}) == [{"t": "update", "n": 2}]
    assert store.rows(upsert, {"a": 2}) == [{"t": "update", "n": 1}]
    assert store.rows(upsert, {"a": 9}) == [{"t": "insert", "n": 1}]


def test_upsert_sees_what_it_wrote_and_matches_null_nested_and_by_condition(store: Store) -> None:
    store.query("FOR i IN 1..3 UPSERT {name: 'x'} INSERT {name: 'x', n: 1} UPDATE {n: OLD.n + 1} IN e")
    assert [d["n"] for d in store.collections["e"].values()] == [3]
    assert store.rows("UPSERT {n: null} INSERT {} UPDATE {} IN c RETURN NEW._key") == ["2"]
    store.query("INSERT {sub: {x: 1, y: 2}} INTO other")
    assert store.rows("UPSERT {sub: {x: 1}} INSERT {} REPLACE {r: 1} IN other RETURN [OLD.sub.y, NEW.r]") == [[2, 1]]
    assert store.rows("UPSERT FILTER CURRENT.a > 1 INSERT {} UPDATE {b: 1} IN c RETURN NEW._key") == ["2"]
    assert store.rows("UPSERT FILTER CURRENT.a > 9 INSERT {a: 10} UPDATE {} IN c RETURN NEW.a") == [10]
    assert store.rows("UPSERT {_key: '1'} INSERT {} UPDATE {b: 3} IN c RETURN NEW.b") == [3]


def test_several_modifications_and_modifications_in_subqueries(store: Store) -> None:
    rows = store.rows(
        "FOR d IN c LET made = (INSERT {from: d._key} INTO other RETURN NEW.from) "
        "UPDATE d WITH {done: true} IN c INSERT {x: NEW.done} INTO e RETURN [made, NEW.x]"
    )
    assert rows == [[["1"], True], [["2"], True]]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("UPDATE 'none' WITH {} IN c", 1202),
        ("INSERT {_key: '1'} INTO c", 1210),
        ("INSERT 5 INTO c", 1227),
        ("UPDATE 5 WITH {} IN c", 1226),
        ("REMOVE {} IN c", 1226),
        ("UPSERT 5 INSERT {} UPDATE {} IN c", 1501),
        ("LET o = 1 INSERT {} INTO c OPTIONS {keepNull: o}", 1575),
    ],
)
def test_errors_end_the_query(store: Store, text: str, number: int) -> None:
    with pytest.raises(ArangoError) as caught:
        store.query(text)
    assert caught.value.number == number


def test_errors_are_ignored_with_ignore_errors(store: Store) -> None:
    result = store.query("FOR k IN ['1', 'none', '2'] REMOVE k IN c OPTIONS {ignoreErrors: true} RETURN OLD._key")
    assert result.rows == ["1", "2"]
    assert (result.stats.writes_executed, result.stats.writes_ignored) == (2, 1)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("{overwrite: true}", WriteOptions(overwrite_mode="replace")),
        ("{overwriteMode: 'ignore'}", WriteOptions(overwrite_mode="ignore")),
        ("{keepNull: false, mergeObjects: false}", WriteOptions(keep_null=False, merge_objects=False)),
        ("{waitForSync: true, exclusive: true}", WriteOptions()),
        ("{versionAttribute: 'v', ignoreRevs: false}", WriteOptions(version_attribute="v", ignore_revs=False)),
        ("@o", WriteOptions()),
    ],
)
def test_options(store: Store, options: str, expected: WriteOptions) -> None:
    if options == "@o":
        store.query("INSERT {} INTO c")
    else:
        store.query(f"INSERT {{}} INTO c OPTIONS {options}")
    assert store.writes[0].options == expected


def test_revisions_are_passed_on_if_they_must_match(store: Store) -> None:
    store.query("FOR d IN c FILTER d.a == 1 UPDATE d WITH {b: 1} IN c OPTIONS {ignoreRevs: false}")
    store.query("FOR d IN c FILTER d.a == 2 REMOVE d IN c OPTIONS {ignoreRevs: false}")
    assert store.writes[0].document == {"b": 1, "_rev": "_r0"}
    assert store.writes[1].document == {"_rev": "_r0"}


def test_insert_that_ignores_what_is_there_gives_no_new(store: Store) -> None:
    assert store.rows("INSERT {_key: '1'} INTO c OPTIONS {overwriteMode: 'ignore'} RETURN NEW") == [None]


def test_an_update_merges_what_is_nested_replaces_arrays_and_keeps_nulls() -> None:
    client = Client(MemoryStore())
    client.send("POST", "/_api/collection", {"name": "c"})
    stored = {"_key": "1", "o": {"a": 1, "b": {"x": 1}}, "l": [1, 2], "n": 1}
    patch = "{o: {b: {y: 2}, c: null}, l: [3], n: null, _id: 'x/y'}"

    def updated(options: str) -> dict[str, Any]:
        client.send("POST", "/_api/document/c?overwrite=true", stored)
        text = f"UPDATE '1' WITH {patch} IN c {options} RETURN UNSET(NEW, '_id', '_rev', '_key')"
        status, body = client.send("POST", "/_api/cursor", {"query": text})
        assert status == 201, body
        (row,) = body["result"]
        assert isinstance(row, dict)
        return row

    merged = {"a": 1, "b": {"x": 1, "y": 2}}
    assert updated("") == {"o": {**merged, "c": None}, "l": [3], "n": None}
    assert updated("OPTIONS {keepNull: false}") == {"o": merged, "l": [3]}
    assert updated("OPTIONS {mergeObjects: false}") == {"o": {"b": {"y": 2}, "c": None}, "l": [3], "n": None}
