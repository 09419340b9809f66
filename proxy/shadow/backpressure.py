"""Clients first: the shadow's work on the event loop waits while the loop is late with clients.

The length of the loop's turns shows that: a long turn had many clients to serve. After a pause of the machine the
waiting clients are then served as fast as without a shadow. The wait is limited by the age of the work, since what is
compared late has changed meanwhile and must be read again; and it is shorter when the queue of reads, which take
memory, fills up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

SHORT: Final = 0.0003  # seconds of a turn in which almost no client waited
MAX_WAIT: Final = 0.1  # seconds after the moment at which the work was due
PIECE: Final = 0.0001  # seconds of work between two turns
LONG_PIECE: Final = 0.001
_HURRY: Final = 0.25  # share of the queue from which on work does not wait


class Backpressure:
    """Waits before each piece of work of one shadow; one waits at a time, so that pieces follow one another."""

    def __init__(self, fill_level: Callable[[], float], clock: Callable[[], float] = time.monotonic) -> None:
        """fill_level: returns the share of the queue that is taken."""
        self._fill_level = fill_level
        self._clock = clock
        self._turn = asyncio.Lock()

    async def wait_turn(self, due: float) -> float:
        """Return after a short turn of the loop, at the latest MAX_WAIT after `due`. Moments are monotonic.

        The result is the moment at which clients must get their turn: later if reads would otherwise have to be
        skipped.
        """
        async with self._turn:
            began = self._clock()
            while True:
                await asyncio.sleep(0)
                now, hurried = self._clock(), self._fill_level() >= _HURRY
                if hurried or now - began < SHORT or now >= due + MAX_WAIT:
                    return now + (LONG_PIECE if hurried else PIECE)
                began = now
