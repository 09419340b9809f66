"""Numbers of an array: sums, means, spread.

Nulls are skipped. Another element that is not a number makes the result null, with warning 1561 for spread, 1563 for
the mean, and none for sum and product. An argument that is not an array gives warning 1563.
"""

from __future__ import annotations

import math

from proxy.aql.aggregates import average, deviation, float_sum, largest, numbers, smallest, variance
from proxy.aql.functions.registry import function, is_number
from proxy.aql.query_context import QueryContext
from proxy.aql.values import Value, double


def _array(context: QueryContext, name: str, value: Value, wrong: int | None = 1561) -> list[int | float] | None:
    """Return the numbers of an array; None if it is not one, or if it has other elements, with the warning `wrong`."""
    if value.__class__ is not list:
        context.warn_no_array(name)
        return None
    found = numbers(value)
    if found is None and wrong is not None:
        context.warn_in_function(name, wrong)
    return found


def _finite(value: float) -> Value:
    """Return a sum or product; 0 if no double holds it."""
    return double(value) if math.isfinite(value) else 0


@function("SUM", arguments=1, linear=True)
def sum_of(context: QueryContext, value: Value) -> Value:
    """SUM(array): 0 without a number"""
    found = _array(context, "SUM", value, None)
    return None if found is None else _finite(float_sum(found))


@function("PRODUCT", arguments=1)
def product(context: QueryContext, value: Value) -> Value:
    """PRODUCT(array): 1 without a number"""
    found = _array(context, "PRODUCT", value, None)
    return None if found is None else _finite(math.prod(float(number) for number in found))


@function("AVERAGE", "AVG", arguments=1, linear=True)
def average_of(context: QueryContext, value: Value) -> Value:
    """AVERAGE(array): null without a number"""
    return None if _array(context, "AVERAGE", value, 1563) is None else average(value)


@function("MIN", arguments=1, linear=True, order_free=True)
def minimum(context: QueryContext, value: Value) -> Value:
    """MIN(array), in the order of all types; nulls are skipped"""
    if value.__class__ is not list:
        context.warn_no_array("MIN")
        return None
    return smallest(value)


@function("MAX", arguments=1, linear=True, order_free=True)
def maximum(context: QueryContext, value: Value) -> Value:
    """MAX(array), in the order of all types"""
    if value.__class__ is not list:
        context.warn_no_array("MAX")
        return None
    return largest(value)


@function("MEDIAN", arguments=1)
def median(context: QueryContext, value: Value) -> Value:
    """MEDIAN(array)"""
    found = _array(context, "MEDIAN", value)
    if not found:
        return None
    found = sorted(found)
    middle = len(found) // 2
    return double(float(found[middle])) if len(found) % 2 else double((found[middle - 1] + found[middle]) / 2)


@function("PERCENTILE", arguments=(2, 3))
def percentile(context: QueryContext, value: Value, share: Value, method: Value = "rank") -> Value:
    """PERCENTILE(array, n, "rank" or "interpolation"): the least value below the first rank, as since 3.12.6"""
    if value.__class__ is not list:
        context.warn_no_array("PERCENTILE")
        return None
    if not is_number(share) or not 0 <= share <= 100 or method not in ("rank", "interpolation"):
        context.warn_invalid_argument("PERCENTILE")
        return None
    found = _array(context, "PERCENTILE", value)
    if found is None:
        return None
    found = sorted(found)
    if not found:
        return None
    if len(found) == 1:
        return found[0]
    if method == "interpolation":
        place = share * (len(found) + 1) / 100
        if place >= len(found):
            return found[-1]
        if place < 1:
            return found[0]
        low = math.floor(place)
        return double(float(found[low - 1] + (place - low) * (found[low] - found[low - 1])))
    place = share * len(found) / 100
    if place >= len(found):
        return found[-1]
    return found[max(0, math.ceil(place) - 1)]


def _spread(context: QueryContext, name: str, value: Value, *, sample: bool, root: bool) -> Value:
    if _array(context, name, value) is None:
        return None
    if root:
        return deviation(value, sample=sample)
    found = variance(value, sample=sample)
    return None if found is None else double(found)


@function("STDDEV", "STDDEV_POPULATION", arguments=1)
def stddev_population(context: QueryContext, value: Value) -> Value:
    """STDDEV_POPULATION(array)"""
    return _spread(context, "STDDEV_POPULATION", value, sample=False, root=True)


@function("STDDEV_SAMPLE", arguments=1)
def stddev_sample(context: QueryContext, value: Value) -> Value:
    """STDDEV_SAMPLE(array)"""
    return _spread(context, "STDDEV_SAMPLE", value, sample=True, root=True)


@function("VARIANCE", "VARIANCE_POPULATION", arguments=1)
def variance_population(context: QueryContext, value: Value) -> Value:
    """VARIANCE_POPULATION(array)"""
    return _spread(context, "VARIANCE_POPULATION", value, sample=False, root=False)


@function("VARIANCE_SAMPLE", arguments=1)
def variance_sample(context: QueryContext, value: Value) -> Value:
    """VARIANCE_SAMPLE(array)"""
    return _spread(context, "VARIANCE_SAMPLE", value, sample=True, root=False)
