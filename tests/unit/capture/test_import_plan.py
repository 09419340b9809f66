"""The plan of an import, and the summary that the client gets (protocol page, section 3)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.capture.answers import Opaque
from proxy.capture.import_plan import ByArrays, ByKeys, ByRevisions, FullResync, Items, key_of, plan, read, summary
from proxy.model.operations import Operation
from proxy.wire.endpoints import named


def operation(body: bytes, **params: str) -> Operation:
    return Operation(named("import"), "POST", "shop", "books", params=params, body=body)


def arrays(planned: object) -> ByArrays:
    assert isinstance(planned, ByArrays)
    return planned


@pytest.mark.parametrize(
    ("kind", "body", "found"),
    [
        ("documents", b'{"a":1}\n\n{"b":2}\r\n', Items((b'{"a":1}', b'{"b":2}'), 0, 1)),
        ("documents", b'{"a":1}\n[1]\n{"b"\n"x"', Items((b'{"a":1}',), 3, 0)),
        ("array", b' [{"a": 1}, 5, {"b": 2}]', Items((b'{"a": 1}', b'{"b": 2}'), 1, 0)),
        ("list", b"[]", Items((), 0, 0)),
        ("auto", b'[{"a":1}]', Items((b'{"a":1}',), 0, 0)),
        ("auto", b'{"a":1}', Items((b'{"a":1}',), 0, 0)),
        ("", b'["_key","n"]\n["k",1]\n["l",null]\n\n[1]\n{', Items((b'{"_key":"k","n":1}', b'{"_key":"l"}'), 2, 1)),
    ],
)
def test_every_format_is_read(kind: str, body: bytes, found: Items) -> None:
    assert read(body, {"type": kind}) == found


def test_missing_values_may_be_ignored() -> None:
    assert read(b'["a","b"]\n[1]', {"ignoreMissing": "true"}).documents == (b'{"a":1}',)


@pytest.mark.parametrize(
    ("kind", "body"), [("array", b"{"), ("odd", b"[]"), ("", b""), ("", b'{"a":1}'), ("", b'[""]\n')]
)
def test_a_body_that_has_no_documents_is_opaque(kind: str, body: bytes) -> None:
    assert isinstance(plan(operation(body, type=kind)), Opaque)


def test_documents_with_keys_are_read_again_by_them() -> None:
    body = b'{"_key":"a"}\n{"_key":"b","x":"\\ud800"}\n{"_key":"a"}'
    assert plan(operation(body, type="documents", complete="true", details="yes")) == ByKeys(("a", "b"))


def test_a_word_for_duplicates_that_arangodb_does_not_know_is_an_import_like_any_other() -> None:
    """ArangoDB reads it as `error` and carries the import out: its documents are captured as well."""
    odd = {"type": "documents", "onDuplicate": "odd"}
    assert plan(operation(b'{"_key":"a"}', **odd)) == ByKeys(("a",))
    assert arrays(plan(operation(b'{"n":1}', **odd))).mode == "conflict"


def test_an_import_that_truncates_needs_the_whole_collection() -> None:
    assert plan(operation(b'{"_key":"a"}', type="documents", overwrite="1")) == FullResync()


@pytest.mark.parametrize("option", ["complete", "details"])
def test_what_array_writes_cannot_say_exactly_is_found_by_revisions(option: str) -> None:
    assert plan(operation(b'{"n":1}', type="documents", **{option: "true"})) == ByRevisions()


def test_documents_without_keys_become_array_writes() -> None:
    planned = arrays(plan(operation(b'{"n":1}\n\n5\n{"_key":"a"}', type="documents", waitForSync="true")))
    assert planned.target.startswith("/_api/document/books?overwriteMode=conflict&")
    assert planned.target.endswith("&waitForSync=true")
    assert (planned.bodies, planned.bad, planned.empty) == ((b'[{"n":1},{"_key":"a"}]',), 1, 1)
    many = b"\n".join(b'{"n":%d}' % n for n in range(2500))
    assert [len(json.loads(body)) for body in arrays(plan(operation(many, type="documents"))).bodies] == [
        1000,
        1000,
        500,
    ]


@pytest.mark.parametrize(
    ("params", "end"),
    [
        ({"fromPrefix": "a"}, ("a/1", "q/2")),
        ({"fromPrefix": "a/", "toPrefix": "b", "overwriteCollectionPrefix": "true"}, ("a/1", "b/2")),
        ({"toPrefix": "b"}, ("1", "q/2")),
    ],
)
def test_prefixes_are_put_before_the_ends_of_edges(params: dict[str, str], end: tuple[str, str]) -> None:
    planned = arrays(plan(operation(b'{"_from":"1", "_to":"q/2","n":1.0}', type="documents", **params)))
    [document] = json.loads(planned.bodies[0])
    assert (document["_from"], document["_to"]) == end
    assert b'"n":1.0' in planned.bodies[0]


def test_odd_ends_are_left_to_arangodb() -> None:
    planned = arrays(plan(operation(b'{"_from":[5],"_to":"\\ud800"}', type="documents", fromPrefix="a", toPrefix="b")))
    assert planned.bodies == (b'[{"_from":[5],"_to":"\\ud800"}]',)
    planned = arrays(plan(operation(b'{"_from":5,"_to":true}', type="documents", fromPrefix="a", toPrefix="b")))
    assert planned.bodies == (b'[{"_from":"a/5","_to":true}]',)


@pytest.mark.parametrize(
    ("mode", "answers", "counts"),
    [
        ("error", [{"_key": "a"}, {"error": True, "errorNum": 1210}], (1, 2, 0, 0)),
        ("update", [{"_key": "a", "_oldRev": "x"}, {"_key": "b"}], (1, 1, 1, 0)),
        ("ignore", [{"_key": "a"}, {"_key": "b", "new": {}}, {"error": True, "errorNum": 1210}], (1, 1, 0, 2)),
        ("ignore", [{"error": True, "errorNum": 1221}], (0, 2, 0, 0)),
    ],
)
def test_the_summary_counts_what_the_arrays_say(mode: str, answers: list[Any], counts: tuple[int, ...]) -> None:
    told = json.loads(summary(ByArrays("", (), mode, bad=1, empty=3), [json.dumps(answers).encode()]))
    assert list(told) == ["error", "created", "errors", "empty", "updated", "ignored"]
    assert (told["created"], told["errors"], told["updated"], told["ignored"], told["empty"]) == (*counts, 3)


def test_a_key_is_found_in_what_strict_readers_refuse() -> None:
    assert key_of(b'{"_key":"a","t":"\\ud800"}') == "a"
    assert key_of(b'{"_key":7}') is None
    assert key_of(b'{"t":"\\ud800"}') is None
