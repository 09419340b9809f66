"""The direct comparison finds every difference, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deploy.demo.db_checks import DocumentTableRow, compare, revision, same, unescaped
from proxy.model.revision import decode_rev, encode_rev

REV = encode_rev(1872607071780732930)


def origin(**attributes: Any) -> str:
    return json.dumps({"_key": "k", "_id": "c/k", "_rev": REV, **attributes})


def row(raw: str, **queried: Any) -> DocumentTableRow:
    return DocumentTableRow(raw, json.dumps(queried), decode_rev(REV))


def test_revisions_are_decoded_without_the_products_help() -> None:
    assert revision("_l6zhVTW--A") == 1872607071780732930
    assert revision(REV) == decode_rev(REV)


def test_equal_documents_are_equal_whatever_the_order() -> None:
    text = origin(a=1, b=[1.5, {"c": None}])
    told = compare("db/c", {"k": text}, {"k": row(text, b=[1.5, {"c": None}], a=1)})
    assert told.equal
    assert (told.documents, told.identical) == (1, 1)
    turned = json.dumps(dict(reversed(json.loads(text).items())))
    told = compare("db/c", {"k": text}, {"k": row(turned, a=1, b=[1.5, {"c": None}])})
    assert told.equal
    assert told.identical == 0


@pytest.mark.parametrize(
    "theirs",
    [
        row(origin(a=2), a=1),  # what is served
        row(origin(a=1), a=2),  # what is queried
        row(origin(a=1), a=1, b=None),
        row(origin(a=True), a=1),
        DocumentTableRow(origin(a=1), '{"a": 1}', decode_rev(REV) - 1),
    ],
)
def test_a_difference_anywhere_is_found(theirs: DocumentTableRow) -> None:
    told = compare("db/c", {"k": origin(a=1)}, {"k": theirs})
    assert told.different == ["k"]
    assert not told.equal


def test_missing_and_extra_documents_are_found() -> None:
    told = compare("db/c", {"k": origin(), "m": origin()}, {"k": row(origin()), "x": row(origin())})
    assert (told.missing, told.extra, told.different) == (["m"], ["x"], [])


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (0, None, False),
        ("1", 1, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": None}, {}, False),
        ([1, 2], [2, 1], False),
        (2**64 - 1, 2**64 - 1, True),
        (1e300, 10**300, True),
        ("é", "e\u0301", False),
    ],
)
def test_equality_is_that_of_json_values(one: Any, other: Any, equal: bool) -> None:
    assert same(one, other) is equal
    assert same(other, one) is equal
    assert same([one], [other]) is equal


def test_escapes_are_turned_back() -> None:
    assert unescaped({"a\ufdd00": ["x\ufdd01y", "\ufdd0sd83d", 1]}) == {"a\0": ["x\ufdd0y", "\ud83d", 1]}
