"""A key generator that makes numbers of a range which PostgreSQL has given to this request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from proxy.semantics.key_generator import KeyGenerator


@dataclass(frozen=True, slots=True)
class NumberRange:
    """The numbers after `start` up to `end` are the request's. seen: the generator's state is at least that number.

    number: of the collection whose generator it is.
    """

    start: int = 0
    end: int = 0
    seen: int = 0
    number: int = 0


@dataclass(frozen=True, slots=True)
class NumbersNeeded:
    """count: how many numbers a run made. largest: the largest one that it saw in a client's key."""

    count: int = 0
    largest: int = 0


class ReservedNumbers(KeyGenerator):
    """Makes keys of a range of numbers, and notes if they are too few, or if a client's key is above all known ones.

    random_keys: those that earlier runs have made, for a collection whose keys are no numbers: made once, used again.
    """

    def __init__(self, options: dict[str, Any], numbers: NumberRange, random_keys: list[str]) -> None:
        super().__init__(options, _no_tick)
        self.last = self.first = numbers.start
        self.made = 0
        self._numbers = numbers
        self._random_keys = random_keys
        self._random_made = 0
        self._largest = 0
        self._short = False

    def make(self) -> str:
        if self.kind == "uuid":
            return self._random_key()
        key = super().make()
        self.made += 1
        self._short = self._short or self.last > self._numbers.end
        return key

    def _random_key(self) -> str:
        if self._random_made == len(self._random_keys):
            self._random_keys.append(super().make())
        self._random_made += 1
        return self._random_keys[self._random_made - 1]

    def check(self, key: object, *, restore: bool = False) -> str:
        before = self.last
        checked = super().check(key, restore=restore)
        if self.last != before:
            self._largest = self.last
        return checked

    def mark(self) -> tuple[int, int, int, int, bool]:
        """Return the state, for `rewind`."""
        return self.last, self.made, self._random_made, self._largest, self._short

    def rewind(self, mark: tuple[int, int, int, int, bool]) -> None:
        """Forget what was made and seen since: a write that is decided again makes the same keys."""
        self.last, self.made, self._random_made, self._largest, self._short = mark

    @property
    def needed(self) -> NumbersNeeded | None:
        """What must be taken before the run can be repeated; None if the range was sufficient."""
        if self._short:
            return NumbersNeeded(self.made, self._largest)
        if self._largest > max(self._numbers.end, self._numbers.seen):
            return NumbersNeeded(self.made, self._largest)
        return None


def _no_tick() -> int:
    """Return 0: numbers come after the last one only, since several proxies make them."""
    return 0
