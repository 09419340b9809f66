"""DATE_ functions that add, subtract, round and compare dates."""

from __future__ import annotations

from proxy.aql.functions.calendar import DAY, FIRST, LAST, Duration, civil, parse_duration, shift
from proxy.aql.functions.dates import PARTS, UNITS, localised, out_of_range, read_date, text_of, unit_of
from proxy.aql.functions.registry import function, is_number
from proxy.aql.query_context import QueryContext
from proxy.aql.values import Value, double, to_integer

_LENGTHS = {"week": 7 * DAY, "day": DAY, "hour": 3_600_000, "minute": 60_000, "second": 1000, "millisecond": 1}
_AVERAGE = {"year": 146_097 / 400 * DAY, "month": 146_097 / 4800 * DAY}


@function("DATE_ROUND", arguments=(3, 4))
def date_round(context: QueryContext, value: Value, amount: Value, unit: Value, *zone: Value) -> Value:
    """DATE_ROUND(date, amount, unit, zone): towards 1970, to a multiple of the amount of a unit of at most a day"""
    found = read_date(context, "DATE_ROUND", value)
    if found is None:
        return None
    if not is_number(amount) or unit.__class__ is not str:
        context.warn_invalid_argument("DATE_ROUND")
        return None
    local = localised(context, "DATE_ROUND", found, zone[0]) if zone else found
    if local is None:
        return None
    named = UNITS.get(unit)
    if to_integer(amount) < 1 or named not in _LENGTHS or named == "week":
        context.warn_invalid_argument("DATE_ROUND")
        return None
    step = to_integer(amount) * _LENGTHS[named]
    rounded = local // step * step if local >= 0 else -(-local // step * step)
    return text_of(context, "DATE_ROUND", rounded, zone)


def _moved(context: QueryContext, name: str, sign: int, values: tuple[Value, ...]) -> Value:
    """Evaluate DATE_ADD and DATE_SUBTRACT of (date, amount, unit[, zone]) or (date, duration[, zone])."""
    found = read_date(context, name, values[0])
    if found is None:
        return None
    by_duration = len(values) == 2 or (len(values) == 3 and values[1].__class__ is str)
    zone = values[2:3] if by_duration else values[3:4]
    local = localised(context, name, found, zone[0]) if zone else found
    if local is None:
        return None
    if by_duration:
        if values[1].__class__ is not str:
            context.warn_invalid_argument(name)
            return None
        duration = parse_duration(values[1])
    else:
        if not is_number(values[1]) or values[2].__class__ is not str:
            context.warn_invalid_argument(name)
            return None
        duration = _duration(values[1], unit_of(values[2]))
    if duration is None or abs(duration.months) > 240_000 or abs(duration.milliseconds) > 2 * (LAST - FIRST):
        out_of_range(context, name)
        return None
    return text_of(context, name, shift(local, duration, sign), zone)


def _duration(amount: int | float, unit: str | None) -> Duration | None:
    """Return an amount of a unit: a fraction of a year counts as months, one of a month as days of a month of 30."""
    if unit is None:
        return None
    if unit not in _AVERAGE:
        return Duration(milliseconds=int(float(amount) * _LENGTHS[unit]))
    whole, months = int(amount), 0
    rest = float(amount) - whole
    if unit == "year":
        months = whole * 12
        rest *= 12
        whole = int(rest)
        rest -= whole
    months += whole
    return Duration(months=months, milliseconds=int(rest * 30 * DAY))


@function("DATE_ADD", arguments=(2, 4))
def date_add(context: QueryContext, *values: Value) -> Value:
    """DATE_ADD(date, amount, unit, zone) or DATE_ADD(date, duration, zone)"""
    return _moved(context, "DATE_ADD", 1, values)


@function("DATE_SUBTRACT", arguments=(2, 4))
def date_subtract(context: QueryContext, *values: Value) -> Value:
    """DATE_SUBTRACT(date, amount, unit, zone) or DATE_SUBTRACT(date, duration, zone)"""
    return _moved(context, "DATE_SUBTRACT", -1, values)


def _pair(
    context: QueryContext, name: str, moments: tuple[int, int], zones: tuple[Value, ...]
) -> tuple[int, int] | None:
    """Convert two moments to the calendars of no, one or two zones."""
    if not zones:
        return moments
    begin = localised(context, name, moments[0], zones[0])
    if begin is None:
        return None
    end = localised(context, name, moments[1], zones[-1])
    return None if end is None else (begin, end)


@function("DATE_DIFF", arguments=(3, 6))
def date_diff(context: QueryContext, first: Value, second: Value, unit: Value, *rest: Value) -> Value:
    """DATE_DIFF(from, to, unit, asFloat[, zone, zone]): rounded unless asFloat, which is optional"""
    begin = read_date(context, "DATE_DIFF", first)
    end = None if begin is None else read_date(context, "DATE_DIFF", second)
    if begin is None or end is None:
        return None
    as_float, zones = False, rest
    if rest and rest[0].__class__ is bool:
        as_float, zones = rest[0], rest[1:]
    if unit.__class__ is not str or len(zones) > 2:
        context.warn_invalid_argument("DATE_DIFF")
        return None
    pair = _pair(context, "DATE_DIFF", (begin, end), zones)
    if pair is None:
        return None
    named = unit_of(unit)
    if named is None:
        out_of_range(context, "DATE_DIFF")
        return None
    difference = (pair[1] - pair[0]) / (_AVERAGE.get(named) or _LENGTHS[named])
    if as_float:
        return double(difference)
    return int(abs(difference) + 0.5) * (1 if difference >= 0 else -1)


@function("DATE_COMPARE", arguments=(3, 6))
def date_compare(context: QueryContext, first: Value, second: Value, unit: Value, *rest: Value) -> Value:
    """DATE_COMPARE(a, b, unit[, lastUnit][, zone, zone]): true if these parts of both are equal"""
    a = read_date(context, "DATE_COMPARE", first)
    b = None if a is None else read_date(context, "DATE_COMPARE", second)
    if a is None or b is None:
        return None
    begin = unit_of(unit)
    end, zones = (unit_of(rest[0]), rest[1:]) if rest and unit_of(rest[0]) is not None else (begin, rest)
    if begin is None or end is None or len(zones) > 2:
        context.warn_invalid_argument("DATE_COMPARE")
        return None
    pair = _pair(context, "DATE_COMPARE", (a, b), zones)
    if pair is None:
        return None
    if begin == "week":
        return True
    last = "month" if end == "week" else end  # a comparison to weeks compares to months
    wanted = PARTS[PARTS.index(begin) : PARTS.index(last) + 1]
    return all(getattr(civil(pair[0]), part) == getattr(civil(pair[1]), part) for part in wanted)
