"""Trouble that repeats: logged when it begins or changes, then once a minute, so that an outage fills no disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

EVERY: Final = 60.0  # seconds


class LogThrottle:
    """Decide whether trouble is worth a log line. One for each place that logs it."""

    def __init__(self, every: float = EVERY, clock: Callable[[], float] = time.monotonic) -> None:
        self._every = every
        self._clock = clock
        self._what: str | None = None
        self._said = 0.0

    def should_log(self, what: str) -> bool:
        """Return True if it is to be logged: the trouble differs from the last, or a minute has passed."""
        moment = self._clock()
        if what == self._what and moment - self._said < self._every:
            return False
        self._what, self._said = what, moment
        return True

    def ended(self) -> bool:
        """Return True if there was trouble, which has ended now."""
        was, self._what = self._what is not None, None
        return was
