"""Named points at which a test may kill or stop the process: what proves I3. Off, each costs an empty call.

CROSSFADE_FAULT=`name[:nth]` kills this process by SIGKILL when it reaches the point for the nth time (first: 1).
CROSSFADE_FAULT=`name[:nth]@PATH` tells whoever listens on that Unix socket that the point is reached, and stands still
until it answers: with nothing, and no point is reached any more, or with the next `name[:nth]`.
"""

from __future__ import annotations

import os
import signal
import socket
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
    plan, _, path = wanted.partition("@")
    point, left = _parsed(plan)

    def count(name: str) -> None:
        nonlocal point, left
        if name != point:
            return
        left -= 1
        if left > 0:
            return
        if not path:
            os.kill(os.getpid(), signal.SIGKILL)
            return
        answer = _asked(path, name)
        point, left = _parsed(answer) if answer else ("", 0)

    return count


def _parsed(plan: str) -> tuple[str, int]:
    point, _, nth = plan.partition(":")
    if point not in POINTS:
        raise ValueError(f"CROSSFADE_FAULT names {point!r}: the points are {', '.join(POINTS)}")
    return point, int(nth or 1)


def _asked(path: str, name: str) -> str:
    """What the listener answers; the whole process stands still until then."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.connect(path)
        asking.sendall(name.encode() + b"\n")
        return asking.makefile("r", encoding="ascii").readline().strip()


reach: Callable[[str], None] = armed(os.environ.get("CROSSFADE_FAULT", ""))
