"""Distances between arrays of numbers, computed without an index."""

from __future__ import annotations

import math
from collections.abc import Callable

from proxy.aql.functions.registry import function, is_number
from proxy.aql.query_context import QueryContext
from proxy.aql.values import Value, double

Vector = list[float]


def _vectors(value: Value) -> list[Vector] | None:
    """Return one vector, or several; None for another value."""
    if value.__class__ is not list or not value:
        return None
    rows = value if value and all(row.__class__ is list for row in value) else [value]
    if not all(is_number(item) for row in rows for item in row):
        return None
    return [[float(item) for item in row] for row in rows]


def _several(value: Value) -> bool:
    """Return True for several vectors, each of which is compared with the one vector of the other argument."""
    return value.__class__ is list and bool(value) and value[0].__class__ is list


def _distance(name: str, measure: Callable[[Vector, Vector], float]) -> None:
    def implementation(context: QueryContext, a: Value, b: Value) -> Value:
        left, right = _vectors(a), _vectors(b)
        if _several(b) and not _several(a):
            left, right = right, left
        elif _several(b):
            right = None
        if left is None or right is None:
            context.warn_invalid_argument(name)
            return None
        found: list[Value] = []
        for row in left:
            if len(row) != len(right[0]):
                context.warn_invalid_argument(name)
                return None
            try:
                found.append(double(measure(row, right[0])))
            except ZeroDivisionError:
                context.warn_in_function(name, 1561)
                return None
        return found if _several(a) or _several(b) else found[0]

    function(name, arguments=2)(implementation)


def _cosine(a: Vector, b: Vector) -> float:
    size = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(y * y for y in b))
    return max(-1.0, min(1.0, sum(x * y for x, y in zip(a, b, strict=True)) / size))


_distance("COSINE_SIMILARITY", _cosine)
_distance("L1_DISTANCE", lambda a, b: sum(abs(x - y) for x, y in zip(a, b, strict=True)))
_distance("L2_DISTANCE", lambda a, b: math.sqrt(sum((x - y) * (x - y) for x, y in zip(a, b, strict=True))))
