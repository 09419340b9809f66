"""Reads of PostgreSQL by collection over the last seconds, which automatic rollback judges. Pure but for the clock.

Only watched collections are counted. A read in flight that has taken longer than the budget already counts as slow: a
database that hangs completes no read, and must be noticed nevertheless.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

WINDOW: Final = 6  # seconds that the figures cover


@dataclass(frozen=True, slots=True)
class ReadFigures:
    """One collection within the window. worst: seconds of the longest read, including those in flight."""

    reads: int = 0
    errors: int = 0
    slow: int = 0
    worst: float = 0.0


@dataclass(eq=False, slots=True)
class Reading:
    """One read in flight."""

    collections: tuple[str, ...]
    began: float


class Readings:
    """Counts of one instance. `watch` sets the collections, and the seconds from which a read of each is slow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._slow_from: Mapping[str, float] = {}
        self._seconds: dict[str, deque[list[float]]] = {}  # [second, reads, errors, slow, worst], the newest last
        self._open: set[Reading] = set()

    def watch(self, slow_from: Mapping[str, float]) -> None:
        """Count these collections from now on; drop the counts of others."""
        self._slow_from = dict(slow_from)
        self._seconds = {name: cells for name, cells in self._seconds.items() if name in slow_from}

    def begin(self, collections: Iterable[str]) -> Reading | None:
        """Start a read; return None if none of its collections is watched."""
        if not self._slow_from:
            return None
        watched = tuple(name for name in collections if name in self._slow_from)
        if not watched:
            return None
        reading = Reading(watched, self._clock())
        self._open.add(reading)
        return reading

    def end(self, reading: Reading | None, *, failed: bool, counts: bool = True) -> None:
        """End a read. failed: because of PostgreSQL; not `counts`: PostgreSQL was not to answer it after all."""
        if reading is None:
            return
        self._open.discard(reading)
        if not counts:
            return
        now = self._clock()
        took = now - reading.began
        for name in reading.collections:
            limit = self._slow_from.get(name)
            if limit is None:
                continue
            cells = self._seconds.setdefault(name, deque(maxlen=WINDOW + 1))
            if not cells or cells[-1][0] != now // 1:
                cells.append([now // 1, 0, 0, 0, 0.0])
            cell = cells[-1]
            cell[1] += 1
            cell[2] += failed
            cell[3] += took > limit
            cell[4] = max(cell[4], took)

    def figures(self, collection: str) -> ReadFigures:
        """Return the counts of the window and of reads that are in flight for too long."""
        now = self._clock()
        since = now // 1 - WINDOW
        cells = [cell for cell in self._seconds.get(collection, ()) if cell[0] > since]
        ages = [now - reading.began for reading in self._open if collection in reading.collections]
        late = [age for age in ages if age > self._slow_from.get(collection, age)]
        return ReadFigures(
            reads=int(sum(cell[1] for cell in cells)) + len(late),
            errors=int(sum(cell[2] for cell in cells)),
            slow=int(sum(cell[3] for cell in cells)) + len(late),
            worst=max([*(cell[4] for cell in cells), *late], default=0.0),
        )
