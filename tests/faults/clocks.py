"""A wall clock that a test steps: `python -m tests.faults.clocks FILE proxy run` runs `crossfade proxy run` with it.

The file holds how many seconds the clock is ahead of the machine's. Every process that maps it sees a step immediately.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from proxy.model.revision import Clock

_STEP: Final = struct.Struct("d")
_real = time.time
_wall_time: Callable[[], float] = _real


class Wall:
    """Seconds since the epoch as `time.time` gives them, plus an adjustable offset."""

    def __init__(self, path: Path) -> None:
        self.path = path
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(handle, _STEP.size)
            self._shared = mmap.mmap(handle, _STEP.size)
        finally:
            os.close(handle)

    def __call__(self) -> float:
        ahead: float = _STEP.unpack_from(self._shared)[0]
        return _real() + ahead

    def step(self, ahead: float) -> None:
        """Set the clock this many seconds ahead of the machine's clock, or behind it if negative."""
        _STEP.pack_into(self._shared, 0, ahead)

    @property
    def revisions(self) -> Clock:
        """The revision clock of an ArangoDB server with this wall clock."""
        return Clock(lambda: int(1000 * self()))


def follow(wall: Callable[[], float] = _real) -> None:
    """Make `time.time` and `time.time_ns` of this process return this clock."""
    global _wall_time  # noqa: PLW0603 - the process has one clock
    _wall_time = wall
    time.time, time.time_ns = _now, _now_ns  # before modules import `time` from it


def _now() -> float:
    return _wall_time()


def _now_ns() -> int:
    return int(1_000_000_000 * _wall_time())


def main() -> None:
    """Run `crossfade` with the clock in the file named by the first argument."""
    follow(Wall(Path(sys.argv[1])))
    from proxy.cli import main as crossfade

    sys.argv[:2] = ["crossfade"]
    crossfade()


if __name__ == "__main__":
    main()
