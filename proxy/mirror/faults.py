"""Named points at which a test may kill the process: what proves I3. Off, they cost one call of an empty function.

CROSSFADE_FAULT=`name[:nth]` kills this process by SIGKILL when it reaches the point for the nth time (first: 1).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Final

POINTS: Final = (
    "after-intend",  # the intent is in the journal, nothing was forwarded
    "after-forward",  # the origin answered, nothing was captured
    "before-settle",  # captured, nothing was queued
    "mid-batch",  # a part of a batch is in PostgreSQL
    "after-apply",  # a batch is in PostgreSQL, its intents are open
    "mid-repair",  # the origin was read again, PostgreSQL does not have it
    "before-mark",  # an opaque write was answered, its mark is not in PostgreSQL
)


def _nothing(name: str) -> None:
    """No fault is asked for."""


def armed(wanted: str) -> Callable[[str], None]:
    """The function that `reach` is for a value of CROSSFADE_FAULT; an unknown name is a ValueError."""
    if not wanted:
        return _nothing
    point, _, nth = wanted.partition(":")
    if point not in POINTS:
        raise ValueError(f"CROSSFADE_FAULT names {point!r}: the points are {', '.join(POINTS)}")
    left = int(nth or 1)

    def count(name: str) -> None:
        nonlocal left
        if name == point:
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return count


reach: Callable[[str], None] = armed(os.environ.get("CROSSFADE_FAULT", ""))
