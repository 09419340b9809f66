"""JSON as ArangoDB reads and prints it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.base.errors import ArangoError
from proxy.model.json_values import dump, number_text, parse, parse_array, parse_objects, parse_printed, same


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("1.0", "1"),
        ("1e5", "100000"),
        ("-0", "0"),
        ("-0.0", "-0"),
        ("0.1", "0.1"),
        ("1.50", "1.5"),
        ("100.25", "100.25"),
        ("1e7", "10000000"),
        ("1e8", "1e+8"),
        ("1.25e9", "1250000000"),
        ("1e-6", "0.000001"),
        ("1e-7", "1e-7"),
        ("1.5e-10", "1.5e-10"),
        ("1e22", "1e+22"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("9007199254740992.0", "9007199254740992.0"),
        ("-9007199254740993.0", "-9007199254740992.0"),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "18446744073709552000"),
        ("-9223372036854775808", "-9223372036854775808"),
        ('[1.0, {"a": 2.50}]', '[1,{"a":2.5}]'),
        (' { "a" : "10:15:30.5" } ', '{"a":"10:15:30.5"}'),
        ('"\\u001f\\u0000\\/\\u00e9\\\\u001f"', '"\\u001F\\u0000/é\\\\u001f"'),
        ('"\\ud83d\\ude00"', '"\U0001f600"'),
        ('{"a:b":"c:d"}', '{"a:b":"c:d"}'),
        ('{"":1}', '{"":1}'),
    ],
)
def test_a_text_as_arangodb_prints_it(text: str, printed: str) -> None:
    value, again = parse_printed(text.encode())
    assert again.decode() == printed
    assert dump(value).decode() == printed


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"NaN",
        b"Infinity",
        b"1e400",
        b'"\\ud800"',
        b'"\xed\xa0\x80"',
        b'"\xff"',
        b"[1,]",
        b'{"a":1,"a":2}',
        b'[{"x":{"b":1,"b":1}}]',
        b'{"a":1,"\\u0061":"\\u003a"}',
        b"01",
        b'"a\nb"',
        b"{} x",
        b"[" * 201 + b"]" * 201,
        b"[" * 5000,
    ],
)
def test_what_is_refused_is_error_600(text: bytes) -> None:
    with pytest.raises(ArangoError) as refused:
        parse(text)
    assert (refused.value.number, refused.value.status) == (600, 400)
    assert refused.value.message.startswith("VPackError error: ")


def test_an_attribute_name_without_quotes_has_arangodbs_words() -> None:
    with pytest.raises(ArangoError, match="Expecting '\"' or '}'"):
        parse(b'{ 1: "World" }')


def test_nesting_up_to_the_limit_is_taken() -> None:
    assert parse(b"[" * 200 + b"]" * 200)
    with pytest.raises(ArangoError, match="too deep"):
        parse(b'{"a":' + b"[" * 200 + b"]" * 200 + b"}")
    assert parse(b"[" + b",".join([b"[]"] * 300) + b"]")


def test_escaped_colons_are_no_duplicates() -> None:
    assert parse(b'{"a\\u003ab":1}') == {"a:b": 1}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_printed_doubles_read_back_as_the_same(value: float) -> None:
    assert float(number_text(value)) == value
    json.loads(number_text(value))


def test_numbers_outside_json_print_as_null() -> None:
    assert number_text(float("nan")) == "null"
    assert number_text(float("-inf")) == "null"


def test_integers_of_computation_beyond_64_bits_print_as_doubles() -> None:
    assert dump([1 << 70, True, (1, 2.0)]) == b"[1180591620717411300000,true,[1,2]]"


def test_lone_surrogates_of_old_data_do_not_break_printing() -> None:
    assert dump({"a": "\ud800"}) == b'{"a":"?"}'


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"18446744073709551615", 18446744073709551615),
        (b"-9223372036854775808", -9223372036854775808),
        (b"-9223372036854775809", -9.223372036854776e18),
        (b"-18446744073709551615", -1.8446744073709552e19),
        (b"18446744073709551616", 1.8446744073709552e19),
        (b"123456789012345678901234567890", 1.2345678901234566e29),
        (b"-123456789012345678901234567890", -1.2345678901234566e29),
        (b"123456789012345678901234567890.0", 123456789012345678901234567890.0),
    ],
)
def test_an_integer_beyond_64_bits_is_a_double_made_digit_by_digit(text: bytes, value: float) -> None:
    """It is not always the nearest double (protocol page, section 2, "JSON values")."""
    found = parse(b'{"a":[' + text + b'],"t":"' + text + b'"}')
    assert same(found, {"a": [value], "t": text.decode()})


def test_an_integer_beyond_doubles_is_refused() -> None:
    for digits in (400, 5000):
        with pytest.raises(ArangoError, match="Number out of range"):
            parse(b"1" * digits)


def test_objects_that_are_parsed_together_are_those_that_are_parsed_one_by_one() -> None:
    texts = [b'{"a":1}', b"{}", b'{"b":[1,{"c":"x,y"}],"d":1.5}', '{"e":"ä"}'.encode()]
    assert parse_objects(texts) == ([parse(text) for text in texts], ())
    del texts[2]
    assert parse_objects(texts) == ([parse(text) for text in texts], [dump(parse(text)) for text in texts])


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b"3", b'[{"a" : 1.50}, "\\u001f", [ 1, 2 ], 1e3]', b'[1,"\\ud83d\\ude00"]']
)
def test_the_elements_of_an_array_are_parsed_with_their_texts(body: bytes) -> None:
    value, texts = parse_array(body)
    assert value == parse(body)
    assert list(texts) == ([dump(one) for one in value] if isinstance(value, list) else [])


@pytest.mark.parametrize(
    "texts",
    [
        [b'{"a":1},{"b":2}', b'{"c":[{"d":1}', b'{"e":2}]}'],
        [b'{"a":1', b'"b":2}'],
        [b'{"a":1}', b""],
        [b'{"a":1}', b"[]"],
        [b'{"a":1,"a":2}', b"{}"],
        [b'{"a\\u003a":1}', b"{}"],
        [b'{"a":123456789012345678901234567890}', b"{}"],
        [b'{"a":' + 201 * b"[" + 201 * b"]" + b"}", b"{}"],
        [b'{"a":"\xff"}', b"{}"],
    ],
)
def test_objects_are_not_parsed_together_if_that_may_be_wrong(texts: list[bytes]) -> None:
    assert parse_objects(texts) is None
