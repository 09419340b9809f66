"""Arrays of VelocyPack that are read element by element are those that are read as a whole, and as malformed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.base.errors import ArangoError
from proxy.wire import velocypack_elements
from proxy.wire.velocypack import to_json
from proxy.wire.velocypack_elements import is_array, json_elements
from tests.unit.semantics.test_body_parts import Body
from tests.unit.wire.test_velocypack import VALUES
from tests.unit.wire.vpack import encode

ARRAYS = st.lists(VALUES, min_size=1, max_size=8) | st.lists(st.integers(0, 9), min_size=1, max_size=300)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(velocypack_elements, "_PIECE", 5)


def together(packed: bytes) -> bytes | str:
    """Return the JSON of all elements, or the message of the error."""
    try:
        return b"[" + b",".join(json_elements(Body(packed))) + b"]"
    except ArangoError as error:
        return error.message


def whole(packed: bytes) -> bytes | str:
    try:
        return to_json(packed)
    except ArangoError as error:
        return error.message


def kind(found: bytes | str) -> bytes | str:
    """Return what is right, or the kind of an error: of several faults each reader names the first that it meets."""
    return found if isinstance(found, bytes) else found.partition("length: ")[0]


@given(ARRAYS, st.randoms(use_true_random=False))
def test_the_elements_are_those_of_the_whole(value: list[Any], random: Any) -> None:
    for packed in (encode(value), encode(value, random.choice)):
        assert is_array(Body(packed))
        assert together(packed) == whole(packed)


@given(ARRAYS, st.randoms(use_true_random=False), st.data())
def test_what_is_corrupt_is_refused_as_the_whole_is(value: list[Any], random: Any, data: st.DataObject) -> None:
    packed = bytearray(encode(value, random.choice))
    packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    for bad in (bytes(packed), bytes(packed[: data.draw(st.integers(1, len(packed)))]), encode(value) + b"\x18"):
        if is_array(Body(bad)):
            assert kind(together(bad)) == kind(whole(bad))


@pytest.mark.parametrize("text", ["01", "0a", "41 61", "18", "0b 06 01 4161 31", "14 06 4161 31 01", ""])
def test_other_values_are_no_arrays(text: str) -> None:
    assert not is_array(Body(bytes.fromhex(text)))


@pytest.mark.parametrize("text", ["0609 03 313233 030405", "0709"])
def test_the_places_of_an_index_are_in_the_order_of_the_elements(text: str) -> None:
    """As ArangoDB requires it of arrays, unlike of objects."""
    packed = bytes.fromhex(text)
    assert together(packed) == whole(packed)
    assert "invalid length" in str(together(bytes.fromhex("0609 03 313233 040305")))
