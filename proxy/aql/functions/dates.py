"""DATE_… functions. A date is a number of milliseconds since 1970 or a text of ISO 8601: one that is out of range or
cannot be read gives null and warning 1572, any other type null and warning 1542. The last argument of most names a time
zone, in whose calendar the parts are taken; arguments are checked from left to right."""

from __future__ import annotations

import re
from collections.abc import Callable

from proxy.aql.functions import calendar as moments
from proxy.aql.functions.calendar import (
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
from proxy.aql.functions.zones import local_time, utc_time
from proxy.aql.query_context import Context
from proxy.aql.values import Value, double, to_integer

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
    context.caution(name, 1572)


def read_date(context: Context, name: str, value: Value) -> int | None:
    """The moment that an argument names; None, with a warning, where it names none."""
    found = timestamp(value)
    if found is None:
        if value.__class__ is str or is_number(value):
            _invalid(context, name)
        else:
            context.invalid(name)
    return found


def _localised(context: Context, name: str, moment: int, zone: Value) -> int | None:
    """What a clock in the zone shows; None, with a warning, for what is no zone."""
    if zone.__class__ is not str:
        context.invalid(name)
        return None
    return local_time(moment, zone)


def _moment(context: Context, name: str, value: Value, zone: tuple[Value, ...] = ()) -> int | None:
    """The moment, moved into the calendar of a zone where one is given."""
    found = read_date(context, name, value)
    return found if found is None or not zone else _localised(context, name, found, zone[0])


def _unit(value: Value) -> str | None:
    return _UNITS.get(value.lower()) if value.__class__ is str else None


def _from_parts(context: Context, name: str, values: tuple[Value, ...]) -> int | None:
    if len(values) == 1:
        return read_date(context, name, values[0])
    if len(values) < 3 or not all(value.__class__ is str or is_number(value) for value in values):
        context.invalid(name)
        return None
    parts = [to_integer(value) for value in values] + [0] * (7 - len(values))
    parts[6] = min(parts[6], 999)
    if parts[0] > 9999 or any(part < 0 or part > 10**9 for part in parts):
        _invalid(context, name)
        return None
    # months and days are kept in a byte, and run on where they lie beyond their year or month
    day = days_of(parts[0], parts[1] & 255, parts[2] & 255)
    found = day * DAY + ((parts[3] * 60 + parts[4]) * 60 + parts[5]) * 1000 + parts[6]
    if FIRST <= found <= LAST or name == "DATE_TIMESTAMP":
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
    def implementation(context: Context, value: Value, *zone: Value) -> Value:
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
    keep = _ORDER.index(unit) + 1
    parts = [c.year, c.month, c.day, c.hour, c.minute, c.second, c.millisecond][:keep]
    return moment_of(Civil(*(parts + [0, 1, 1, 0, 0, 0, 0][keep:])))


def _back(context: Context, name: str, moment: int, zone: tuple[Value, ...]) -> Value:
    """The text of a moment, moved back out of the calendar of a zone."""
    found = utc_time(moment, zone[0]) if zone else moment
    if FIRST <= found <= LAST:
        return iso_text(found)
    _invalid(context, name)
    return None


@function("DATE_TRUNC")
def date_trunc(context: Context, value: Value, unit: Value, *zone: Value) -> Value:
    """DATE_TRUNC(date, unit, zone): year, month, day, hour, minute, second or millisecond"""
    found = read_date(context, "DATE_TRUNC", value)
    if found is None:
        return None
    if unit.__class__ is not str:
        context.invalid("DATE_TRUNC")
        return None
    local = _localised(context, "DATE_TRUNC", found, zone[0]) if zone else found
    if local is None:
        return None
    named = _unit(unit)
    if named is None or named == "week":
        _invalid(context, "DATE_TRUNC")
        return None
    return _back(context, "DATE_TRUNC", truncate(local, named), zone)


@function("DATE_ROUND")
def date_round(context: Context, value: Value, amount: Value, unit: Value, *zone: Value) -> Value:
    """DATE_ROUND(date, amount, unit, zone): towards 1970, to a multiple of so many days or less"""
    found = read_date(context, "DATE_ROUND", value)
    if found is None:
        return None
    if not is_number(amount) or unit.__class__ is not str:
        context.invalid("DATE_ROUND")
        return None
    local = _localised(context, "DATE_ROUND", found, zone[0]) if zone else found
    if local is None:
        return None
    named = _UNITS.get(unit)
    if to_integer(amount) < 1 or named not in _LENGTHS or named == "week":
        context.invalid("DATE_ROUND")
        return None
    step = to_integer(amount) * _LENGTHS[named]
    rounded = local // step * step if local >= 0 else -(-local // step * step)
    return _back(context, "DATE_ROUND", rounded, zone)


def _moved(context: Context, name: str, sign: int, values: tuple[Value, ...]) -> Value:
    """DATE_ADD and DATE_SUBTRACT: (date, amount, unit[, zone]) or (date, duration[, zone])"""
    found = read_date(context, name, values[0])
    if found is None:
        return None
    by_duration = len(values) == 2 or (len(values) == 3 and values[1].__class__ is str)
    zone = values[2:3] if by_duration else values[3:4]
    local = _localised(context, name, found, zone[0]) if zone else found
    if local is None:
        return None
    if by_duration:
        if values[1].__class__ is not str:
            context.invalid(name)
            return None
        duration = parse_duration(values[1])
    else:
        if not is_number(values[1]) or values[2].__class__ is not str:
            context.invalid(name)
            return None
        duration = _duration(values[1], _unit(values[2]))
    if duration is None or abs(duration.months) > 240_000 or abs(duration.milliseconds) > 2 * (LAST - FIRST):
        _invalid(context, name)
        return None
    return _back(context, name, shift(local, duration, sign), zone)


def _duration(amount: int | float, unit: str | None) -> Duration | None:
    """So many of a unit: a fraction of years counts in months, one of months in days of which 30 make one."""
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


@function("DATE_ADD")
def date_add(context: Context, *values: Value) -> Value:
    """DATE_ADD(date, amount, unit, zone) or DATE_ADD(date, duration, zone)"""
    return _moved(context, "DATE_ADD", 1, values)


@function("DATE_SUBTRACT")
def date_subtract(context: Context, *values: Value) -> Value:
    """DATE_SUBTRACT(date, amount, unit, zone) or DATE_SUBTRACT(date, duration, zone)"""
    return _moved(context, "DATE_SUBTRACT", -1, values)


def _pair(context: Context, name: str, moments: tuple[int, int], zones: tuple[Value, ...]) -> tuple[int, int] | None:
    """Two moments in the calendars of none, one or two zones."""
    if not zones:
        return moments
    begin = _localised(context, name, moments[0], zones[0])
    if begin is None:
        return None
    end = _localised(context, name, moments[1], zones[-1])
    return None if end is None else (begin, end)


@function("DATE_DIFF")
def date_diff(context: Context, first: Value, second: Value, unit: Value, *rest: Value) -> Value:
    """DATE_DIFF(from, to, unit, asFloat[, zone, zone]): rounded unless asFloat, which may be left out"""
    begin = read_date(context, "DATE_DIFF", first)
    end = None if begin is None else read_date(context, "DATE_DIFF", second)
    if begin is None or end is None:
        return None
    as_float, zones = False, rest
    if rest and rest[0].__class__ is bool:
        as_float, zones = rest[0], rest[1:]
    if unit.__class__ is not str or len(zones) > 2:
        context.invalid("DATE_DIFF")
        return None
    pair = _pair(context, "DATE_DIFF", (begin, end), zones)
    if pair is None:
        return None
    named = _unit(unit)
    if named is None:
        _invalid(context, "DATE_DIFF")
        return None
    difference = (pair[1] - pair[0]) / (_AVERAGE.get(named) or _LENGTHS[named])
    if as_float:
        return double(difference)
    return int(abs(difference) + 0.5) * (1 if difference >= 0 else -1)


@function("DATE_COMPARE")
def date_compare(context: Context, first: Value, second: Value, unit: Value, *rest: Value) -> Value:
    """DATE_COMPARE(a, b, unit[, lastUnit][, zone, zone]): whether these parts of both are equal"""
    a = read_date(context, "DATE_COMPARE", first)
    b = None if a is None else read_date(context, "DATE_COMPARE", second)
    if a is None or b is None:
        return None
    begin = _unit(unit)
    end, zones = (_unit(rest[0]), rest[1:]) if rest and _unit(rest[0]) is not None else (begin, rest)
    if begin is None or end is None or len(zones) > 2:
        context.invalid("DATE_COMPARE")
        return None
    pair = _pair(context, "DATE_COMPARE", (a, b), zones)
    if pair is None:
        return None
    if begin == "week":
        return True
    last = "month" if end == "week" else end  # which a comparison by weeks goes no further than
    wanted = _ORDER[_ORDER.index(begin) : _ORDER.index(last) + 1]
    return all(getattr(civil(pair[0]), part) == getattr(civil(pair[1]), part) for part in wanted)


def _year(year: int) -> str:
    """Four digits; the last year before each power of ten has one fewer, as with ArangoDB."""
    zeros = 3 if year < 9 else 2 if year < 99 else 1 if year < 999 else 0
    return "0" * zeros + str(year)


_FORMATS: dict[str, Callable[[int, Civil], str]] = {
    "t": lambda m, c: str(m),
    "z": lambda m, c: iso_text(m),
    "w": lambda m, c: str(weekday(m)),
    "www": lambda m, c: _DAYS[weekday(m)][:3],
    "wwww": lambda m, c: _DAYS[weekday(m)],
    "y": lambda m, c: str(c.year),
    "yy": lambda m, c: f"{c.year % 100:02}",
    "yyyy": lambda m, c: _year(c.year),
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
def date_format(context: Context, value: Value, pattern: Value, *zone: Value) -> Value:
    """DATE_FORMAT(date, format, zone)"""
    found = read_date(context, "DATE_FORMAT", value)
    if found is None:
        return None
    if pattern.__class__ is not str:
        context.invalid("DATE_FORMAT")
        return None
    local = _localised(context, "DATE_FORMAT", found, zone[0]) if zone else found
    if local is None:
        return None
    parts = civil(local)
    return _PLACEHOLDER.sub(lambda m: _FORMATS[m[1]](local, parts), pattern)
