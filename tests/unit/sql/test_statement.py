"""Statements: the types of their rows, and the quoted names of their tables."""

from __future__ import annotations

from typing import NamedTuple

import pytest

import sql
from sql.statement import Single, Statement, names_of


class _Pair(NamedTuple):
    collection: str
    relation: str


def test_rows_are_named_tuples() -> None:
    (row,) = Statement("collections", "all", _Pair).rows([["shop/a", "shop.a"]])
    assert row == _Pair("shop/a", "shop.a")
    assert row.relation == "shop.a"


def test_rows_of_one_column_are_its_values() -> None:
    assert Statement("shadow", "some_keys", str).rows([["a"], ["b"]]) == ["a", "b"]


def test_rows_of_columns_that_a_blank_decides_are_tuples() -> None:
    assert sql.store.FENCED.rows([[True, 1, "x"]]) == [(True, 1, "x")]


def test_a_statement_that_is_not_there_is_refused() -> None:
    with pytest.raises(KeyError):
        Statement("collections", "absent")


@pytest.mark.parametrize("relation", ["shop.carts", '"a b"."c ""d"""', "numbers"])
def test_a_statement_is_put_on_a_table_by_its_quoted_name(relation: str) -> None:
    found = sql.store.COUNT.on(relation)
    assert found.text.endswith(f"\nSELECT count(*) FROM {relation} WHERE doc IS NOT NULL")
    assert isinstance(found, Single)
    assert found.rows([[3]]) == [3]


@pytest.mark.parametrize("relation", ["a b", "a; DROP TABLE b", 'x"y', "a.b.c", "", '"a', "A"])
def test_what_is_not_a_quoted_name_is_refused(relation: str) -> None:
    with pytest.raises(ValueError, match="not the quoted name"):
        sql.store.COUNT.on(relation)


def test_the_names_of_a_table_are_unquoted() -> None:
    assert names_of('"a b"."c ""d"""') == ("a b", 'c "d"')
    assert names_of("shop.carts") == ("shop", "carts")
    assert names_of("numbers") == (None, "numbers")


def test_a_blank_is_not_filled_within_what_fills_one_before_it() -> None:
    found = sql.store.FENCED.fill(generation="$1", query="SELECT '{generation}'")
    assert "SELECT '{generation}'" in found.text
    assert "$1::bigint" in found.text


def test_a_statement_is_shown_without_its_description() -> None:
    found = sql.indexes.DROP.fill(index="shop.list_1").without_description
    assert found == "DROP INDEX CONCURRENTLY IF EXISTS shop.list_1"
