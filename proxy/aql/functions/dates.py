"""DATE_… functions. A date is a number of milliseconds since 1970 or a text of ISO 8601; any other gives null and a
warning. The last argument of most names a time zone, in whose calendar the parts are taken."""

from __future__ import annotations

import re
from collections.abc import Callable

from proxy.aql.context import Context
from proxy.aql.functions import moments
from proxy.aql.functions.moments import (
    DAY,
    FIRST,
    LAST,
    Civil,
    Duration,
    civil,
    days_of,
    iso_text,
    leap,
    moment_of,
    month_length,
    parse_duration,
    shift,
    timestamp,
)
from proxy.aql.functions.registry import function, is_number
from proxy.aql.functions.zones import to_local, to_utc
from proxy.aql.printing import to_string
from proxy.aql.values import Value, double, to_integer, truthy

_UNITS = {
    unit: name
    for name, units in {
        "year": "y year years",
        "month": "m month months",
        "week": "w week weeks",
        "day": "d day days",
        "hour": "h hour hours",
        "minute": "i minute minutes",
        "second": "s second seconds",
        "millisecond": "f millisecond milliseconds",
    }.items()
    for unit in units.split()
}
_LENGTHS = {"week": 7 * DAY, "day": DAY, "hour": 3_600_000, "minute": 60_000, "second": 1000, "millisecond": 1}
_AVERAGE = {"year": 146_097 / 400 * DAY, "month": 146_097 / 4800 * DAY}
_ORDER = ("year", "month", "day", "hour", "minute", "second", "millisecond")
_MONTHS = "January February March April May June July August September October November December".split()  # noqa: SIM905
_DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split()  # noqa: SIM905


def _invalid(context: Context, name: str) -> None:
    context.warn(1592, "invalid date value")


def _moment(context: Context, name: str, value: Value, zone: Value = None) -> int | None:
    """The moment, moved into the calendar of a zone where one is named."""
    found = timestamp(value)
    if found is not None and zone is not None:
        found = to_local(found, zone) if zone.__class__ is str else None
    if found is None:
        _invalid(context, name)
    return found


def _unit(value: Value) -> str | None:
    return _UNITS.get(value.lower()) if value.__class__ is str else None


def _from_parts(context: Context, name: str, values: tuple[Value, ...]) -> int | None:
    if len(values) == 1:
        return _moment(context, name, values[0])
    if len(values) < 3:
        _invalid(context, name)
        return None
    parts = [to_integer(value) for value in values] + [0] * (7 - len(values))
    if any(part < 0 or part > 10**9 for part in parts):
        _invalid(context, name)
        return None
    found = moment_of(Civil(*parts))
    if FIRST <= found <= LAST:
        return found
    _invalid(context, name)
    return None


@function("DATE_NOW")
def date_now(context: Context) -> Value:
    """DATE_NOW()"""
    return context.now


@function("DATE_TIMESTAMP")
def date_timestamp(context: Context, *values: Value) -> Value:
    """DATE_TIMESTAMP(date) or DATE_TIMESTAMP(year, month, day, …)"""
    return _from_parts(context, "DATE_TIMESTAMP", values)


@function("DATE_ISO8601")
def date_iso8601(context: Context, *values: Value) -> Value:
    """DATE_ISO8601(date) or DATE_ISO8601(year, month, day, …)"""
    found = _from_parts(context, "DATE_ISO8601", values)
    return None if found is None else iso_text(found)


