"""Moments and durations: calendar arithmetic for the date functions. A moment is milliseconds since 1970 in UTC.

Python's own dates end at the years 1 and 9999; ArangoDB has 0 to 9999, so the calendar is computed here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

DAY = 86_400_000
FIRST, LAST = -62_167_219_200_000, 253_402_300_799_999  # the years 0 and 9999
_DATE = re.compile(
    r"\+?([0-9]+)(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?"
    r"(?:[T ]([0-9]{1,2}):([0-9]{1,2})(?::([0-9]{1,2})(?:\.([0-9]+))?)?)?"
    r"(?:[zZ]|([-+])([0-9]{1,2}):([0-9]{1,2}))?"
)
_DURATION = re.compile(
    r"P(?!$)(?:([0-9]+)Y)?(?:([0-9]+)M)?(?:([0-9]+)W)?(?:([0-9]+)D)?"
    r"(?:T(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+)(?:[.,]([0-9]{1,3}))?S)?)?"
)


@dataclass(frozen=True, slots=True)
class Civil:
    """A moment in the calendar of a time zone."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    millisecond: int


@dataclass(frozen=True, slots=True)
class Duration:
    """An ISO 8601 duration: months, and milliseconds."""

    months: int = 0
    milliseconds: int = 0


def days_of(year: int, month: int, day: int) -> int:
    """Return the days since 1970-01-01 in the Gregorian calendar; a day beyond its month counts into the next one."""
    year -= month <= 2
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468 + day - 1


def date_of(days: int) -> tuple[int, int, int]:
    """Return year, month and day of days since 1970-01-01."""
    days += 719_468
    era = days // 146_097
    of_era = days - era * 146_097
    years = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * years + years // 4 - years // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month += 3 if month < 10 else -9
    return years + era * 400 + (month <= 2), month, day


def leap(year: int) -> bool:
    """Return True if the year has 366 days."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def month_length(year: int, month: int) -> int:
    """Return the number of days of a month."""
    return 30 + ((month + month // 8) & 1) if month != 2 else 29 if leap(year) else 28


def civil(moment: int) -> Civil:
    """Convert a moment to the calendar of UTC."""
    days, rest = divmod(moment, DAY)
    year, month, day = date_of(days)
    seconds, millisecond = divmod(rest, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return Civil(year, month, day, hour, minute, second, millisecond)


def moment_of(parts: Civil) -> int:
    """Return the moment; months beyond 12 and days beyond the month count into the next ones."""
    years, month = divmod(parts.month - 1, 12)
    days = days_of(parts.year + years, month + 1, parts.day)
    return days * DAY + ((parts.hour * 60 + parts.minute) * 60 + parts.second) * 1000 + parts.millisecond


@lru_cache(maxsize=4096)
def _parse(text: str) -> int | None:
    """Return the moment of a text of ISO 8601, in which all parts but the year are optional.

    A day that its month does not have counts into the next one; a year may have leading zeros beyond four digits.
    """
    found = _DATE.fullmatch(text.strip(" \t\r\n"))
    if found is None or len(found[1].lstrip("0")) > 4:
        return None
    year, month, day = int(found[1]), int(found[2] or 1), int(found[3] or 1)
    hour, minute, second = int(found[4] or 0), int(found[5] or 0), int(found[6] or 0)
    if not (1 <= month <= 12 and 1 <= day <= 31) or hour > 23 or minute > 59 or second > 59:
        return None
    millisecond = int(((found[7] or "") + "000")[:3])
    moment = moment_of(Civil(year, month, day, hour, minute, second, millisecond))
    if found[8]:
        hours, minutes = int(found[9]), int(found[10])
        if hours > 23 or minutes > 59:
            return None
        offset = (hours * 60 + minutes) * 60_000
        moment += -offset if found[8] == "+" else offset
    return moment if FIRST <= moment <= LAST else None


def timestamp(value: Any) -> int | None:
    """Return the moment of a number of milliseconds or a text; None for other values."""
    if value.__class__ is str:
        return _parse(value)
    if value.__class__ is int or value.__class__ is float:
        return int(value) if FIRST <= int(value) <= LAST else None
    return None


def iso_text(moment: int) -> str:
    """Return a moment as YYYY-MM-DDTHH:MM:SS.mmmZ."""
    c = civil(moment)
    return f"{c.year:04}-{c.month:02}-{c.day:02}T{c.hour:02}:{c.minute:02}:{c.second:02}.{c.millisecond:03}Z"


def parse_duration(text: str) -> Duration | None:
    """Read an ISO 8601 duration; None for another text."""
    found = _DURATION.fullmatch(text)
    if found is None:
        return None
    years, months, weeks, days, hours, minutes, seconds = (int(found[i] or 0) for i in range(1, 8))
    milliseconds = int(((found[8] or "") + "000")[:3])
    whole = ((days + 7 * weeks) * 24 + hours) * 3600 + minutes * 60 + seconds
    return Duration(years * 12 + months, whole * 1000 + milliseconds)


def shift(moment: float, duration: Duration, sign: int) -> int:
    """Move a moment later (sign 1) or earlier (-1). A day that the month does not have counts into the next one."""
    c = civil(int(moment))
    moved = Civil(c.year, c.month + sign * duration.months, c.day, c.hour, c.minute, c.second, c.millisecond)
    return moment_of(moved) + sign * duration.milliseconds
