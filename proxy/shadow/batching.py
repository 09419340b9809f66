"""Which reads are compared together, and when. Pure.

A statement is expensive, a row of it is not: reads of single documents of one collection are put together. Each waits
WAIT seconds for others, in which time the mirror applies what was written just before. A group is what came first, so
that groups begin one after the other, as the reads came, and no two of them delay clients at the same time.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from proxy.model.endpoint import Read
from proxy.shadow.jobs import ReadToCompare

WAIT: Final = 0.02
TOGETHER: Final = 32  # documents that one statement reads at most
_ALONE: Final = ""  # reads that are compared by themselves: no collection has this name


class Batcher:
    """Reads that wait. Moments are monotonic, and grow from call to call."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[ReadToCompare]] = {}  # by collection, the oldest first; none is empty

    def add(self, job: ReadToCompare, now: float) -> None:
        """Add one read."""
        operation = job.operation
        plain = operation.endpoint.read is Read.DOCUMENT and not job.reversed and not operation.headers
        name = (operation.qualified or _ALONE) if plain else _ALONE
        waiting = self._waiting.get(name)
        if waiting is None:
            waiting = self._waiting[name] = deque()
        job.due = now + WAIT
        waiting.append(job)

    def due(self) -> float | None:
        """Return the moment at which the next group is to be taken; None if nothing waits."""
        return min((waiting[0].due for waiting in self._waiting.values()), default=None)

    def take(self, now: float) -> list[list[ReadToCompare]]:
        """Return what is due: of each collection one group of at most TOGETHER, younger reads with the oldest; all
        others by themselves. There may be more: call `due` again.
        """
        ready: list[list[ReadToCompare]] = []
        for name, waiting in list(self._waiting.items()):
            if waiting[0].due > now:
                continue
            if name == _ALONE:
                while waiting and waiting[0].due <= now:
                    ready.append([waiting.popleft()])
            else:
                ready.append([waiting.popleft() for _ in range(min(TOGETHER, len(waiting)))])
            if not waiting:
                del self._waiting[name]
        return ready

    def left(self) -> list[ReadToCompare]:
        """Remove and return everything that waits."""
        jobs = [job for waiting in self._waiting.values() for job in waiting]
        self._waiting.clear()
        return jobs
