"""Requests whose outcome is unknown: their intents become due once the request can no longer run at ArangoDB. Pure."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator


class LostRequests:
    """Intents in the order in which they become due; those of one `tick` together. All times in monotonic seconds."""

    def __init__(self, wait: float, tick: float) -> None:
        """wait: seconds that a request may still run at ArangoDB after its connection was lost."""
        self._wait = wait
        self._tick = tick
        self._waiting: deque[tuple[float, array[int]]] = deque()  # (time when due, intents)

    def add(self, seq: int, now: float) -> None:
        """Note an intent whose request was lost."""
        due = now + self._wait
        if not self._waiting or self._waiting[-1][0] < due - self._tick:
            self._waiting.append((due + self._tick, array("q")))
        self._waiting[-1][1].append(seq)

    def due(self, now: float) -> Iterator[int]:
        """Yield the intents that are due, and forget them."""
        while self._waiting and self._waiting[0][0] <= now:
            yield from self._waiting.popleft()[1]
