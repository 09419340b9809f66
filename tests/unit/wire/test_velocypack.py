"""VelocyPack is read whatever form a writer chose; whatever is cut, corrupt or forbidden is ArangoDB's error."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.base.errors import ArangoError
from proxy.model import json_reader
from proxy.model.json_values import dump, parse, same
from proxy.wire.velocypack import decode, to_json
from proxy.wire.velocypack_writer import encode as write
from proxy.wire.velocypack_writer import of_json
from tests.unit.wire.vpack import encode

TEXT = st.text(st.characters(codec="utf-8"), max_size=140)
SCALAR = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(TEXT, inner, max_size=5), max_leaves=25
)


@given(VALUES, st.randoms(use_true_random=False))
def test_every_form_of_a_value_is_read_back(value: Any, random: Any) -> None:
    for packed in (encode(value), encode(value, random.choice)):
        found = decode(packed)
        assert same(found, value)
        if isinstance(value, dict):
            assert list(found) == list(value)  # attributes keep the order in which they were written
        assert same(parse(to_json(packed)), parse(dump(value)))


@given(VALUES)
def test_what_is_written_is_read_back(value: Any) -> None:
    """The same of its JSON text."""
    assert same(decode(write(value)), value)
    assert same(decode(of_json(dump(value))), json_reader.load(dump(value)))


@pytest.mark.parametrize("size", [1, 20, 200, 2_000, 70_000])
def test_values_of_any_size_are_written(size: int) -> None:
    texts = {f"name{number}": "x" * (number % 9) for number in range(size)}
    for value in (texts, list(texts.values()), [1] * size, {"only": "x" * size}, [{"a": list(range(size))}, 1]):
        assert decode(write(value)) == value


def test_integers_that_no_64_bits_hold_are_written_as_doubles() -> None:
    assert decode(write([2**70, -(2**64), 2**64 - 1, -(2**63)])) == [2.0**70, -(2.0**64), 2**64 - 1, -(2**63)]
    with pytest.raises(TypeError):
        write({"no": {1, 2}})


@given(VALUES, st.data())
def test_a_cut_value_is_refused(value: Any, data: st.DataObject) -> None:
    packed = encode(value)
    cut = packed[: data.draw(st.integers(0, len(packed) - 1))]
    with pytest.raises(ArangoError) as refused:
        decode(cut)
    assert (refused.value.number, refused.value.status) == (600, 400)
    with pytest.raises(ArangoError):
        decode(packed + b"\x18")


@given(st.binary(max_size=60), VALUES, st.data())
def test_any_bytes_are_a_value_or_arangodbs_error(noise: bytes, value: Any, data: st.DataObject) -> None:
    packed = bytearray(encode(value))
    packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    for bad in (noise, bytes(packed)):
        with contextlib.suppress(ArangoError):
            decode(bad)


@pytest.mark.parametrize(
    "text",
    [
        "0205313233",
        "0306 00 313233",
        "0408000000 313233",
        "050c00000000000000 313233",
        "0609 03 313233 030405",
        "070e00 0300 313233 0700 0800 0900".replace("0700 0800 0900", "0500 0600 0700"),
        "0818000000 03000000 313233 09000000 0a000000 0b000000",
        "092c00000000000000 313233 0900000000000000 0a00000000000000 0b00000000000000 0300000000000000",
        "020c 00000000000000 313233",
    ],
)
def test_one_array_in_the_forms_of_the_formats_description(text: str) -> None:
    assert decode(bytes.fromhex(text)) == [1, 2, 3]


def test_objects_and_compact_values_of_the_formats_description() -> None:
    assert decode(bytes.fromhex("1306 31 2810 02")) == [1, 16]
    assert decode(bytes.fromhex("140a 4161 31 4162 2810 02")) == {"a": 1, "b": 16}
    sorted_by_name = bytes.fromhex("0b13 03 4162 1a 4161 280c 4163 4378797a 06030a")
    assert list(decode(sorted_by_name).items()) == [("b", True), ("a", 12), ("c", "xyz")]
    assert decode(bytes.fromhex("0b06 01 4161 31")) == {"a": 1}  # one attribute has no index


def test_names_of_system_attributes_are_numbers() -> None:
    packed = bytes.fromhex("140a 31 4161 34 4162 2805 31 03".replace(" ", ""))
    assert decode(packed[:1] + bytes([len(packed)]) + packed[2:]) == {"_key": "a", "_from": "b", "_to": 1}


def test_numbers_and_dates() -> None:
    assert decode(b"\x1c" + struct.pack("<q", -5)) == -5
    assert to_json(encode(-0.0)) == b"-0.0"
    assert to_json(encode(1.0)) == b"1"
    assert (
        to_json(encode([2**64 - 1, -(2**63), 1e300, "é\x00"]))
        == '[18446744073709551615,-9223372036854775808,1e+300,"é\\u0000"]'.encode()
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "cut"),
        ("00", "type 0x00"),
        ("17", "type 0x17"),
        ("1d0000000000000000", "type 0x1d"),
        ("1e", "type 0x1e"),
        ("c00161", "type 0xc0"),
        ("c803000000000012345", "type 0xc8"),
        ("ee0131", "type 0xee"),
        ("f001", "type 0xf0"),
        ("41ff", "UTF-8"),
        ("43eda080", "UTF-8"),
        ("0b0b024161314161310306", "Duplicate"),
        ("0b7f024161314161310306", "longer"),
        ("140a4161314161312802", "Duplicate|fill"),
        ("1409 4161 31 4161 32 02", "Duplicate"),
        ("1406 5018 31 01", "cut"),
        ("1405 3f 31 01", "attribute name"),
        ("1404 18 01", "cut|name"),
        ("0202", "empty"),
        ("0201", "longer"),
        ("0206 31 4161 31", "differ"),
        ("0609 00 313233 030405", "number of items"),
        ("0609 03 313233 030406", "fill"),
        ("0605 03 31 32", "index is larger"),
        ("0b0c02 3131 4162 31 0306", "longer|fill"),
        ("13ffffffffffffffffff", "compact"),
        ("1303 00", "number of items"),
        ("bfffffffffffffffff61", "cut"),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ArangoError, match=reason):
        decode(bytes.fromhex(text if len(text.replace(" ", "")) % 2 == 0 else text + "0"))


def test_nesting_has_the_limit_of_json() -> None:
    value: Any = 1
    for _ in range(200):
        value = [value]
    assert decode(encode(value)) == value
    with pytest.raises(ArangoError, match="too deep"):
        decode(encode([value]))
