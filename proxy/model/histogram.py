"""Histograms of latency that can be added up, across instances and over time; pure.

A histogram is a list of counts, one for each bucket. Bucket 0 counts up to 50 µs, the limit of each further one is 19 %
greater (a quarter of a doubling), and the last one counts everything above 52 s. A quantile is interpolated within its
bucket, so that it is off by a few percent if there are enough samples. Trailing zeros may be missing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

_FIRST: Final = 50e-6  # seconds
_STEPS: Final = 4  # buckets for each doubling
BOUNDS: Final = tuple(_FIRST * 2 ** (place / _STEPS) for place in range(20 * _STEPS + 1))


def place_of(seconds: float) -> int:
    """Return the index of the bucket of a duration."""
    return bisect_left(BOUNDS, seconds)


def count(histogram: list[int], seconds: float, number: int = 1) -> None:
    """Add `number` samples of that duration."""
    place = place_of(seconds)
    if place >= len(histogram):
        histogram.extend([0] * (place + 1 - len(histogram)))
    histogram[place] += number


def quantile(histogram: Sequence[int], share: float) -> float | None:
    """Return the seconds that a share of the samples (0.99: all but one in a hundred) do not exceed; None if empty."""
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
