"""ArangoDB's `_rev`: text <-> 64-bit integer, and the hybrid logical clock that makes them. Layer 0: pure.

A revision is milliseconds since the epoch << 20 | a counter, written to the base 64 without padding and without leading
zero digits (protocol page, section 1). Its text does not sort by time: the digits come last in the alphabet.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

ALPHABET: Final = "-_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
INVALID: Final = (1 << 64) - 1  # what ArangoDB takes for text that is no revision
_DIGITS: Final = {char: value for value, char in enumerate(ALPHABET)}
_DECIMAL_UP_TO: Final = 1450656000000  # revisions of servers before 3.1 were ticks, written in decimal
_COUNTER_BITS: Final = 20
_PAIRS: Final = [high + low for high in ALPHABET for low in ALPHABET]


def decode_rev(text: str) -> int:
    """The integer that a `_rev` stands for. Text that begins with 1 to 9 is decimal (data from before 3.1).

    Text that is no revision gives INVALID, as in ArangoDB: it equals no revision, so that it matches nothing.
    """
    if text[:1] in "123456789" and text:
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else INVALID
    value = 0
    try:
        for char in text:
            value = value << 6 | _DIGITS[char]
    except KeyError:
        return INVALID
    return value if text and value <= INVALID else INVALID


def encode_rev(value: int) -> str:
    """The text of a revision; decimal for those that old servers made."""
    if value <= _DECIMAL_UP_TO:
        return str(value)
    text = ""
    pairs = _PAIRS
    while value:
        text = pairs[value & 0xFFF] + text
        value >>= 12
    return text.lstrip("-")


class Clock:
    """A hybrid logical clock: `tick()` never repeats and never goes back, whatever the wall clock does.

    now: milliseconds since the epoch. One clock a server: its revisions are unique across all collections.
    """

    def __init__(self, now: Callable[[], int] | None = None, last: int = 0) -> None:
        self._now = now if now is not None else _milliseconds
        self._last = last

    @property
    def last(self) -> int:
        """The newest revision given; 0 before the first."""
        return self._last

    def tick(self) -> int:
        """A new revision, greater than every one before."""
        value = self._now() << _COUNTER_BITS
        if value <= self._last:
            value = self._last + 1
        self._last = value
        return value

    def observe(self, revision: int) -> None:
        """From now on only revisions above that one (after loading what an earlier process wrote)."""
        self._last = max(self._last, revision)


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000
