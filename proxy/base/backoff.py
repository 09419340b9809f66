"""Waiting longer from failure to failure, with a bound."""

from __future__ import annotations

import asyncio
from typing import Final

_FIRST: Final = 0.05
_LONGEST: Final = 1.0


class Backoff:
    """Seconds: 0.05, 0.1, 0.2 … 1. An outage may last for ever; the backlog begins to drain within a second after."""

    def __init__(self, first: float = _FIRST, longest: float = _LONGEST) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    async def wait(self) -> None:
        """Sleeps, and the next time longer."""
        pause, self._next = self._next, min(self._next * 2, self._longest)
        await asyncio.sleep(pause)

    def reset(self) -> None:
        """It worked."""
        self._next = self._first
