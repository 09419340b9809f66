"""A fetch becomes the narrowest scan that brings all that it needs."""

from __future__ import annotations

import orjson
import pytest

import sql
from proxy.stores.postgres.scan_choice import ScanStatement, scan_of


def containing(*equalities: tuple[tuple[str, ...], object]) -> object:
    scan = scan_of("docs", equalities, None)
    assert isinstance(scan.value, str)
    assert scan.statement is sql.store.SCAN_CONTAINING
    return orjson.loads(scan.value)


def test_nothing_known_is_a_whole_scan() -> None:
    assert scan_of("docs", (), None) == ScanStatement(sql.store.SCAN)


def test_keys_win() -> None:
    assert scan_of("docs", ((("a",), 1),), ("x", "y", "no key\x00")) == ScanStatement(sql.store.SCAN_KEYS, ["x", "y"])
    assert scan_of("docs", ((("_key",), "x"),), None) == ScanStatement(sql.store.SCAN_KEYS, ["x"])
    assert scan_of("docs", ((("_id",), "docs/x"),), None) == ScanStatement(sql.store.SCAN_KEYS, ["x"])


@pytest.mark.parametrize("equality", [(("_key",), 1), (("_id",), "other/x"), (("_id",), None)])
def test_keys_that_no_document_has(equality: tuple[tuple[str, ...], object]) -> None:
    assert scan_of("docs", (equality,), None) == ScanStatement(sql.store.SCAN_KEYS, [])


def test_equalities_are_nested_objects() -> None:
    assert containing((("a",), 1), (("b", "c"), "x"), (("b", "d"), True)) == {"a": 1, "b": {"c": "x", "d": True}}
    assert containing((("_from",), "a/b")) == {"_from": "a/b"}


@pytest.mark.parametrize("value", [None, [], {}, float("nan"), float("inf")])
def test_values_that_containment_cannot_test_are_left_to_the_evaluator(value: object) -> None:
    assert scan_of("docs", ((("a",), value),), None) == ScanStatement(sql.store.SCAN)
    assert scan_of("docs", ((("_rev",), "x"), ((), 1)), None) == ScanStatement(sql.store.SCAN)


def test_text_is_escaped_as_it_is_stored() -> None:
    assert containing((("a\x00",), "b\ufdd0")) == {"a\ufdd00": "b\ufdd01"}


def test_numbers_are_printed_as_arangodb_prints_them() -> None:
    assert scan_of("docs", ((("a",), 1.0),), None).value == '{"a":1}'
    assert scan_of("docs", ((("a",), 1 << 70),), None).value == '{"a":1180591620717411300000}'


def test_equalities_that_contradict_each_other_narrow_less() -> None:
    assert containing((("a",), 1), (("a", "b"), 2)) == {"a": 1}
    assert containing((("a", "b"), 2), (("a",), 1)) == {"a": {"b": 2}}


def test_one_of_many_values_is_one_scan() -> None:
    scan = scan_of("edges", (), None, (("_from",), ("v/a", "v/\ufdd0")))
    assert scan == ScanStatement(sql.store.SCAN_AMONG, ['{"_from":"v/a"}', '{"_from":"v/\ufdd01"}'])
