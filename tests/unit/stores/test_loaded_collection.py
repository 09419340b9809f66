"""The loaded documents of a collection, as the rules of writes see them."""

from __future__ import annotations

import orjson
import pytest

from proxy.base.errors import ArangoError
from proxy.model.revision import encode_rev
from proxy.semantics import write_document
from proxy.semantics.write_rules import Mode, WriteRules
from proxy.stores.postgres.writes.interruptions import NotLoadedError
from proxy.stores.postgres.writes.loaded_collection import LoadedCollection
from proxy.stores.postgres.writes.properties import parse_properties
from proxy.stores.postgres.writes.row_changes import RowChange

REV = 1 << 60


def document(key: str, rev: int) -> bytes:
    return orjson.dumps({"_key": key, "_id": f"c/{key}", "_rev": encode_rev(rev)})


def loaded() -> LoadedCollection:
    rows = {"a": document("a", 1 << 59), "t": None}
    return LoadedCollection(
        "c",
        edge=False,
        properties=parse_properties("{}"),
        rows=rows,
        loaded=frozenset({"a", "t", "new"}),
        revisions=iter(range(REV, REV + 10)),
    )


def test_a_key_that_was_not_loaded_is_asked_for() -> None:
    collection = loaded()
    with pytest.raises(NotLoadedError) as caught:
        write_document.insert(collection, {"_key": "other"})
    assert caught.value.keys == {"other"}
    assert collection.get("no/key") is None  # no document can have it


def test_the_changes_are_what_differs_from_the_rows() -> None:
    collection = loaded()
    write_document.update(collection, "a", {"n": 1})
    write_document.insert(collection, {"_key": "t"})
    write_document.insert(collection, {"_key": "new"})
    assert [(change.key, change.rev, change.stored) for change in collection.changes()] == [
        ("a", REV, True),
        ("new", REV + 2, False),
        ("t", REV + 1, True),
    ]


def test_what_is_undone_or_removed_again_is_no_change() -> None:
    collection = loaded()
    old = collection.get("a")
    write_document.replace(collection, "a", {"n": 1})
    collection.put_back("a", old)
    write_document.insert(collection, {"_key": "new"})
    write_document.remove(collection, "new")
    assert collection.changes() == []


def test_a_write_sees_those_before_it_in_its_request() -> None:
    collection = loaded()
    write_document.remove(collection, "a")
    with pytest.raises(ArangoError) as caught:
        write_document.remove(collection, "a")
    assert caught.value.number == 1202
    assert collection.changes() == [RowChange("a", 0, None, stored=True)]


def test_a_restored_revision_must_be_one_that_postgresql_holds() -> None:
    collection = loaded()
    rules = WriteRules(mode=Mode.REPLACE, restore=True)
    write_document.insert(collection, {"_key": "a", "_rev": encode_rev(5 << 50)}, rules)
    assert [change.rev for change in collection.changes()] == [5 << 50]
    for rev in ("not a revision", encode_rev(1 << 63)):
        with pytest.raises(ArangoError) as caught:
            write_document.insert(collection, {"_key": "a", "_rev": rev}, rules)
        assert (caught.value.number, caught.value.status) == (1239, 400)
