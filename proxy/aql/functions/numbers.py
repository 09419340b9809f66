"""Numbers: rounding, powers, angles, decay. A result that is not finite is null."""

from __future__ import annotations

import math
from collections.abc import Callable

from proxy.aql.functions.registry import function, is_number
from proxy.aql.functions.sql_calls import SqlCall, of_number, sql_form
from proxy.aql.query_context import QueryContext
from proxy.aql.sql_terms import Term
from proxy.aql.values import Value, double, to_number

_EARTH = 6_371_000.0  # metres of its radius


def _apply(run: Callable[..., float], *values: Value) -> Value:
    try:
        return double(float(run(*[to_number(value) for value in values])))
    except (ValueError, OverflowError, ZeroDivisionError):
        return None


def _one(name: str, run: Callable[[float], float]) -> None:
    def implementation(_context: QueryContext, value: Value) -> Value:
        return _apply(run, value)

    function(name, arguments=1)(implementation)


for _name, _run in {
    "ACOS": math.acos,
    "ASIN": math.asin,
    "ATAN": math.atan,
    "COS": math.cos,
    "SIN": math.sin,
    "TAN": math.tan,
    "EXP": math.exp,
    "EXP2": lambda x: 2.0**x,
    "LOG": math.log,
    "LOG2": math.log2,
    "LOG10": math.log10,
    "SQRT": math.sqrt,
    "DEGREES": math.degrees,
    "RADIANS": math.radians,
}.items():
    _one(_name, _run)


@sql_form("SQRT")
def sqrt_sql(call: SqlCall) -> Term:
    """Take the root; of a negative number it is null."""
    value = call.number(0)
    return of_number(f"(CASE WHEN {value} >= 0 THEN sqrt({value}) END)")


@function("ABS", arguments=1, linear=True)
def absolute(_context: QueryContext, value: Value) -> Value:
    """ABS(number)"""
    return _apply(abs, value)


@function("CEIL", arguments=1, linear=True)
def ceil(_context: QueryContext, value: Value) -> Value:
    """CEIL(number)"""
    return _apply(math.ceil, value)


@function("FLOOR", arguments=1, linear=True)
def floor(_context: QueryContext, value: Value) -> Value:
    """FLOOR(number)"""
    return _apply(math.floor, value)


@sql_form("FLOOR", "CEIL")
def floor_sql(call: SqlCall) -> Term:
    """Round; adding 0 turns -0 into 0."""
    return of_number(f"({call.name.lower()}({call.number(0)}) + 0)")


@function("ROUND", arguments=1, linear=True)
def round_half_up(_context: QueryContext, value: Value) -> Value:
    """ROUND(number): halves go up, ROUND(-2.5) is -2"""
    return _apply(lambda x: math.floor(x + 0.5), value)


@function("ATAN2", arguments=2)
def atan2(_context: QueryContext, y: Value, x: Value) -> Value:
    """ATAN2(y, x)"""
    return _apply(math.atan2, y, x)


@function("POW", arguments=2)
def power(_context: QueryContext, base: Value, exponent: Value) -> Value:
    """POW(base, exponent)"""
    return _apply(math.pow, base, exponent)


@function("PI", arguments=0)
def pi(_context: QueryContext) -> Value:
    """PI()"""
    return math.pi


@function("DISTANCE", arguments=4)
def distance(
    context: QueryContext, latitude: Value, longitude: Value, to_latitude: Value, to_longitude: Value
) -> Value:
    """DISTANCE(latitude, longitude, latitude, longitude): metres on a sphere, by the haversine formula"""
    places = (latitude, longitude, to_latitude, to_longitude)
    if not all(is_number(place) for place in places):
        context.warn_invalid_argument("DISTANCE")
        return None
    radian = math.pi / 180
    one, other, two, last = (float(place) for place in places)
    share = math.sin((two - one) * radian / 2) ** 2
    share += math.cos(one * radian) * math.cos(two * radian) * math.sin((last - other) * radian / 2) ** 2
    return double(_EARTH * 2 * math.atan2(math.sqrt(share), math.sqrt(1 - share)))


@function("RAND", "RANDOM", arguments=0, random=True)
def rand(context: QueryContext) -> Value:
    """RAND(): at least 0 and less than 1, another number for each call"""
    return context.random.random()


def _decay(name: str, shape: Callable[[float, float, float, float], float]) -> None:
    def implementation(
        context: QueryContext, value: Value, origin: Value, scale: Value, offset: Value, decay: Value
    ) -> Value:
        rest = (origin, scale, offset, decay)
        several = value.__class__ is list
        if not all(is_number(number) for number in rest) or not (several or is_number(value)):
            context.warn_invalid_argument(name)
            return None
        if scale <= 0 or offset < 0 or not 0 < decay < 1:
            context.warn_in_function(name, 1504)
            return None
        found: list[Value] = []
        for one in value if several else [value]:
            if not is_number(one):
                context.warn_invalid_argument(name)
                return None
            distance = max(0.0, abs(one - origin) - offset)
            found.append(double(shape(distance, scale, offset, decay)))
        return found if several else found[0]

    function(name, arguments=5)(implementation)


_decay("DECAY_GAUSS", lambda d, scale, _offset, decay: math.exp(-d * d / (-(scale * scale) / math.log(decay))))
_decay("DECAY_EXP", lambda d, scale, _offset, decay: math.exp(math.log(decay) / scale * d))
_decay("DECAY_LINEAR", lambda d, scale, _offset, decay: max((scale / (1 - decay) - d) / (scale / (1 - decay)), 0.0))
