"""Time zones: local time and UTC, and the rules of a zone at a moment.

The rules are those of the wheel `tzdata`, pinned to the release that ArangoDB ships, not those of the machine: all
machines and the origin must compute the same time.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

import tzdata

from proxy.aql.functions.calendar import FIRST, LAST, iso_text, timestamp
from proxy.aql.functions.registry import function
from proxy.aql.query_context import QueryContext
from proxy.aql.values import Value
from proxy.base.errors import ArangoError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FAR = datetime(2500, 1, 1, tzinfo=UTC)
_OLD = datetime(1800, 1, 1, tzinfo=UTC)
_STEP = timedelta(days=14)


_DATABASE = resources.files("tzdata")


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(_DATABASE.joinpath("zones").read_text("ascii").split())


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo | None:
    if name not in _names():
        return None
    with _DATABASE.joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, name)


def _when(moment: int) -> datetime:
    moment = max(-62_135_596_800_000 + 86_400_000, min(LAST - 86_400_000, moment))
    return _EPOCH + timedelta(milliseconds=moment)


def _offset(moment: int, zone: ZoneInfo) -> int:
    """Return the milliseconds by which the zone is ahead of UTC."""
    offset = _when(moment).astimezone(zone).utcoffset() or timedelta()
    return int(offset.total_seconds()) * 1000


def _known(name: str) -> ZoneInfo:
    """Return the zone of a name. Raise ArangoError 4 for an unknown one, which ends a query in ArangoDB as well."""
    zone = _zone(name)
    if zone is None:
        raise ArangoError(4, f"AQL: {name} not found in timezone database (while executing)")
    return zone


def local_time(moment: int, name: str) -> int:
    """Return the local time in a zone, written as if it were UTC. Raise ArangoError 4 for an unknown zone."""
    return moment + _offset(moment, _known(name))


def utc_time(local: int, name: str) -> int:
    """Return the moment of a local time in a zone.

    Raise ArangoError 4 for an unknown zone, and for a local time that occurs never or twice, because daylight saving
    time begins or ends then; the query ends in ArangoDB as well.
    """
    shown = _when(local).replace(tzinfo=_known(name))
    earlier, later = (shown.replace(fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    if earlier != later:
        what = "is ambiguous" if earlier > later else "is in a gap"
        raise ArangoError(4, f"AQL: {iso_text(local)[:-1].replace('T', ' ')} {what} in {name} (while executing)")
    return local - int(earlier.total_seconds()) * 1000


def _facts(when: datetime, zone: ZoneInfo) -> tuple[str | None, timedelta | None, timedelta | None]:
    local = when.astimezone(zone)
    return local.tzname(), local.utcoffset(), local.dst()


def _change(when: datetime, zone: ZoneInfo, sign: int) -> datetime | None:
    """Return the nearest later (1) or earlier (-1) moment at which the zone changes; None if there is none."""
    here = _facts(when, zone)
    inside = when
    limit = _FAR if sign > 0 else _OLD
    if sign > 0 and not any(_facts(when + timedelta(days=91 * n), zone) != here for n in range(1, 9)):
        limit = min(limit, max(when, datetime(2038, 1, 1, tzinfo=UTC)))
    while inside < limit if sign > 0 else inside > limit:
        outside = inside + sign * _STEP
        if _facts(outside, zone) != here:
            low, high = (inside, outside) if sign > 0 else (outside, inside)
            first = _facts(low, zone)
            seconds = int((high - low).total_seconds())
            at = bisect_left(
                range(seconds + 1), x=True, key=lambda s: _facts(low + timedelta(seconds=s), zone) != first
            )
            return low + timedelta(seconds=at)
        inside = outside
    return None


@lru_cache(maxsize=1)
def database_version() -> str:
    """Return the release of the time zone database, as `2026a`."""
    return str(tzdata.IANA_VERSION)


def _detail(moment: int, zone: ZoneInfo) -> dict[str, Value]:
    when = _when(moment)
    name, offset, dst = _facts(when, zone)
    begin, end = _change(when, zone, -1), _change(when, zone, 1)
    return {
        "name": name,
        "begin": None if begin is None else iso_text(int((begin - _EPOCH).total_seconds() * 1000)),
        "end": None if end is None else iso_text(int((end - _EPOCH).total_seconds() * 1000)),
        "dst": bool(dst),
        "offset": int((offset or timedelta()).total_seconds()),
    }


def _convert(
    context: QueryContext, name: str, value: Value, zone: Value, detail: tuple[Value, ...], *, local: bool
) -> Value:
    found = timestamp(value)
    if found is None:
        if value.__class__ in (str, int, float):
            context.warn_in_function(name, 1572)
        else:
            context.warn_invalid_argument(name)
        return None
    if zone.__class__ is not str or (detail and detail[0].__class__ is not bool):
        context.warn_invalid_argument(name)
        return None
    known = _known(zone)
    moved = local_time(found, zone) if local else utc_time(found, zone)
    if not FIRST <= moved <= LAST:
        context.warn_in_function(name, 1572)
        return None
    text = iso_text(moved)
    moment = found if local else moved
    if local and any(_facts(_when(moment), known)[1:]):  # only the time of UTC is marked by Z
        text = text[:-1]
    if not (detail and detail[0]):
        return text
    return {
        "local" if local else "utc": text,
        "tzdb": database_version(),
        "zoneInfo": _detail(moment, known),
    }


@function("DATE_UTCTOLOCAL", arguments=(2, 3))
def date_utctolocal(context: QueryContext, value: Value, zone: Value, *detail: Value) -> Value:
    """DATE_UTCTOLOCAL(date, zone, detail)"""
    return _convert(context, "DATE_UTCTOLOCAL", value, zone, detail, local=True)


@function("DATE_LOCALTOUTC", arguments=(2, 3))
def date_localtoutc(context: QueryContext, value: Value, zone: Value, *detail: Value) -> Value:
    """DATE_LOCALTOUTC(date, zone, detail)"""
    return _convert(context, "DATE_LOCALTOUTC", value, zone, detail, local=False)


@function("DATE_TIMEZONE", arguments=0)
def date_timezone(_context: QueryContext) -> Value:
    """DATE_TIMEZONE(): that of the server"""
    return time.tzname[0] or "UTC"


@function("DATE_TIMEZONES", arguments=0)
def date_timezones(_context: QueryContext) -> Value:
    """DATE_TIMEZONES(): all known zones"""
    return sorted(_names())
