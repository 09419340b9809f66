"""What a parent and its worker say to each other: frames of a length and a pickle. Both are one program of one version.

A pickle is read of a process that this program forked itself, and of nobody else. What is large travels as bytes inside
of it, so that reading a frame on the event loop costs a copy and no more.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from typing import Any, Final

LENGTH: Final = struct.Struct("!Q")
ORDER: Final = struct.Struct("!ciQ")  # to the template: what, niceness or process id, bytes of memory
BORN: Final = struct.Struct("!i")  # from the template: the new worker's process id
FORK, KILL = b"F", b"K"
MEMORY: Final = "memory"  # an answer: the work took more than it may


def question(function: Callable[..., Any], arguments: tuple[Any, ...], seconds: float) -> bytes:
    """A piece of work. function: one that its module names, a coroutine or not. seconds: that it may take."""
    return _framed((function, arguments, seconds))


def answer(value: object = None, error: BaseException | None = None, over: str = "") -> bytes:
    """The end of a piece of work: its value, what it raised, or the limit that it ran into."""
    if error is not None:
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301 - made in this line
        except Exception:  # noqa: BLE001 - an exception of any class may be one that cannot be pickled
            error = RuntimeError(f"{type(error).__name__} in a worker")
    return _framed((value, error, over))


def load(payload: bytes) -> Any:
    """The content of a frame."""
    return pickle.loads(payload)  # noqa: S301 - see above


def _framed(value: object) -> bytes:
    payload = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(payload)) + payload
