"""DATE_FORMAT: a date as text, by a pattern of placeholders."""

from __future__ import annotations

import re
from collections.abc import Callable

from proxy.aql.functions.calendar import Civil, civil, iso_text, leap, month_length
from proxy.aql.functions.dates import day_of_year, iso_week, localised, read_date, weekday
from proxy.aql.functions.registry import function
from proxy.aql.query_context import QueryContext
from proxy.aql.values import Value

_MONTHS = "January February March April May June July August September October November December".split()  # noqa: SIM905
_DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split()  # noqa: SIM905


def _year(year: int) -> str:
    """Return four digits; the last year before each power of ten has three, as in ArangoDB."""
    zeros = 3 if year < 9 else 2 if year < 99 else 1 if year < 999 else 0
    return "0" * zeros + str(year)


_FORMATS: dict[str, Callable[[int, Civil], str]] = {
    "t": lambda m, _c: str(m),
    "z": lambda m, _c: iso_text(m),
    "w": lambda m, _c: str(weekday(m)),
    "www": lambda m, _c: _DAYS[weekday(m)][:3],
    "wwww": lambda m, _c: _DAYS[weekday(m)],
    "y": lambda _m, c: str(c.year),
    "yy": lambda _m, c: f"{c.year % 100:02}",
    "yyyy": lambda _m, c: _year(c.year),
    "yyyyyy": lambda _m, c: f"{c.year:+07}",
    "m": lambda _m, c: str(c.month),
    "mm": lambda _m, c: f"{c.month:02}",
    "mmm": lambda _m, c: _MONTHS[c.month - 1][:3],
    "mmmm": lambda _m, c: _MONTHS[c.month - 1],
    "d": lambda _m, c: str(c.day),
    "dd": lambda _m, c: f"{c.day:02}",
    "h": lambda _m, c: str(c.hour),
    "hh": lambda _m, c: f"{c.hour:02}",
    "i": lambda _m, c: str(c.minute),
    "ii": lambda _m, c: f"{c.minute:02}",
    "s": lambda _m, c: str(c.second),
    "ss": lambda _m, c: f"{c.second:02}",
    "f": lambda _m, c: str(c.millisecond),
    "fff": lambda _m, c: f"{c.millisecond:03}",
    "x": lambda m, _c: str(day_of_year(m)),
    "xxx": lambda m, _c: f"{day_of_year(m):03}",
    "k": lambda m, _c: str(iso_week(m)[0]),
    "kk": lambda m, _c: f"{iso_week(m)[0]:02}",
    "l": lambda _m, c: str(int(leap(c.year))),
    "q": lambda _m, c: str((c.month + 2) // 3),
    "a": lambda _m, c: str(month_length(c.year, c.month)),
    "%": lambda _m, _c: "%",
    "&": lambda _m, _c: "",
    "": lambda _m, _c: "",
}
_PLACEHOLDER = re.compile("%(" + "|".join(re.escape(f) for f in sorted(_FORMATS, key=len, reverse=True)) + ")")


@function("DATE_FORMAT", arguments=(2, 3))
def date_format(context: QueryContext, value: Value, pattern: Value, *zone: Value) -> Value:
    """DATE_FORMAT(date, format, zone)"""
    found = read_date(context, "DATE_FORMAT", value)
    if found is None:
        return None
    if pattern.__class__ is not str:
        context.warn_invalid_argument("DATE_FORMAT")
        return None
    local = localised(context, "DATE_FORMAT", found, zone[0]) if zone else found
    if local is None:
        return None
    parts = civil(local)
    return _PLACEHOLDER.sub(lambda m: _FORMATS[m[1]](local, parts), pattern)
