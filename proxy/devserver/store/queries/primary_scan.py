"""Queries that ArangoDB answers from its primary index: key ranges and order by `_key`, in byte order of keys. Pure.

FOR d IN c [FILTER d._key > @a AND d._key <= @b] SORT d._key [LIMIT …] RETURN …

The index is ordered by the bytes of `_key` (protocol page, section 10); everywhere else strings compare by ICU.
ArangoDB takes the filter and the order from the index and drops them from the query, so that paging by key sees byte
order; the same is done here. A query of any other form is evaluated as usual.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.aql import ast
from proxy.aql.analyse import path_of

_MIRRORED = {">": "<", ">=": "<=", "<": ">", "<=": ">="}
_PLAIN = (ast.Variable, ast.Attribute, ast.Array, ast.Object, ast.Item, ast.Literal, ast.Parameter)


@dataclass(frozen=True, slots=True)
class PrimaryScan:
    """A range of the primary index: conditions on keys, how many to skip and to take. count: None takes all.

    rest: the query without what the index answers.
    """

    rest: ast.Query
    conditions: tuple[tuple[str, str], ...]
    offset: int
    count: int | None

    def keys(self, ordered: Sequence[str]) -> Sequence[str]:
        """Return those of the keys, given in byte order, that are in the range."""
        first, end = 0, len(ordered)
        for operator, key in self.conditions:
            side = bisect.bisect_right if operator in (">", "<=") else bisect.bisect_left
            at = side(ordered, key)
            if operator in (">", ">="):
                first = max(first, at)
            else:
                end = min(end, at)
        first += self.offset
        return ordered[first : end if self.count is None else min(end, first + self.count)]

    def bind(self, bind: Mapping[str, Any]) -> dict[str, Any]:
        """Return the bind variables that the rest of the query uses."""
        used = {parameter.name for parameter in ast.walk(self.rest) if isinstance(parameter, ast.Parameter)}
        return {name: value for name, value in bind.items() if name in used}


def scan_of(query: ast.Query, bind: Mapping[str, Any]) -> PrimaryScan | None:
    """Return the range that answers the query; None if it is not of that form."""
    statements = query.statements
    if len(statements) < 3 or not isinstance(statements[0], ast.For) or not isinstance(statements[-1], ast.Return):
        return None
    loop, *middle, last = statements
    assert isinstance(loop, ast.For)
    assert isinstance(last, ast.Return)
    if not isinstance(loop.source, ast.Collection | ast.Parameter) or loop.search is not None or last.distinct:
        return None
    if not isinstance(loop.variable, str) or not all(isinstance(node, _PLAIN) for node in ast.walk(last.value)):
        return None
    offset, count = 0, None
    if isinstance(middle[-1], ast.Limit):
        numbers = _limit(middle.pop(), bind)
        if numbers is None:
            return None
        offset, count = numbers
    if not middle or not _is_order(middle.pop(), loop.variable):
        return None
    conditions: list[tuple[str, str]] = []
    for statement in middle:
        if not isinstance(statement, ast.Filter):
            return None
        for part in _conjuncts(statement.condition):
            condition = _condition(part, loop.variable, bind)
            if condition is None:
                return None
            conditions.append(condition)
    rest = ast.Query(query.with_collections, (loop, last))
    return PrimaryScan(rest, tuple(conditions), offset, count)


def _conjuncts(node: ast.Expr) -> Iterator[ast.Expr]:
    if isinstance(node, ast.Logical) and node.op == "AND":
        for operand in node.operands:
            yield from _conjuncts(operand)
    else:
        yield node


def _condition(node: ast.Expr, variable: str, bind: Mapping[str, Any]) -> tuple[str, str] | None:
    if not isinstance(node, ast.Binary) or node.op not in _MIRRORED:
        return None
    sides = ((node.left, node.op, node.right), (node.right, _MIRRORED[node.op], node.left))
    for attribute, operator, value in sides:
        key = _constant(value, bind)
        if path_of(attribute) == (variable, ("_key",)) and isinstance(key, str):
            return operator, key
    return None


def _is_order(statement: ast.Statement, variable: str) -> bool:
    if not isinstance(statement, ast.Sort) or len(statement.keys) != 1:
        return False
    key = statement.keys[0]
    return path_of(key.value) == (variable, ("_key",)) and key.direction == "ASC"


def _limit(statement: ast.Statement, bind: Mapping[str, Any]) -> tuple[int, int] | None:
    assert isinstance(statement, ast.Limit)
    offset = 0 if statement.offset is None else _constant(statement.offset, bind)
    count = _constant(statement.count, bind)
    numbers = [number for number in (offset, count) if type(number) is int and number >= 0]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None


def _constant(node: ast.Expr, bind: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Literal):
        return node.value
    if isinstance(node, ast.Parameter) and not node.source:
        return bind.get(node.name)
    return None
