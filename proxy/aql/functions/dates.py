"""DATE_ functions that read and write dates and take their parts.

A date is a number of milliseconds since 1970 or a text of ISO 8601. One that is out of range or cannot be read gives
null and warning 1572, a value of another type null and warning 1542. The last argument of most functions names a time
zone, in whose calendar the parts are taken. Arguments are checked from left to right.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.aql.functions.calendar import (
    DAY,
    FIRST,
    LAST,
    Civil,
    civil,
    date_of,
    days_of,
    iso_text,
    leap,
    moment_of,
    month_length,
    timestamp,
)
from proxy.aql.functions.registry import Arguments, function, is_number
from proxy.aql.functions.sql_calls import SqlCall, of_int, of_text, sql_form
from proxy.aql.functions.zones import local_time, utc_time
from proxy.aql.query_context import QueryContext
from proxy.aql.sql_terms import ConstantTerm, NotCompilable, Term
from proxy.aql.values import Value, to_integer

UNITS = {
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
PARTS = ("year", "month", "day", "hour", "minute", "second", "millisecond")  # of a date, largest first


def out_of_range(context: QueryContext, name: str) -> None:
    context.warn_in_function(name, 1572)


def read_date(context: QueryContext, name: str, value: Value) -> int | None:
    """Return the moment of an argument; None, with a warning, if it is not a date."""
    found = timestamp(value)
    if found is None:
        if value.__class__ is str or is_number(value):
            out_of_range(context, name)
        else:
            context.warn_invalid_argument(name)
    return found


def localised(context: QueryContext, name: str, moment: int, zone: Value) -> int | None:
    """Return the local time in a zone; None, with a warning, if it is not a text."""
    if zone.__class__ is not str:
        context.warn_invalid_argument(name)
        return None
    return local_time(moment, zone)


def _moment(context: QueryContext, name: str, value: Value, zone: tuple[Value, ...] = ()) -> int | None:
    """Return the moment, in the calendar of the zone if one is given."""
    found = read_date(context, name, value)
    return found if found is None or not zone else localised(context, name, found, zone[0])


def unit_of(value: Value) -> str | None:
    return UNITS.get(value.lower()) if value.__class__ is str else None


def _from_parts(context: QueryContext, name: str, values: tuple[Value, ...]) -> int | None:
    if len(values) == 1:
        return read_date(context, name, values[0])
    if len(values) < 3 or not all(value.__class__ is str or is_number(value) for value in values):
        context.warn_invalid_argument(name)
        return None
    parts = [to_integer(value) for value in values] + [0] * (7 - len(values))
    parts[6] = min(parts[6], 999)
    if parts[0] > 9999 or any(part < 0 or part > 10**9 for part in parts):
        out_of_range(context, name)
        return None
    # months and days are kept in a byte; beyond their year or month they count into the next one
    day = days_of(parts[0], parts[1] & 255, parts[2] & 255)
    found = day * DAY + ((parts[3] * 60 + parts[4]) * 60 + parts[5]) * 1000 + parts[6]
    if FIRST <= found <= LAST or name == "DATE_TIMESTAMP":
        return found
    out_of_range(context, name)
    return None


@function("DATE_NOW", arguments=0, random=True, linear=True)
def date_now(context: QueryContext) -> Value:
    """DATE_NOW()"""
    return context.now


@function("DATE_TIMESTAMP", arguments=(1, 7), linear=True)
def date_timestamp(context: QueryContext, *values: Value) -> Value:
    """DATE_TIMESTAMP(date) or DATE_TIMESTAMP(year, month, day, …)"""
    return _from_parts(context, "DATE_TIMESTAMP", values)


@function("DATE_ISO8601", arguments=(1, 7), linear=True)
def date_iso8601(context: QueryContext, *values: Value) -> Value:
    """DATE_ISO8601(date) or DATE_ISO8601(year, month, day, …)"""
    found = _from_parts(context, "DATE_ISO8601", values)
    return None if found is None else iso_text(found)


@sql_form("DATE_TIMESTAMP")
def date_timestamp_sql(call: SqlCall) -> Term | None:
    """Read one date."""
    return of_int(f"_crossfade.date_ms({call.json(0)})") if call.count == 1 else None


@sql_form("DATE_ISO8601")
def date_iso8601_sql(call: SqlCall) -> Term | None:
    """Write one date."""
    return of_text(f"_crossfade.iso_text({_moment_sql(call)})") if call.count == 1 else None


def weekday(moment: int) -> int:
    """Return 0 for Sunday to 6 for Saturday."""
    return (moment // DAY + 4) % 7


def day_of_year(moment: int) -> int:
    """Return the day of the year, from 1."""
    return moment // DAY - days_of(civil(moment).year, 1, 1) + 1


def iso_week(moment: int) -> tuple[int, int]:
    """Return the week and the year that it belongs to."""
    day = moment // DAY
    thursday = day - (weekday(moment) - 1) % 7 + 3
    year = date_of(thursday)[0]
    return (thursday - days_of(year, 1, 1)) // 7 + 1, year


def _part(name: str, take: Callable[[int], Value], arguments: Arguments = (1, 2)) -> None:
    def implementation(context: QueryContext, value: Value, *zone: Value) -> Value:
        found = _moment(context, name, value, zone)
        return None if found is None else take(found)

    function(name, arguments=arguments)(implementation)


_part("DATE_DAYOFWEEK", weekday)
_part("DATE_YEAR", lambda moment: civil(moment).year)
_part("DATE_MONTH", lambda moment: civil(moment).month)
_part("DATE_DAY", lambda moment: civil(moment).day)
_part("DATE_HOUR", lambda moment: civil(moment).hour)
_part("DATE_MINUTE", lambda moment: civil(moment).minute)
_part("DATE_SECOND", lambda moment: civil(moment).second, arguments=1)
_part("DATE_MILLISECOND", lambda moment: civil(moment).millisecond, arguments=1)
_part("DATE_DAYOFYEAR", day_of_year)
_part("DATE_ISOWEEK", lambda moment: iso_week(moment)[0])
_part("DATE_ISOWEEKYEAR", lambda moment: dict(zip(("week", "year"), iso_week(moment), strict=True)))
_part("DATE_LEAPYEAR", lambda moment: leap(civil(moment).year))
_part("DATE_QUARTER", lambda moment: (civil(moment).month + 2) // 3)
_part("DATE_DAYS_IN_MONTH", lambda moment: month_length(civil(moment).year, civil(moment).month))


_EXTRACTED = {
    "DATE_YEAR": "year",
    "DATE_MONTH": "month",
    "DATE_DAY": "day",
    "DATE_HOUR": "hour",
    "DATE_MINUTE": "minute",
    "DATE_SECOND": "second",
    "DATE_DAYOFWEEK": "dow",
    "DATE_DAYOFYEAR": "doy",
    "DATE_QUARTER": "quarter",
    "DATE_ISOWEEK": "week",
}


def _moment_sql(call: SqlCall) -> str:
    """Return the first argument as a timestamp of UTC; a value that is not a date is refused as it runs (it warns)."""
    return f"_crossfade.moment({call.json(0)})"


@sql_form(*_EXTRACTED)
def part_sql(call: SqlCall) -> Term | None:
    """Extract a part of a date in UTC."""
    if call.count != 1:
        return None
    return of_int(f"floor(extract({_EXTRACTED[call.name]} FROM {_moment_sql(call)}))::bigint")


def truncate(moment: int, unit: str) -> int:
    """Set all parts below the unit to their beginning."""
    c = civil(moment)
    keep = PARTS.index(unit) + 1
    parts = [c.year, c.month, c.day, c.hour, c.minute, c.second, c.millisecond][:keep]
    return moment_of(Civil(*(parts + [0, 1, 1, 0, 0, 0, 0][keep:])))


def text_of(context: QueryContext, name: str, moment: int, zone: tuple[Value, ...]) -> Value:
    """Return the text of a local time in a zone, in UTC."""
    found = utc_time(moment, zone[0]) if zone else moment
    if FIRST <= found <= LAST:
        return iso_text(found)
    out_of_range(context, name)
    return None


@function("DATE_TRUNC", arguments=(2, 3))
def date_trunc(context: QueryContext, value: Value, unit: Value, *zone: Value) -> Value:
    """DATE_TRUNC(date, unit, zone): year, month, day, hour, minute, second or millisecond"""
    found = read_date(context, "DATE_TRUNC", value)
    if found is None:
        return None
    if unit.__class__ is not str:
        context.warn_invalid_argument("DATE_TRUNC")
        return None
    local = localised(context, "DATE_TRUNC", found, zone[0]) if zone else found
    if local is None:
        return None
    named = unit_of(unit)
    if named is None or named == "week":
        out_of_range(context, "DATE_TRUNC")
        return None
    return text_of(context, "DATE_TRUNC", truncate(local, named), zone)


_TRUNCATED = frozenset({"year", "month", "day", "hour", "minute", "second"})


@sql_form("DATE_TRUNC")
def date_trunc_sql(call: SqlCall) -> Term | None:
    """Truncate in UTC, to a constant unit."""
    if call.count != 2:
        return None
    term = call.term(1)
    unit = UNITS.get(str(term.value).lower()) if isinstance(term, ConstantTerm) else None
    if unit not in _TRUNCATED:
        raise NotCompilable("DATE_TRUNC to another unit")
    return of_text(f"_crossfade.iso_text(date_trunc('{unit}', {_moment_sql(call)}))")
