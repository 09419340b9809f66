"""Times that do not depend on this machine's wall clock alone (I3): ages, and the newest known time of ArangoDB.

NTP or an operator may step a wall clock. So the *age* of an intent is the greater of two measurements: by the wall
clock, and by the time since the machine was booted. An age that is too great costs a wait; one that is too small would
break a guarantee. Times of revisions are compared with ArangoDB's clock only: an intent holds the newest time that
ArangoDB had shown before the write was forwarded, by a revision that it had just assigned (its hybrid clock never goes
back) or by its answer to a query for the time. The write cannot have an older revision, so `replication.revision_scan`
searches from that time on.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from proxy.model.operations import Change

_COUNTER_BITS: Final = 20  # low bits of a revision, which hold the counter; the others are milliseconds


def uptime() -> float:
    """Return the seconds since the machine was booted, sleep included: this clock cannot be set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def age(taken: float, up: float) -> float:
    """Return the seconds since a moment. taken: its wall clock time. up: its `uptime`; 0 if that was not recorded."""
    by_wall = time.time() - taken
    return max(0.0, by_wall, uptime() - up) if up else max(0.0, by_wall)


class OriginClock:
    """The newest known time of ArangoDB's clock. shown: in milliseconds; 0 before the first."""

    __slots__ = ("shown",)

    def __init__(self) -> None:
        self.shown = 0

    def observe_changes(self, changes: Iterable[Change]) -> None:
        """Learn from revisions that ArangoDB has just assigned. (A removal has the revision of an earlier write.)"""
        for change in changes:
            if change.raw is not None and change.rev >> _COUNTER_BITS > self.shown:
                self.shown = change.rev >> _COUNTER_BITS

    def observe_time(self, milliseconds: int) -> None:
        """Learn from ArangoDB's answer to a query for the time."""
        self.shown = max(self.shown, milliseconds)
