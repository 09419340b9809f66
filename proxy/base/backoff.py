"""Exponential backoff with an upper bound."""

from __future__ import annotations

import asyncio
from typing import Final

_FIRST: Final = 0.05
_LONGEST: Final = 1.0


class Backoff:
    """Pauses of 0.05, 0.1, 0.2 … 1 s: after an outage of any length, the backlog begins to drain within a second."""

    def __init__(self, first: float = _FIRST, longest: float = _LONGEST) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    async def wait(self) -> None:
        """Sleep for the pause, and double the next one."""
        pause, self._next = self._next, min(self._next * 2, self._longest)
        await asyncio.sleep(pause)

    def reset(self) -> None:
        """Return to the first pause, after a success."""
        self._next = self._first
