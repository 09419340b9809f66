"""PostgreSQL's clock as one instance sees it: leases end by it, so it is not trusted after a step back.

An instance that is silent holds its lease until PostgreSQL's clock has passed its end, and answers alone after that by
its own clock. If PostgreSQL's clock were set back meanwhile, the lease would continue to hold there, and others would
read data older than what that instance's clients have seen. So each instance measures the time between two of its looks
by its own monotonic clock. If PostgreSQL's clock shows less, the instance reads nothing there until that clock is one
lease past the newest time that it had shown: any lease that holds then was extended after the step. A step forward ends
leases early, which is safe.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

_SLACK: Final = 0.05  # of a lease: what clocks may drift apart between two looks


class TargetClock:
    """`trusted`: True if a lease that holds there was extended by its holder."""

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
        """Take the time `now`, asked and answered at these local times. Return True if the clock was set back."""
        stepped = False
        if self._last is not None and self._newest is not None:
            before, at = self._last
            stepped = now < before + timedelta(seconds=max(0.0, asked - at)) - self._slack
            if stepped:
                self._from = self._newest + self._lease
        if self._from is not None and now >= self._from:
            self._from = None
        self._last = (now, answered)
        self._newest = now if self._newest is None else max(self._newest, now)
        return stepped
