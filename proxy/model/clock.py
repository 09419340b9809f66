"""Times that no wall clock of this machine decides (I3): how old something is, and what the origin's clock showed.

A wall clock is stepped, by NTP or by hand. So the *age* of an intent is the greater of what the wall clock and the time
since the machine was booted say: too old costs a wait, too young would be a promise that is not kept. And where the
time of a revision matters, the origin's own clock counts: an intent holds the newest time that the origin had shown
before the write was forwarded, by a revision that it had just given (its hybrid clock never goes back) or by its own
word. Whatever the write did has no older revision; `scan` looks from there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from proxy.model.operations import Change

_COUNTER_BITS: Final = 20  # of a revision: below them the counter, above them milliseconds


def uptime() -> float:
    """Seconds since the machine was booted, sleep included: nobody sets this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def age(taken: float, up: float) -> float:
    """Seconds since a moment of which both clocks are known; `up` 0 where only the wall clock was noted."""
    by_wall = time.time() - taken
    return max(0.0, by_wall, uptime() - up) if up else max(0.0, by_wall)


class OriginClock:
    """`shown`: milliseconds, the newest that the origin has shown; 0 before it has shown any."""

    __slots__ = ("shown",)

    def __init__(self) -> None:
        self.shown = 0

    def wrote(self, changes: Iterable[Change]) -> None:
        """Versions that the origin has given revisions just now. (That of a removal is of an earlier write.)"""
        for change in changes:
            if change.raw is not None and change.rev >> _COUNTER_BITS > self.shown:
                self.shown = change.rev >> _COUNTER_BITS

    def said(self, milliseconds: int) -> None:
        """What it answered when it was asked for the time."""
        self.shown = max(self.shown, milliseconds)
