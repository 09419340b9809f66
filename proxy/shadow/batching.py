"""Which reads are looked at together, and when: pure.

One statement is dear, a row of it is not: reads of single documents of one collection are put together. Each waits WAIT
seconds for others, in which the mirror applies what was written just before. A group is what came first, so that
groups begin one after the other, as the reads came, and no two of them keep clients waiting at once.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from proxy.model.endpoint import Read
from proxy.shadow.jobs import Job

WAIT: Final = 0.02
TOGETHER: Final = 32  # documents that one statement reads
_ALONE: Final = ""  # all that is looked at by itself: no collection has this name


class Batcher:
    """Reads that wait. Moments are monotonic, and grow from call to call."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Job]] = {}  # by collection, the oldest first; none is empty

    def add(self, job: Job, now: float) -> None:
        """Takes one more read."""
        operation = job.operation
        plain = operation.endpoint.read is Read.DOCUMENT and not job.reversed and not operation.headers
        name = (operation.qualified or _ALONE) if plain else _ALONE
        waiting = self._waiting.get(name)
        if waiting is None:
            waiting = self._waiting[name] = deque()
        job.due = now + WAIT
        waiting.append(job)

    def due(self) -> float | None:
        """The moment at which the next group is to be taken; None where nothing waits."""
        return min((waiting[0].due for waiting in self._waiting.values()), default=None)

    def take(self, now: float) -> list[list[Job]]:
        """What is due: of each collection one group of at most TOGETHER, the younger ones with the oldest; all others
        by themselves. There may be more: ask `due` again.
        """
        ready: list[list[Job]] = []
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

    def left(self) -> list[Job]:
        """Everything that waits, which no longer does."""
        jobs = [job for waiting in self._waiting.values() for job in waiting]
        self._waiting.clear()
        return jobs
