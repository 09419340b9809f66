"""Documents that are loaded on demand: what is noted as missing, and what has changed."""

from __future__ import annotations

import pytest

from proxy.complete.loaded_part import DemandDocuments, LoadedPart, Missing


def documents(part: LoadedPart) -> tuple[DemandDocuments, Missing]:
    missing = Missing()
    return DemandDocuments(part, missing), missing


def test_an_unknown_key_is_missed_and_absent() -> None:
    found, missing = documents(LoadedPart({"a": b"1", "b": None}))
    assert found.get("a") == b"1"
    assert found.get("b") is None
    assert "c" not in found
    with pytest.raises(KeyError):
        found["d"]
    assert found.get("not a key") is None
    assert missing.keys == {"c", "d"}
    assert not missing.documents


def test_all_documents_are_missed_unless_complete() -> None:
    found, missing = documents(LoadedPart({"a": b"1"}))
    assert list(found) == ["a"]
    assert missing.documents
    whole, missed = documents(LoadedPart({"a": b"1"}, complete=True))
    assert list(whole.items()) == [("a", b"1")]
    assert "c" not in whole
    assert not missed.anything


def test_changes_are_what_differs_from_what_was_loaded() -> None:
    part = LoadedPart({"a": b"1", "b": b"2", "c": b"3", "d": None})
    found, missing = documents(part)
    found["a"] = b"4"
    found["b"] = b"5"
    found["b"] = b"2"
    found.pop("c")
    found["d"] = b"6"
    assert found.changes().documents == {"a": b"4", "c": None, "d": b"6"}
    assert found.loaded_count() == 0
    assert not missing.anything


def test_removing_all_makes_it_complete() -> None:
    found, missing = documents(LoadedPart({"a": b"1"}))
    found.remove_all()
    found["b"] = b"2"
    assert list(found) == ["b"]
    changes = found.changes()
    assert changes.emptied
    assert changes.documents == {"b": b"2"}
    assert not missing.anything
