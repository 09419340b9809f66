"""Values: conversion, hashing, printing."""

from __future__ import annotations

import pytest

from proxy.aql import compare, equal, json_text, order_key
from proxy.aql.collation import compile_pattern
from proxy.aql.printing import number_text, to_string
from proxy.aql.values import double, hash_key, parse_number, to_integer, to_number, type_name, unique


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (None, 0), (True, 1), ("", 0), (" 12.5 ", 12.5), ("1e3", 1000), ("1x", 0), ("0x10", 0), ([], 0), ([[7]], 7),
        ([1, 2], 0), ({"a": 1}, 0), ("9223372036854775807", 9223372036854775807), ("-.5", -0.5), ("1e999", 0),
        ("99999999999999999999", 1e20), ("+3", 3), ("--3", 0),
    ],
)  # fmt: skip
def test_numbers_from_values(value: object, number: float) -> None:
    assert to_number(value) == number


def test_integers_are_cut_to_64_bits() -> None:
    assert [to_integer(v) for v in (1.9, -1.9, 1e300, -1e300, float("inf"), "7")] == [
        1, -1, 2**63 - 1, -(2**63), 0, 7,
    ]  # fmt: skip


def test_doubles_that_print_whole_become_integers() -> None:
    assert [repr(double(v)) for v in (3.0, -0.0, 1e8, 123456789.0, 1.5, 1e300)] == [
        "3", "0", "100000000.0", "123456789", "1.5", "1e+300",
    ]  # fmt: skip
    assert double(float("nan")) is None
    assert double(float("-inf")) is None


def test_text_of_values() -> None:
    assert json_text({"a": [1, None, True, 'ä\n"', 1.5, {}]}) == '{"a":[1,null,true,"ä\\n\\"",1.5,{}]}'
    assert [to_string(v) for v in (None, True, 5, 0.1, "x", [1])] == ["", "true", "5", "0.1", "x", "[1]"]
    assert number_text(float("nan")) == "null"


def test_equal_values_have_one_key_and_no_others() -> None:
    assert hash_key(1) == hash_key(1.0) != hash_key(True)
    assert hash_key([1, None]) == hash_key([1])
    assert hash_key({"a": None, "b": [True]}) == hash_key({"b": [True]})
    assert unique([1, 1.0, True, "1", None, [None], []]) == [1, True, "1", None, [None]]


def test_equality_and_order_agree() -> None:
    assert equal({"a": [1]}, {"a": [1.0, None], "b": None})
    assert compare({"a": [1]}, {"a": [1.0, None], "b": None}) == 0
    assert compare({"a": 1}, {"a": 2}) == -1
    assert order_key({"a": 1}) == order_key({"a": 1.0})
    assert hash(order_key({"a": 1})) == hash(order_key({"a": 1}))
    assert not order_key({"a": 1}) < order_key({"a": 1.0})
    assert type_name({}) == "object"
    assert parse_number("") == 0


def test_an_expression_that_would_backtrack_for_ever_ends() -> None:
    pattern = compile_pattern("(a|aa)+$", ignore_case=False)
    assert pattern is not None
    assert not pattern.find("a" * 60 + "b")
    assert compile_pattern("(", ignore_case=False) is None
    assert pattern.find("aaa")
