"""Document semantics: keys, handles, system attributes, merging, jsonb's escape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.base.errors import ArangoError
from proxy.model.documents import (
    Merging,
    assemble,
    assembled_text,
    content,
    escape_text,
    from_jsonb_text,
    key_of,
    merge,
    queryable,
    same,
    to_jsonb,
    unescape_text,
    valid_collection,
    valid_handle,
    valid_key,
)
from proxy.model.json_values import dump

KEEP = Merging()
DROP = Merging(keep_null=False)


@pytest.mark.parametrize("key", ["a", "1", "_-:.@()+,=;$!*'%", "x" * 254])
def test_keys_that_arangodb_takes(key: str) -> None:
    assert valid_key(key)


@pytest.mark.parametrize("key", ["", "a/b", "é", "a b", "x" * 255, "#", None, 1, "a\n"])
def test_keys_that_it_does_not(key: object) -> None:
    assert not valid_key(key)


def test_handles() -> None:
    assert valid_handle("c/k")
    assert not valid_handle("c")
    assert not valid_handle("1c/k")
    assert not valid_handle(5)
    for wrong in ("c", "/k", "c/", "c/a/b"):
        assert not valid_handle(wrong)


def test_names_of_collections() -> None:
    assert valid_collection("a-b_c")
    assert valid_collection("_graphs")
    assert not valid_collection("_graphs", system=False)
    assert not valid_collection("")
    assert not valid_collection("a/b")
    assert not valid_collection(None)


def test_an_element_of_an_array_request_names_a_key_and_its_collection_is_ignored() -> None:
    assert key_of("k") == "k"
    assert key_of("other/k") == "k"
    assert key_of({"_key": "k", "_id": "c/x"}) == "k"
    assert key_of("other/k/x") == "k/x"
    assert key_of({"_id": "c/x"}) is None
    assert key_of("c/") is None
    assert key_of({"_key": 5}) is None
    assert key_of(5) is None


def test_a_document_is_assembled_in_the_order_that_arangodb_prints() -> None:
    body = {"z": 1, "_rev": "old", "_from": "a/1", "_other": {"_key": "kept"}, "_key": "ignored"}
    made = assemble("c", "k", "r", body, edge=False)
    assert json.dumps(made) == json.dumps({"_key": "k", "_id": "c/k", "_rev": "r", "z": 1, "_other": {"_key": "kept"}})
    assert content(made) == {"z": 1, "_other": {"_key": "kept"}}


def test_an_edge_needs_both_ends() -> None:
    made = assemble("e", "k", "r", {"a": 1, "_to": "c/2", "_from": "c/1"}, edge=True)
    assert list(made) == ["_key", "_id", "_from", "_to", "_rev", "a"]
    with pytest.raises(ArangoError) as refused:
        assemble("e", "k", "r", {"_from": "c/1"}, edge=True)
    assert (refused.value.number, refused.value.status) == (1233, 400)


@pytest.mark.parametrize(
    ("old", "patch", "merging", "result"),
    [
        # nulls are stored, objects merge at every level, arrays replace
        ({"a": 1}, {"a": None, "b": None}, KEEP, {"a": None, "b": None}),
        ({"a": {"b": 1, "c": {"d": 1}}}, {"a": {"c": {"e": 2}}}, KEEP, {"a": {"b": 1, "c": {"d": 1, "e": 2}}}),
        ({"a": [1, 2]}, {"a": [3]}, KEEP, {"a": [3]}),
        ({"a": {"b": 1}}, {"a": {"c": 2}}, Merging(merge_objects=False), {"a": {"c": 2}}),
        # a null deletes what merging reaches
        ({"a": 1, "b": {"c": 1, "d": 2}}, {"a": None, "b": {"c": None}}, DROP, {"b": {"d": 2}}),
        # a new top-level object loses its nulls one level deep
        ({}, {"a": {"b": None, "c": {"d": None}}}, DROP, {"a": {"c": {"d": None}}}),
        # an object that is new within a merged one is stored as it is
        ({"x": {}}, {"x": {"c": {"d": None}}}, DROP, {"x": {"c": {"d": None}}}),
        # and so is one that replaces another value, or with merging of objects off
        ({"a": 1}, {"a": {"b": None}}, DROP, {"a": {"b": None}}),
        ({"a": {}}, {"a": {"b": None}}, Merging(keep_null=False, merge_objects=False), {"a": {"b": None}}),
        # arrays are not touched
        ({"a": []}, {"a": [None, {"b": None}]}, DROP, {"a": [None, {"b": None}]}),
        # deleting what is not there
        ({"a": 1}, {"b": None}, DROP, {"a": 1}),
    ],
)
def test_merging(old: dict[str, Any], patch: dict[str, Any], merging: Merging, result: dict[str, Any]) -> None:
    assert merge(old, patch, merging, edge=False) == result


def test_an_empty_patch_is_no_change_and_system_attributes_are_none() -> None:
    assert merge({"a": 1}, {}, KEEP, edge=False) is None
    assert merge({"a": 1}, {"_key": "k", "_rev": "x", "_from": "c/1"}, KEEP, edge=False) is None


def test_merging_keeps_places_and_the_ends_of_edges() -> None:
    old = {"_key": "k", "_id": "e/k", "_from": "c/1", "_to": "c/2", "_rev": "r", "b": 1, "a": 2}
    merged = merge(old, {"c": 3, "b": 4, "_to": "c/9"}, KEEP, edge=True)
    assert merged == {"_from": "c/1", "_to": "c/9", "b": 4, "a": 2, "c": 3}
    assert list(merged) == ["_from", "_to", "b", "a", "c"]


# ---- equality


def test_same_distinguishes_true_from_one_and_null_from_absence() -> None:
    assert same({"a": 1, "b": [1, {"c": None}]}, {"b": [1.0, {"c": None}], "a": 1.0})
    assert not same(1, True)
    assert not same([0], [False])
    assert not same({"a": 0}, {"a": False})
    assert not same({}, {"a": None})
    assert not same([1], [1, None])
    assert not same(9007199254740993, 9007199254740992.0)


# ---- jsonb


@pytest.mark.parametrize(
    "raw",
    [
        b'{"_key":"k","a":"plain"}',
        '{"a":"käse \U0001f600 \ud7a3"}'.encode(),
        b'{"a":"\\ud83d\\ude00"}',
        b'{"a":"a backslash before \\\\u0000"}',
        b'{"a":"\\u001F"}',
    ],
)
def test_what_jsonb_holds_is_left_to_postgresql(raw: bytes) -> None:
    assert to_jsonb(raw) is None


def test_what_jsonb_cannot_hold_is_escaped_and_keeps_its_numbers() -> None:
    raw = (
        b'{"_key":"k","_id":"c/k","_rev":"","a":"x\\u0000y","n\\u0000":[9007199254740992.0,1e+20,18446744073709551615]}'
    )
    assert to_jsonb(raw) == '{"a":"x\ufdd00y","n\ufdd00":[9007199254740992.0,1e+20,18446744073709551615]}'


def test_the_escape_character_and_lone_surrogates_are_escaped_too() -> None:
    assert to_jsonb('{"a":"\ufdd0 \\"q\\""}'.encode()) == '{"a":"\ufdd01 \\"q\\""}'
    assert to_jsonb(b'{"a":"\\ufdd0"}') == '{"a":"\ufdd01"}'
    assert to_jsonb(b'{"a":"\\ud800x"}') == '{"a":"\ufdd0sd800x"}'
    assert to_jsonb('{"a":"\udfff"}'.encode("utf-8", "surrogatepass")) == '{"a":"\ufdd0sdfff"}'
    assert to_jsonb(b'{"a":"\\ud83d\\ude00\\u0000"}') == '{"a":"\U0001f600\ufdd00"}'


@pytest.mark.parametrize("edge", [False, True])
@pytest.mark.parametrize("body", [{}, {"a": 1}, {"_x": '"_rev":"', "d": {"_key": "/", "_rev": "r"}}])
@pytest.mark.parametrize("collection", ["c", 'ü"_rev":"', "\\"])
def test_the_queryable_form_lacks_the_attributes_that_have_their_columns(
    collection: str, body: dict[str, Any], edge: bool
) -> None:
    ends = {"_from": f"{collection}/a", "_to": "d/b"} if edge else {}
    document = assemble(collection, "_rev:k", "_abc", {**ends, **body}, edge=edge)
    assert queryable(dump(document), "_rev:k") == dump({**ends, **body})


@pytest.mark.parametrize("body", [{}, {"a": 1}, {"_key": "k"}, {"_key": "k", "_x": {"_id": 1}, "b": ['"']}])
@pytest.mark.parametrize("collection", ["c", 'ü"', "\\"])
def test_the_text_of_a_document_is_made_of_that_of_its_body(collection: str, body: dict[str, Any]) -> None:
    expected = dump(assemble(collection, "k", "_abc", body, edge=False))
    assert assembled_text(collection, "k", "_abc", body, dump(body)) == expected


@pytest.mark.parametrize(
    "body", [{"a": 1, "_key": "k"}, {"_rev": ""}, {"_id": "c/k"}, {"_from": 1}, {"_key": "k", "_to": 1}]
)
def test_a_body_with_system_attributes_elsewhere_is_assembled(body: dict[str, Any]) -> None:
    assert assembled_text("c", "k", "_abc", body, dump(body)) is None


def test_bytes_that_are_not_a_document_are_refused() -> None:
    with pytest.raises(ValueError):
        to_jsonb(b'{"a":"\\u0000\xff"}')
    with pytest.raises(ValueError):
        to_jsonb(b'["\\u0000"]')


@given(st.text(alphabet=st.characters()))
def test_the_escape_is_reversible(text: str) -> None:
    assert unescape_text(escape_text(text)) == text


@given(st.text(alphabet=st.sampled_from(["\x00", "\ufdd0", "\ud800", "0", "1", "s", "d", "8", "\udfff", "a"])))
def test_the_escape_is_reversible_at_its_hardest(text: str) -> None:
    escaped = escape_text(text)
    assert unescape_text(escaped) == text
    escaped.encode()
    assert "\x00" not in escaped


def test_parsed_jsonb_is_unescaped_throughout() -> None:
    value = json.loads('{"a\ufdd00":["\ufdd01",{"b":"\ufdd0sd800"},1]}')
    assert from_jsonb_text(value) == {"a\x00": ["\ufdd0", {"b": "\ud800"}, 1]}
