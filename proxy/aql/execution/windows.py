"""The bounds of WINDOW: how far the window of a row reaches, by rows, numbers or durations."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from proxy.aql.compiled_types import Compiled, Stepwise
from proxy.aql.functions.calendar import Duration, parse_duration, shift, timestamp
from proxy.aql.values import Value
from proxy.base.errors import ArangoError

_FAR = math.inf


@dataclass(frozen=True, slots=True)
class Bounds:
    """The reach before and after a row: numbers (infinity: unbounded), or durations for dates."""

    before: float | Duration
    after: float | Duration


def bounds_of(compiled: Compiled, *, by_value: bool) -> Bounds:
    """Return the bounds in a constant object. Raise ArangoError 1501 if they are not valid."""
    value = None if isinstance(compiled, Stepwise) else compiled([])
    if not isinstance(value, dict):
        raise _refusal()
    reach = [_reach(value.get(name, 0), by_value=by_value) for name in ("preceding", "following")]
    if any(isinstance(r, Duration) for r in reach):
        reach = [r if isinstance(r, Duration) or r == _FAR else Duration() for r in reach]
    return Bounds(reach[0], reach[1])


def _reach(value: Value, *, by_value: bool) -> float | Duration:
    if value.__class__ in (int, float) and value >= 0:
        return value if by_value else int(value)
    if isinstance(value, str):
        if value.lower() == "unbounded":
            return _FAR
        duration = parse_duration(value) if by_value else None
        if duration is not None:
            return duration
    raise _refusal()


def _refusal() -> ArangoError:
    return ArangoError(1501, "AQL: WINDOW bounds must be non-negative numbers, durations or 'unbounded'", status=400)


def spans(order: list[Value], bounds: Bounds) -> list[tuple[int, int]]:
    """Return for each row, sorted by `order`, the first row of its window and the one after the last.

    A row whose value is not a number (or, with durations, not a date) is in no window, and its window is empty.
    """
    dates = isinstance(bounds.before, Duration) or isinstance(bounds.after, Duration)
    places: list[float | None] = []
    for value in order:
        if dates:
            places.append(timestamp(value))
        else:
            places.append(value if value.__class__ in (int, float) else None)
    known = [(place, index) for index, place in enumerate(places) if place is not None]
    values = [place for place, _ in known]
    found: list[tuple[int, int]] = []
    for place in places:
        if place is None:
            found.append((0, 0))
            continue
        low = _move(place, bounds.before, -1)
        high = _move(place, bounds.after, 1)
        first, last = bisect_left(values, low), bisect_right(values, high)
        found.append((known[first][1], known[last - 1][1] + 1) if first < last else (0, 0))
    return found


def _move(place: float, reach: float | Duration, sign: int) -> float:
    if isinstance(reach, Duration):
        return shift(place, reach, sign)
    return place + sign * reach