def weekday(moment: int) -> int:
    """0 for Sunday to 6 for Saturday."""
    return (moment // DAY + 4) % 7


def day_of_year(moment: int) -> int:
    """From 1."""
    return moment // DAY - days_of(civil(moment).year, 1, 1) + 1


def iso_week(moment: int) -> tuple[int, int]:
    """Week and the year that it belongs to."""
    day = moment // DAY
    thursday = day - (weekday(moment) - 1) % 7 + 3
    year = moments.date_of(thursday)[0]
    return (thursday - days_of(year, 1, 1)) // 7 + 1, year


def _part(name: str, take: Callable[[int], Value]) -> None:
    def implementation(context: Context, value: Value, zone: Value = None) -> Value:
        found = _moment(context, name, value, zone)
        return None if found is None else take(found)

    function(name)(implementation)


_part("DATE_DAYOFWEEK", weekday)
_part("DATE_YEAR", lambda moment: civil(moment).year)
_part("DATE_MONTH", lambda moment: civil(moment).month)
_part("DATE_DAY", lambda moment: civil(moment).day)
_part("DATE_HOUR", lambda moment: civil(moment).hour)
_part("DATE_MINUTE", lambda moment: civil(moment).minute)
_part("DATE_SECOND", lambda moment: civil(moment).second)
_part("DATE_MILLISECOND", lambda moment: civil(moment).millisecond)
_part("DATE_DAYOFYEAR", day_of_year)
_part("DATE_ISOWEEK", lambda moment: iso_week(moment)[0])
_part("DATE_ISOWEEKYEAR", lambda moment: dict(zip(("week", "year"), iso_week(moment), strict=True)))
_part("DATE_LEAPYEAR", lambda moment: leap(civil(moment).year))
_part("DATE_QUARTER", lambda moment: (civil(moment).month + 2) // 3)
_part("DATE_DAYS_IN_MONTH", lambda moment: month_length(civil(moment).year, civil(moment).month))


def truncate(moment: int, unit: str) -> int:
    """The moment with everything below the unit set to its beginning."""
    c = civil(moment)
    if unit == "week":  # weeks begin on Monday
        day = moment // DAY
        return (day - (weekday(moment) - 1) % 7) * DAY
    keep = _ORDER.index(unit) + 1
    parts = [c.year, c.month, c.day, c.hour, c.minute, c.second, c.millisecond][:keep]
    return moment_of(Civil(*(parts + [0, 1, 1, 0, 0, 0, 0][keep:])))


def _back(moment: int, zone: Value) -> str:
    return iso_text(moment if zone is None else to_utc(moment, zone) or moment)


@function("DATE_TRUNC")
def date_trunc(context: Context, value: Value, unit: Value, zone: Value = None) -> Value:
    """DATE_TRUNC(date, unit)"""
    found, named = _moment(context, "DATE_TRUNC", value, zone), _unit(unit)
    if named is None:
        context.invalid("DATE_TRUNC")
        return None
    return None if found is None else _back(truncate(found, named), zone)


@function("DATE_ROUND")
def date_round(context: Context, value: Value, amount: Value, unit: Value, zone: Value = None) -> Value:
    """DATE_ROUND(date, amount, unit): down to a multiple of so many units since 1970"""
    found, named = _moment(context, "DATE_ROUND", value, zone), _unit(unit)
    if named is None or named not in _LENGTHS or not is_number(amount) or amount < 1:
        context.invalid("DATE_ROUND")
        return None
    step = int(amount) * _LENGTHS[named]
    return None if found is None else _back(found - found % step, zone)


def _moved(context: Context, name: str, sign: int, values: tuple[Value, ...]) -> Value:
    """DATE_ADD and DATE_SUBTRACT: (date, amount, unit[, zone]) or (date, duration[, zone])"""
    duration: Duration | None = None
    zone: Value = None
    if len(values) == 2 or (len(values) == 3 and values[1].__class__ is str):
        duration = parse_duration(values[1]) if values[1].__class__ is str else None
        zone = values[2] if len(values) == 3 else None
    elif is_number(values[1]) and _unit(values[2]) is not None:
        zone = values[3] if len(values) == 4 else None
        duration = _duration(values[1], str(_unit(values[2])))
    if duration is None:
        context.invalid(name)
        return None
    found = _moment(context, name, values[0], zone)
    if found is None:
        return None
    moved = shift(found, duration, sign) if abs(duration.months) < 120_000 else LAST + 1
    if not FIRST <= moved <= LAST:
        _invalid(context, name)
        return None
    return _back(moved, zone)


def _duration(amount: int | float, unit: str) -> Duration:
    whole = int(amount)
    if unit in _AVERAGE:
        return Duration(months=whole * (12 if unit == "year" else 1))
    return Duration(milliseconds=whole * _LENGTHS[unit])


@function("DATE_ADD")
def date_add(context: Context, *values: Value) -> Value:
    """DATE_ADD(date, amount, unit) or DATE_ADD(date, duration)"""
    return _moved(context, "DATE_ADD", 1, values)


@function("DATE_SUBTRACT")
def date_subtract(context: Context, *values: Value) -> Value:
    """DATE_SUBTRACT(date, amount, unit) or DATE_SUBTRACT(date, duration)"""
    return _moved(context, "DATE_SUBTRACT", -1, values)


@function("DATE_DIFF")
def date_diff(context: Context, first: Value, second: Value, unit: Value, *rest: Value) -> Value:
    """DATE_DIFF(from, to, unit, asFloat[, zone, zone]): rounded unless asFloat"""
    as_float = truthy(rest[0]) if rest and rest[0].__class__ is bool else False
    zones = [zone for zone in rest if zone.__class__ is str]
    one = zones[0] if zones else None
    begin = _moment(context, "DATE_DIFF", first, one)
    end = _moment(context, "DATE_DIFF", second, zones[1] if len(zones) > 1 else one)
    named = _unit(unit)
    if named is None:
        context.invalid("DATE_DIFF")
        return None
    if begin is None or end is None:
        return None
    length = _AVERAGE.get(named) or _LENGTHS[named]
    difference = (end - begin) / length
    if as_float:
        return double(difference)
    return int(abs(difference) + 0.5) * (1 if difference >= 0 else -1)


@function("DATE_COMPARE")
def date_compare(context: Context, first: Value, second: Value, unit: Value, *rest: Value) -> Value:
    """DATE_COMPARE(a, b, unit, lastUnit[, zone, zone]): whether these parts of both are equal"""
    from_unit, to_unit = _unit(unit), _unit(unit)
    zones = list(rest)
    if rest and _unit(rest[0]) is not None:
        to_unit = _unit(rest[0])
        zones = list(rest[1:])
    one = zones[0] if zones else None
    a = _moment(context, "DATE_COMPARE", first, one)
    b = _moment(context, "DATE_COMPARE", second, zones[1] if len(zones) > 1 else one)
    if from_unit not in _ORDER or to_unit not in _ORDER:
        context.invalid("DATE_COMPARE")
        return None
    if a is None or b is None:
        return None
    wanted = _ORDER[_ORDER.index(from_unit) : _ORDER.index(to_unit) + 1]
    return all(getattr(civil(a), part) == getattr(civil(b), part) for part in wanted)


_FORMATS: dict[str, Callable[[int, Civil], str]] = {
    "t": lambda m, c: str(m),
    "z": lambda m, c: iso_text(m),
    "w": lambda m, c: str(weekday(m)),
    "www": lambda m, c: _DAYS[weekday(m)][:3],
    "wwww": lambda m, c: _DAYS[weekday(m)],
    "y": lambda m, c: str(c.year),
    "yy": lambda m, c: f"{c.year % 100:02}",
    "yyyy": lambda m, c: f"{c.year:04}",
    "yyyyyy": lambda m, c: f"{c.year:+07}",
    "m": lambda m, c: str(c.month),
    "mm": lambda m, c: f"{c.month:02}",
    "mmm": lambda m, c: _MONTHS[c.month - 1][:3],
    "mmmm": lambda m, c: _MONTHS[c.month - 1],
    "d": lambda m, c: str(c.day),
    "dd": lambda m, c: f"{c.day:02}",
    "h": lambda m, c: str(c.hour),
    "hh": lambda m, c: f"{c.hour:02}",
    "i": lambda m, c: str(c.minute),
    "ii": lambda m, c: f"{c.minute:02}",
    "s": lambda m, c: str(c.second),
    "ss": lambda m, c: f"{c.second:02}",
    "f": lambda m, c: str(c.millisecond),
    "fff": lambda m, c: f"{c.millisecond:03}",
    "x": lambda m, c: str(day_of_year(m)),
    "xxx": lambda m, c: f"{day_of_year(m):03}",
    "k": lambda m, c: str(iso_week(m)[0]),
    "kk": lambda m, c: f"{iso_week(m)[0]:02}",
    "l": lambda m, c: str(int(leap(c.year))),
    "q": lambda m, c: str((c.month + 2) // 3),
    "a": lambda m, c: str(month_length(c.year, c.month)),
    "%": lambda m, c: "%",
    "&": lambda m, c: "",
    "": lambda m, c: "",
}
_PLACEHOLDER = re.compile("%(" + "|".join(re.escape(f) for f in sorted(_FORMATS, key=len, reverse=True)) + ")")


@function("DATE_FORMAT")
def date_format(context: Context, value: Value, pattern: Value, zone: Value = None) -> Value:
    """DATE_FORMAT(date, format)"""
    found = _moment(context, "DATE_FORMAT", value, zone)
    if found is None:
        return None
    parts = civil(found)
    return _PLACEHOLDER.sub(lambda m: _FORMATS[m[1]](found, parts), to_string(pattern))
