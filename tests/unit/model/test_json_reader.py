"""Reading what ArangoDB printed."""

from __future__ import annotations

import math

import pytest

from proxy.model import json_reader


def test_plain_documents_are_plain_values() -> None:
    assert json_reader.load(b'{"a":[1,2.5,null,true,"x"]}') == {"a": [1, 2.5, None, True, "x"]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"18446744073709551615", 18446744073709551615),
        (b"-9223372036854775808", -9223372036854775808),
        (b"9007199254740993", 9007199254740993),
    ],
)
def test_integers_of_64_bits_are_exact(text: bytes, value: int) -> None:
    found = json_reader.load(text)

    assert found == value
    assert isinstance(found, int)


@pytest.mark.parametrize(
    "text", [b"18446744073709551616", b"123456789012345680000", b'[-0,123456789012345680000,"-0"]']
)
def test_more_digits_are_a_double(text: bytes) -> None:
    found = json_reader.load(text)

    number = found[1] if isinstance(found, list) else found
    assert isinstance(number, float)


def test_minus_zero_is_the_double_that_is_printed_so() -> None:
    found = json_reader.load(b'{"a":-0,"b":-0.5,"c":"-0","d":-05e-1,"e":0}'.replace(b"-05e-1", b"-0e1"))

    assert math.copysign(1, found["a"]) == -1
    assert found["b"] == -0.5
    assert found["c"] == "-0"
    assert isinstance(found["e"], int)


def test_lone_surrogates_of_old_data_are_kept() -> None:
    assert json_reader.load(b'"\\ud800x"') == "\ud800x"


def test_text_that_is_not_json_is_refused() -> None:
    with pytest.raises(ValueError, match="Expecting"):
        json_reader.load(b"{")
