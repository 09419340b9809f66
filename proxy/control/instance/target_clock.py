"""PostgreSQL's clock as one instance sees it: leases end by it, so it must not be believed behind a step back.

An instance that is silent holds its lease until PostgreSQL's clock has passed its end, and answers alone from then on
by its own clock. Were PostgreSQL's clock set back meanwhile, the lease would live on there: others would go on reading
what that instance's clients have gone beyond. So each instance measures the time between two of its looks by its own
steady clock; where PostgreSQL's shows less, it reads nothing there until that clock is a whole lease beyond the newest
time that it had shown: whatever lease holds then was extended behind the step. A step forward ends leases early, which
is safe.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

_SLACK: Final = 0.05  # of a lease: what clocks may drift apart between two looks


class TargetClock:
    """`trusted`: whether a lease that holds there was extended by who holds it."""

    def __init__(self, lease: float) -> None:
        self._lease = timedelta(seconds=lease)
        self._slack = timedelta(seconds=_SLACK * lease)
        self._last: tuple[datetime, float] | None = None
        self._newest: datetime | None = None
        self._from: datetime | None = None

    @property
    def trusted(self) -> bool:
        return self._from is None

    def saw(self, now: datetime, asked: float, answered: float) -> bool:
        """A look that was asked and answered at these local times showed `now`. Whether the clock was set back."""
        stepped = False
        if self._last is not None and self._newest is not None:
            told, at = self._last
            stepped = now < told + timedelta(seconds=max(0.0, asked - at)) - self._slack
            if stepped:
                self._from = self._newest + self._lease
        if self._from is not None and now >= self._from:
            self._from = None
        self._last = (now, answered)
        self._newest = now if self._newest is None else max(self._newest, now)
        return stepped
