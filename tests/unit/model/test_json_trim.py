"""Cutting attributes out of JSON text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model.json_trim import _members, cut, cut_new, elements, elements_in_pieces, members


def test_the_usual_form_is_cut_by_slicing() -> None:
    assert cut_new(b'{"_key":"a","new":{"x":1}}', b'{"x":1}') == b'{"_key":"a"}'


@pytest.mark.parametrize(
    ("body", "without"),
    [
        (b'{"a":1,"new":2,"b":3}', b'{"a":1,"b":3}'),
        (b'{"new":2,"b":3}', b'{"b":3}'),
        (b'{ "new" : 2 , "b" : 3 }', b'{ "b" : 3 }'),
        (b'{"new":2}', b"{}"),
        (b'{"a":{"new":1}}', b'{"a":{"new":1}}'),
        (b'{"a":",\\"new\\":2"}', b'{"a":",\\"new\\":2"}'),
        ('{"ä":"ö","new":"ü"}'.encode(), '{"ä":"ö"}'.encode()),
        (b"{}", b"{}"),
    ],
)
def test_any_form_is_cut(body: bytes, without: bytes) -> None:
    assert cut(body, "new") == without


def test_members_know_their_places() -> None:
    body = '{"ä" : [1, 2] ,"b":null}'.encode()
    assert [(member.name, body[member.value : member.end]) for member in members(body)] == [
        ("ä", b"[1, 2]"),
        ("b", b"null"),
    ]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a"}', b'{"a":1', b"{1:2}", b'{"a":1;"b":2}'])
def test_anything_but_an_object_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        list(members(body))


def test_elements_of_arrays() -> None:
    assert elements(b'[1, {"a":[2]} ,"x"]') == [b"1", b'{"a":[2]}', b'"x"']
    assert elements(b'["\\ud800", 1]') == [b'"\\ud800"', b"1"]
    assert elements(b" [ ] ") == []
    for body in (b"{}", b"[1", b'["\\ud800"', b'["\\ud800" 1]'):
        with pytest.raises(ValueError):
            elements(body)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b'{"a":1,"b":{"a":[1,{"c":2}]},"":"x,\\"y"}', ["a", "b", ""]),
        (b' { "a" : 1 , "b":\n"}" } ', ["a", "b"]),
        (b"{}", []),
        (b" { } ", []),
        (b'{"a":1,"a":2}', ["a", "a"]),  # twice
        (b'{"\\u0061":1,"b":2}', ["a", "b"]),  # escaped
        ('{"é":1}'.encode(), ["é"]),
        (b'{"a":1,"b":"\xff"}', ["a", "b"]),  # not UTF-8
    ],
)
def test_both_searches_find_the_attributes_of_an_object(body: bytes, names: list[str]) -> None:
    """The fast search and the slow one find the same positions."""
    found = list(members(body))
    assert [member.name for member in found] == names
    assert found == list(_members(body))


_ODD = st.sampled_from(['},{"_id":"', '"}},{"error":', "\ud800"])
_TEXTS = st.text(alphabet='ab"\\,{}[]:_\u00e9', max_size=12) | _ODD
_VALUES = st.recursive(
    _TEXTS | st.integers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS | st.sampled_from(["_id", "error"]), inner),
    max_leaves=12,
)
_ANSWERS = st.lists(st.fixed_dictionaries({}, optional={"_id": _VALUES, "error": _VALUES, "new": _VALUES}), max_size=12)


@given(_ANSWERS, st.integers(min_value=1, max_value=60))
def test_elements_in_pieces_are_the_same_elements(answer: list[object], size: int) -> None:
    body = json.dumps(answer, separators=(",", ":")).encode()
    assert [item for piece in elements_in_pieces(body, size) for item in piece] == elements(body)


def test_pieces_of_an_answer_are_small_even_if_documents_contain_borders() -> None:
    one = b'{"_id":"c/k","new":{"text":"\\"},{\\"_id\\":","list":[{"_id":1},{"_id":2}]}}'
    body = b"[" + b",".join([one] * 200) + b"]"
    pieces = list(elements_in_pieces(body, 300))
    assert [item for piece in pieces for item in piece] == [one] * 200
    assert max(map(len, pieces)) <= 10
    with pytest.raises(ValueError, match="no"):
        list(elements_in_pieces(b'{"a":1}', 10))
