"""Operators over values (semantics page, sections 2 to 4): comparison is two-valued, arithmetic is of doubles."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from proxy.aql.compiled_types import Constant, Frame, Plain
from proxy.aql.functions.patterns import like, regex_test
from proxy.aql.query_context import QueryContext
from proxy.aql.values import (
    Value,
    contains,
    double,
    equal,
    hash_key,
    less,
    to_integer,
    to_number,
    truthy,
)
from proxy.base.arango_errors import ARANGO_ERRORS

_INT64 = 1 << 63
_HASHED_FROM = 8  # elements of a constant list from which IN looks up a set


def unary(op: str, operand: Plain) -> Plain:
    """Return the function of NOT, - or +."""
    if op == "NOT":
        return lambda frame: not truthy(operand(frame))
    if op == "-":
        return lambda frame: _negative(to_number(operand(frame)))
    return lambda frame: to_number(operand(frame))


def _negative(number: int | float) -> Value:
    return double(-float(number)) if number.__class__ is float else -number


def _exact(op: str, left: Value, right: Value) -> Value:
    """Return the result for two integers if ArangoDB computes it with integers, else None."""
    if left.__class__ is not int or right.__class__ is not int:
        return None
    if op == "+":
        result = left + right
    elif op == "-":
        result = left - right
    elif op == "*":
        result = left * right
    elif op == "%" and right:
        result = abs(left) % abs(right) * (-1 if left < 0 else 1)
    elif op == "/" and right in (1, -1):
        result = left * right
    else:
        return None
    return result if -_INT64 <= result < _INT64 else None


def constant_arithmetic(context: QueryContext, op: str, a: Value, b: Value) -> Value:
    """Compute arithmetic of two constants, which ArangoDB folds before a query runs: exact if both are integers.

    A result that no double holds is null with warning 1504, once for the whole query, as for a division by zero.
    """
    exact = _exact(op, a, b)
    if exact is not None:
        return exact
    value = arithmetic(context, op, a, b)
    if value is None and (op in ("+", "-", "*") or to_number(b) != 0):
        context.warn(1504, ARANGO_ERRORS[1504].message)
    return value


def arithmetic(context: QueryContext, op: str, a: Value, b: Value) -> Value:
    """Compute + - * / % of any two values. Division by zero is null with warning 1562."""
    try:
        x = a if a.__class__ is float else float(to_number(a))
        y = b if b.__class__ is float else float(to_number(b))
        if op == "+":
            return double(x + y)
        if op == "-":
            return double(x - y)
        if op == "*":
            return double(x * y)
        if y == 0:
            context.warn(1562, "division by zero")
            return None
        return double(x / y if op == "/" else math.fmod(x, y))
    except (OverflowError, ValueError):
        return None


def range_array(context: QueryContext, low: Value, high: Value) -> Value:
    """Return the numbers from low to high, both included, up or down."""
    first, last = to_integer(low), to_integer(high)
    context.check_size(abs(last - first) + 1)
    return list(range(first, last + 1)) if first <= last else list(range(first, last - 1, -1))


def not_in(array: Value, value: Value) -> bool:
    """Evaluate NOT IN, which is false as well if the right operand is not an array."""
    return array.__class__ is list and not contains(array, value)


COMPARISONS: dict[str, Callable[[Value, Value], bool]] = {
    "==": equal,
    "!=": lambda a, b: not equal(a, b),
    "<": less,
    "<=": lambda a, b: not less(b, a),
    ">": lambda a, b: less(b, a),
    ">=": lambda a, b: not less(a, b),
    "IN": lambda a, b: contains(b, a),
    "NOT IN": lambda a, b: not_in(b, a),
}


ARITHMETIC: Final = frozenset({"+", "-", "*", "/", "%"})


def binary(context: QueryContext, op: str, left: Plain, right: Plain) -> Plain:
    """Return the function of a binary operator."""
    if op in ARITHMETIC:
        return lambda frame: arithmetic(context, op, left(frame), right(frame))
    if op in ("==", "!="):
        return _equality(wanted=op == "==", left=left, right=right)
    if op in ("IN", "NOT IN") and isinstance(right, Constant) and right.value.__class__ is list:
        return _membership(wanted=op == "IN", left=left, values=right.value)
    if op == "LIKE":
        return lambda frame: like(context, left(frame), right(frame))
    if op == "NOT LIKE":
        return lambda frame: not truthy(like(context, left(frame), right(frame)))
    if op == "=~":
        return lambda frame: regex_test(context, left(frame), right(frame))
    if op == "!~":
        return lambda frame: not truthy(regex_test(context, left(frame), right(frame)))
    compare = COMPARISONS[op]
    return lambda frame: compare(left(frame), right(frame))


def _equality(*, wanted: bool, left: Plain, right: Plain) -> Plain:
    """Return the function of == or !=, a faster one if an operand is constant."""
    if isinstance(left, Constant):
        left, right = right, left
    if isinstance(right, Constant):
        value = right.value
        kind = value.__class__
        if kind is str:
            return (lambda frame: left(frame) == value) if wanted else (lambda frame: left(frame) != value)
        if value is None or kind is bool:
            return (lambda frame: left(frame) is value) if wanted else (lambda frame: left(frame) is not value)
        return lambda frame: equal(left(frame), value) is wanted
    return lambda frame: equal(left(frame), right(frame)) is wanted


def _membership(*, wanted: bool, left: Plain, values: list[Value]) -> Plain:
    """Return the function of IN or NOT IN a constant list."""
    if len(values) < _HASHED_FROM:
        return lambda frame: contains(values, left(frame)) is wanted
    keys = frozenset(hash_key(value) for value in values)

    def test(frame: Frame) -> bool:
        return (hash_key(left(frame)) in keys) is wanted

    return test
