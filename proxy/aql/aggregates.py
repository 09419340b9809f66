"""Aggregate functions of COLLECT and WINDOW, over the values of one group (Aggregator.cpp; semantics, section 8)."""

from __future__ import annotations

import math
from collections.abc import Callable

from proxy.aql.values import Value, double, less, order_key, unique

_UINT32 = 1 << 32


def numbers(values: list[Value]) -> list[int | float] | None:
    """The numbers among the values, nulls left out; None where anything else is among them."""
    found: list[int | float] = []
    for value in values:
        if value is None:
            continue
        if value.__class__ is not int and value.__class__ is not float:
            return None
        found.append(value)
    return found


def total(values: list[Value]) -> Value:
    """SUM: of no row at all it is null, of nulls alone 0."""
    found = numbers(values)
    if found is None or not values:
        return None
    return double(float_sum(found))


def float_sum(found: list[int | float]) -> float:
    """Adds doubles one after the other, as ArangoDB does."""
    result = 0.0
    for number in found:
        result += number
    return result


def average(values: list[Value]) -> Value:
    """AVERAGE: of no number it is null."""
    found = numbers(values)
    return double(float_sum(found) / len(found)) if found else None


def variance(values: list[Value], sample: bool) -> float | None:
    """The variance; None where there are too few numbers."""
    found = numbers(values)
    if found is None or len(found) < (2 if sample else 1):
        return None
    mean, squares = 0.0, 0.0
    for count, number in enumerate(found, 1):
        delta = number - mean
        mean += delta / count
        squares += delta * (number - mean)
    return squares / (len(found) - 1 if sample else len(found))


def deviation(values: list[Value], sample: bool) -> Value:
    """The square root of the variance."""
    found = variance(values, sample)
    return None if found is None else double(math.sqrt(found))


def smallest(values: list[Value]) -> Value:
    """MIN over the order of all types; nulls are skipped."""
    result: Value = None
    for value in values:
        if value is not None and (result is None or less(value, result)):
            result = value
    return result


def largest(values: list[Value]) -> Value:
    """MAX over the order of all types."""
    result: Value = None
    for value in values:
        if value is not None and (result is None or less(result, value)):
            result = value
    return result


def bits(combine: Callable[[int, int], int]) -> Callable[[list[Value]], Value]:
    """BIT_AND, BIT_OR, BIT_XOR over unsigned 32-bit numbers; nulls are skipped, anything else makes null."""

    def run(values: list[Value]) -> Value:
        result: int | None = None
        for value in values:
            if value is None:
                continue
            if value.__class__ not in (int, float) or not 0 <= value < _UINT32:
                return None
            result = int(value) if result is None else combine(result, int(value))
        return result

    return run


def _variance(sample: bool) -> Callable[[list[Value]], Value]:
    def run(values: list[Value]) -> Value:
        found = variance(values, sample)
        return None if found is None else double(found)

    return run


AGGREGATORS: dict[str, Callable[[list[Value]], Value]] = {
    "LENGTH": len,
    "COUNT": len,
    "SUM": total,
    "MIN": smallest,
    "MAX": largest,
    "AVERAGE": average,
    "AVG": average,
    "STDDEV": lambda values: deviation(values, sample=False),
    "STDDEV_POPULATION": lambda values: deviation(values, sample=False),
    "STDDEV_SAMPLE": lambda values: deviation(values, sample=True),
    "VARIANCE": _variance(sample=False),
    "VARIANCE_POPULATION": _variance(sample=False),
    "VARIANCE_SAMPLE": _variance(sample=True),
    "UNIQUE": unique,
    "SORTED_UNIQUE": lambda values: sorted(unique(v for v in values if v is not None), key=order_key),
    "COUNT_DISTINCT": lambda values: len(unique(values)),
    "COUNT_UNIQUE": lambda values: len(unique(values)),
    "BIT_AND": bits(lambda a, b: a & b),
    "BIT_OR": bits(lambda a, b: a | b),
    "BIT_XOR": bits(lambda a, b: a ^ b),
    "PUSH": list,
}
