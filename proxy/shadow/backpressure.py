"""Clients go first: what the shadow does on the event loop waits while the loop is behind with them.

The loop tells by the length of its turns: one that is long had many to serve. After a pause of the machine the clients
that waited are then served as fast as without a shadow. Patience ends with the age of the work, since what is compared
late has changed meanwhile and must be looked at again; and as the queue of reads fills, which take memory.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

SHORT: Final = 0.0003  # seconds of a turn in which next to nobody waited
PATIENCE: Final = 0.1  # seconds behind the moment at which the work was due
PIECE: Final = 0.0001  # seconds of work, as a rule
LONG_PIECE: Final = 0.001
_HURRY: Final = 0.25  # share of the queue that is taken


class Backpressure:
    """Asks before each piece of work of one shadow; one asks at a time, so that pieces follow one another."""

    def __init__(self, filled: Callable[[], float], clock: Callable[[], float] = time.monotonic) -> None:
        """filled: the share of the queue that is taken."""
        self._filled = filled
        self._clock = clock
        self._turn = asyncio.Lock()

    async def wait_turn(self, due: float) -> float:
        """Returns behind a short turn of the loop; at the latest when patience ends. Moments are monotonic.

        The answer is the moment at which clients are to have their turn: later where reads would have to be skipped.
        """
        async with self._turn:
            began = self._clock()
            while True:
                await asyncio.sleep(0)
                now, hurried = self._clock(), self._filled() >= _HURRY
                if hurried or now - began < SHORT or now >= due + PATIENCE:
                    return now + (LONG_PIECE if hurried else PIECE)
                began = now
