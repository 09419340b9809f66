"""The workload of a shadow: reads that wait or are being compared, and their bytes. Nothing here blocks."""

from __future__ import annotations

import asyncio

from proxy.shadow.jobs import QUEUE_BYTES, ReadToCompare


class Workload:
    """Counts the work in progress of one shadow. limit: reads; their bytes are limited by QUEUE_BYTES."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pending = self._bytes = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def has_room(self, job: ReadToCompare) -> bool:
        """Return True if one more read may wait."""
        return self._pending < self._limit and self._bytes + job.size <= QUEUE_BYTES

    @property
    def overloaded(self) -> bool:
        """True if more reads wait than may: cursors that end at the same time have passed `has_room` before."""
        return self._pending > self._limit

    def fill_level(self) -> float:
        """Return the share of the queue that is taken, from 0 to 1."""
        return max(self._pending / self._limit, self._bytes / QUEUE_BYTES)

    def add(self, job: ReadToCompare) -> None:
        """Count a read until `remove`."""
        job.counted = job.size
        self._bytes += job.counted
        self.begin()

    def remove(self, job: ReadToCompare) -> None:
        """Count a read no longer."""
        self._bytes -= job.counted
        self.end()

    def begin(self) -> None:
        """Count work that does not belong to a waiting read, such as an explanation, until `end`."""
        self._pending += 1
        self._idle.clear()

    def end(self) -> None:
        """Count such work no longer."""
        self._pending -= 1
        if self._pending == 0:
            self._idle.set()

    async def idle(self) -> None:
        """Return when nothing waits and nothing is in progress."""
        await self._idle.wait()
