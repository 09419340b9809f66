"""Bits of unsigned 32-bit numbers, whose fraction is ignored. For other values the result is null, with a warning."""

from __future__ import annotations

from collections.abc import Callable

from proxy.aql.aggregates import bits
from proxy.aql.functions.registry import function, is_number
from proxy.aql.query_context import QueryContext
from proxy.aql.values import Value

_LIMIT = 1 << 32


def _number(context: QueryContext, name: str, value: Value, below: int = _LIMIT) -> int | None:
    if is_number(value) and 0 <= value < below:
        return int(value)
    context.warn_invalid_argument(name)
    return None


def _combining(name: str, combine: Callable[[int, int], int]) -> None:
    over_array = bits(combine)

    def implementation(context: QueryContext, a: Value, *b: Value) -> Value:
        if not b:
            if a.__class__ is not list:
                context.warn_invalid_argument(name)
                return None
            found = over_array(a)
            if found is None and any(item is not None for item in a):
                context.warn_invalid_argument(name)
            return found
        first, second = _number(context, name, a), _number(context, name, b[0])
        return None if first is None or second is None else combine(first, second)

    function(name, arguments=(1, 2))(implementation)


_combining("BIT_AND", lambda a, b: a & b)
_combining("BIT_OR", lambda a, b: a | b)
_combining("BIT_XOR", lambda a, b: a ^ b)


@function("BIT_NEGATE", arguments=2)
def bit_negate(context: QueryContext, value: Value, width: Value) -> Value:
    """BIT_NEGATE(number, bits)"""
    number, size = _number(context, "BIT_NEGATE", value), _number(context, "BIT_NEGATE", width, 33)
    return None if number is None or size is None else ~number & ((1 << size) - 1)


@function("BIT_TEST", arguments=2)
def bit_test(context: QueryContext, value: Value, index: Value) -> Value:
    """BIT_TEST(number, index)"""
    number, at = _number(context, "BIT_TEST", value), _number(context, "BIT_TEST", index, 32)
    return None if number is None or at is None else bool(number >> at & 1)


@function("BIT_POPCOUNT", arguments=1)
def bit_popcount(context: QueryContext, value: Value) -> Value:
    """BIT_POPCOUNT(number)"""
    number = _number(context, "BIT_POPCOUNT", value)
    return None if number is None else number.bit_count()


def _shift(context: QueryContext, name: str, value: Value, places: Value, width: Value, *, left: bool) -> Value:
    """Shift the number, and keep its lowest bits."""
    number, by = _number(context, name, value), _number(context, name, places, 33)
    size = _number(context, name, width, 33)
    if number is None or by is None or size is None:
        return None
    return (number << by if left else number >> by) & ((1 << size) - 1)


@function("BIT_SHIFT_LEFT", arguments=3)
def bit_shift_left(context: QueryContext, value: Value, places: Value, width: Value) -> Value:
    """BIT_SHIFT_LEFT(number, places, bits)"""
    return _shift(context, "BIT_SHIFT_LEFT", value, places, width, left=True)


@function("BIT_SHIFT_RIGHT", arguments=3)
def bit_shift_right(context: QueryContext, value: Value, places: Value, width: Value) -> Value:
    """BIT_SHIFT_RIGHT(number, places, bits)"""
    return _shift(context, "BIT_SHIFT_RIGHT", value, places, width, left=False)


@function("BIT_CONSTRUCT", arguments=1)
def bit_construct(context: QueryContext, value: Value) -> Value:
    """BIT_CONSTRUCT(positions)"""
    if value.__class__ is not list:
        context.warn_invalid_argument("BIT_CONSTRUCT")
        return None
    built = 0
    for item in value:
        at = _number(context, "BIT_CONSTRUCT", item, 32)
        if at is None:
            return None
        built |= 1 << at
    return built


@function("BIT_DECONSTRUCT", arguments=1)
def bit_deconstruct(context: QueryContext, value: Value) -> Value:
    """BIT_DECONSTRUCT(number): the positions of its ones"""
    number = _number(context, "BIT_DECONSTRUCT", value)
    return None if number is None else [at for at in range(32) if number >> at & 1]


@function("BIT_TO_STRING", arguments=2)
def bit_to_string(context: QueryContext, value: Value, width: Value) -> Value:
    """BIT_TO_STRING(number, bits)"""
    number, size = _number(context, "BIT_TO_STRING", value), _number(context, "BIT_TO_STRING", width, 33)
    if number is None or size is None:
        return None
    return f"{number & ((1 << size) - 1):0{size}b}" if size else ""


@function("BIT_FROM_STRING", arguments=1)
def bit_from_string(context: QueryContext, value: Value) -> Value:
    """BIT_FROM_STRING("0101")"""
    if value.__class__ is not str or len(value) > 32 or set(value) - {"0", "1"}:
        context.warn_invalid_argument("BIT_FROM_STRING")
        return None
    return int(value or "0", 2)
