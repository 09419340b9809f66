"""Aggregate functions of COLLECT and WINDOW, over the values of one group (Aggregator.cpp; semantics, section 8)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from proxy.aql.sql_terms import Term
from proxy.aql.values import Value, double, less, order_key, unique

_UINT32 = 1 << 32


def numbers(values: list[Value]) -> list[int | float] | None:
    """Return the numbers among the values, without nulls; None if there are other values."""
    found: list[int | float] = []
    for value in values:
        if value is None:
            continue
        if value.__class__ is not int and value.__class__ is not float:
            return None
        found.append(value)
    return found


def total(values: list[Value]) -> Value:
    """SUM: null without a row, 0 of only nulls."""
    found = numbers(values)
    if found is None or not values:
        return None
    return double(float_sum(found))


def float_sum(found: list[int | float]) -> float:
    """Add doubles one after the other, as ArangoDB does."""
    result = 0.0
    for number in found:
        result += number
    return result


def average(values: list[Value]) -> Value:
    """AVERAGE: null without a number."""
    found = numbers(values)
    return double(float_sum(found) / len(found)) if found else None


def variance(values: list[Value], *, sample: bool) -> float | None:
    """Return the variance; None if there are too few numbers."""
    found = numbers(values)
    if found is None or len(found) < (2 if sample else 1):
        return None
    mean, squares = 0.0, 0.0
    for count, number in enumerate(found, 1):
        delta = number - mean
        mean += delta / count
        squares += delta * (number - mean)
    return squares / (len(found) - 1 if sample else len(found))


def deviation(values: list[Value], *, sample: bool) -> Value:
    """Return the square root of the variance."""
    found = variance(values, sample=sample)
    return None if found is None else double(math.sqrt(found))


def smallest(values: list[Value]) -> Value:
    """MIN in the order of all types; nulls are skipped."""
    result: Value = None
    for value in values:
        if value is not None and (result is None or less(value, result)):
            result = value
    return result


def largest(values: list[Value]) -> Value:
    """MAX in the order of all types."""
    result: Value = None
    for value in values:
        if value is not None and (result is None or less(result, value)):
            result = value
    return result


def bits(combine: Callable[[int, int], int]) -> Callable[[list[Value]], Value]:
    """BIT_AND, BIT_OR, BIT_XOR of unsigned 32-bit numbers; nulls are skipped, other values make the result null."""

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


def _variance(*, sample: bool) -> Callable[[list[Value]], Value]:
    def run(values: list[Value]) -> Value:
        found = variance(values, sample=sample)
        return None if found is None else double(found)

    return run


def _sum_sql(value: str) -> Term:
    numeric, only = _numeric(value)
    total = f"coalesce(sum(_crossfade.number({value})) {only}, 0)"
    return Term(f"CASE WHEN count(*) > 0 AND {numeric} THEN {total} END", "number", scalar=True)


def _average_sql(value: str) -> Term:
    numeric, only = _numeric(value)
    return Term(f"CASE WHEN {numeric} THEN avg(_crossfade.number({value})) {only} END", "number", scalar=True)


def _numeric(value: str) -> tuple[str, str]:
    """Return the condition that all values are numbers or null, and the FILTER for the numbers."""
    mixed = f"bool_or(jsonb_typeof({value}) NOT IN ('null', 'number'))"
    return f"NOT coalesce({mixed}, false)", f"FILTER (WHERE jsonb_typeof({value}) = 'number')"


def _extreme_sql(direction: str) -> Callable[[str], Term]:
    def form(value: str) -> Term:
        ordered = f"{value} ORDER BY _crossfade.sort_key({value}){direction}"
        found = f"(array_agg({ordered}) FILTER (WHERE {value} <> 'null'))[1]"
        return Term(f"_crossfade.group_key({found})", "json", scalar=True)

    return form


def _count_distinct_sql(value: str) -> Term:
    return Term(f"count(DISTINCT _crossfade.canonical({value}))", "int", scalar=True)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One aggregate function: how it is evaluated over the values of a group, and its SQL for a jsonb, if it has one.

    orders_strings: the SQL is exact only if PostgreSQL has the collation of ICU.
    """

    evaluate: Callable[[list[Value]], Value]
    sql: Callable[[str], Term] | None = None
    orders_strings: bool = False


_AVERAGE = Aggregate(average, _average_sql)
_VARIANCE = Aggregate(_variance(sample=False))
_STDDEV = Aggregate(lambda values: deviation(values, sample=False))
_COUNT = Aggregate(len)  # its SQL is count(*), whatever the argument
_COUNT_DISTINCT = Aggregate(lambda values: len(unique(values)), _count_distinct_sql)
AGGREGATES: Final[dict[str, Aggregate]] = {
    "LENGTH": _COUNT,
    "COUNT": _COUNT,
    "SUM": Aggregate(total, _sum_sql),
    "MIN": Aggregate(smallest, _extreme_sql(""), orders_strings=True),
    "MAX": Aggregate(largest, _extreme_sql(" DESC"), orders_strings=True),
    "AVERAGE": _AVERAGE,
    "AVG": _AVERAGE,
    "STDDEV": _STDDEV,
    "STDDEV_POPULATION": _STDDEV,
    "STDDEV_SAMPLE": Aggregate(lambda values: deviation(values, sample=True)),
    "VARIANCE": _VARIANCE,
    "VARIANCE_POPULATION": _VARIANCE,
    "VARIANCE_SAMPLE": Aggregate(_variance(sample=True)),
    "UNIQUE": Aggregate(unique),
    "SORTED_UNIQUE": Aggregate(lambda values: sorted(unique(v for v in values if v is not None), key=order_key)),
    "COUNT_DISTINCT": _COUNT_DISTINCT,
    "COUNT_UNIQUE": _COUNT_DISTINCT,
    "BIT_AND": Aggregate(bits(lambda a, b: a & b)),
    "BIT_OR": Aggregate(bits(lambda a, b: a | b)),
    "BIT_XOR": Aggregate(bits(lambda a, b: a ^ b)),
    "PUSH": Aggregate(list),
}
