"""The versions applied most recently, with the times of capture and of apply: bounded, for `crossfade trace`."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

KEPT: Final = 4096  # about 1.5 MB
_LENGTH: Final = 55  # of a traceparent of version 00
_SAMPLED: Final = 1


class Applied(NamedTuple):
    """One version, or one repair of a key. taken, applied: wall time. rev: 0 if the key was read again.

    how: `captured` from an answer, or `read again`. PostgreSQL has had this version, or a newer one, since then.
    trace: the request's `traceparent` if it was sampled, else empty.
    """

    collection: str
    key: str
    rev: int
    removed: bool
    taken: float
    applied: float
    how: str
    trace: str


class RecentApplies:
    """The newest few thousand, of all collections."""

    def __init__(self, kept: int = KEPT) -> None:
        self._ring: deque[Applied] = deque(maxlen=kept)
        self.add = self._ring.append

    def of(self, collection: str, key: str) -> list[Applied]:
        """Return those of one document, the oldest first."""
        return [item for item in self._ring if item.key == key and item.collection == collection]


def sampled(header: bytes | None) -> str:
    """Return a `traceparent` if its flag says that it is sampled, else an empty text."""
    if header is None or len(header) != _LENGTH:
        return ""
    try:
        return header.decode("ascii") if int(header[-2:], 16) & _SAMPLED else ""
    except ValueError:
        return ""
