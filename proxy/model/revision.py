"""ArangoDB's `_rev`: text <-> 64-bit integer, and the hybrid logical clock that assigns them. Pure.

A revision is milliseconds since the epoch << 20 | a counter, written in base 64 without padding and without leading
zero digits (protocol page, section 1). Its text does not sort by time: the digits come last in the alphabet.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Final

ALPHABET: Final = "-_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
INVALID: Final = (1 << 64) - 1  # ArangoDB's value for text that is not a revision
_DIGITS: Final = {char: value for value, char in enumerate(ALPHABET)}
_DECIMAL_UP_TO: Final = 1450656000000  # revisions of servers before 3.1 were ticks, written in decimal
_COUNTER_BITS: Final = 20
_LENGTH: Final = 11  # the most digits of a revision
_PAIRS: Final = [high + low for high in ALPHABET for low in ALPHABET]
_PAIR_VALUES: Final = {pair: value for value, pair in enumerate(_PAIRS)}


def decode_rev(text: str) -> int:
    """Return the integer of a `_rev`. Text that begins with 1 to 9 is decimal (data from before 3.1).

    Text that is not a revision gives INVALID, as in ArangoDB, which equals no revision.
    """
    if text[:1] in "123456789" and text:
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else INVALID
    low = _PAIR_VALUES.get(text[-2:]) if len(text) <= _LENGTH else None
    value = _value_of(text) if low is None else _value_of_first(text[:-2]) << 12 | low
    return value if text and value <= INVALID else INVALID


def encode_rev(value: int) -> str:
    """Return the text of a revision; decimal for those of old servers."""
    if value <= _DECIMAL_UP_TO:
        return str(value)
    return _text_of(value >> 12) + _PAIRS[value & 0xFFF]


def _value_of(digits: str) -> int:
    """Return the integer of digits; INVALID for other text."""
    value = 0
    try:
        for char in digits:
            value = value << 6 | _DIGITS[char]
    except KeyError:
        return INVALID
    return value


# revisions that are drawn together have the same first digits
_value_of_first: Final = functools.lru_cache(64)(_value_of)


@functools.lru_cache(64)
def _text_of(value: int) -> str:
    """Return the digits of an integer, without leading zeros."""
    text = ""
    while value:
        text = _PAIRS[value & 0xFFF] + text
        value >>= 12
    return text.lstrip("-")


class Clock:
    """A hybrid logical clock: `tick()` never repeats and never goes back, even if the wall clock does.

    now: milliseconds since the epoch. A server has one clock: its revisions are unique across all collections.
    """

    def __init__(self, now: Callable[[], int] | None = None, last: int = 0) -> None:
        self._now = now if now is not None else _milliseconds
        self._last = last

    @property
    def last(self) -> int:
        """The newest revision assigned; 0 before the first."""
        return self._last

    def tick(self) -> int:
        """Return a new revision, greater than every earlier one."""
        value = self._now() << _COUNTER_BITS
        if value <= self._last:
            value = self._last + 1
        self._last = value
        return value

    def observe(self, revision: int) -> None:
        """Assign only greater revisions from now on (after loading what an earlier process wrote)."""
        self._last = max(self._last, revision)


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000
