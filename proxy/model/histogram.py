"""Histograms of latency that can be added up, across instances and over time; pure.

A histogram is a list of counts, one a place. Place 0 counts up to 50 µs, each further one 19 % more (a quarter of a
doubling), the last one whatever is above 52 s. A quantile is read within its place, so that it is wrong by a few
percent where there are enough samples. Trailing zeros may be missing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

_FIRST: Final = 50e-6  # seconds
_STEPS: Final = 4  # places a doubling
BOUNDS: Final = tuple(_FIRST * 2 ** (place / _STEPS) for place in range(20 * _STEPS + 1))


def place_of(seconds: float) -> int:
    """Where a duration is counted."""
    return bisect_left(BOUNDS, seconds)


def count(histogram: list[int], seconds: float, number: int = 1) -> None:
    """Adds one sample, or several of that length."""
    place = place_of(seconds)
    if place >= len(histogram):
        histogram.extend([0] * (place + 1 - len(histogram)))
    histogram[place] += number


def quantile(histogram: Sequence[int], share: float) -> float | None:
    """Seconds that a share of the samples (0.99: all but one in a hundred) do not go over; None without a sample."""
    total = sum(histogram)
    if not total:
        return None
    wanted = share * total
    for place, number in enumerate(histogram):
        if number and wanted <= number:
            lower = BOUNDS[place - 1] if place else 0.0
            upper = BOUNDS[place] if place < len(BOUNDS) else BOUNDS[-1]
            return lower + (upper - lower) * wanted / number
        wanted -= number
    return BOUNDS[-1]
