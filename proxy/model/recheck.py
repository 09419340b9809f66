"""Rules for rechecks: when a difference between ArangoDB and PostgreSQL is proved, and when to check again (I8). Pure.

A difference may be lag: a write that the mirror has not applied yet. Consecutive checks with the same result prove it,
if between two of them every mirror has applied all that ArangoDB accepted before the first. What keeps changing, or
what a mirror does not apply in time, stays undecided: it counts neither as equal nor as a mismatch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

Seen = TypeVar("Seen")

CHECKS: Final = 2  # checks that prove a difference, if nothing can have changed and changed back between them


@dataclass(frozen=True)  # a frozen generic class with slots cannot be made by a subscripted name
class Streak(Generic[Seen]):
    """Consecutive checks with the same difference. seen: the state that they found; checks: the number that count."""

    seen: Seen
    checks: int = 1

    def then(self, seen: Seen, *, repeated: bool, caught_up: bool) -> Streak[Seen]:
        """Return the streak after another check.

        repeated: it found the same. caught_up: since the previous check, every mirror has applied all that ArangoDB
        accepted before that one; if not, the check came too early and does not count.
        """
        if not repeated:
            return Streak(seen)
        return Streak(seen, self.checks + 1) if caught_up else self

    def proves(self, needed: int = CHECKS) -> bool:
        """Return True if at least `needed` checks count."""
        return self.checks >= needed


class Schedule:
    """The pauses between checks: doubled each time up to the longest, until a deadline. Monotonic seconds."""

    def __init__(self, first: float, longest: float, *, until: float) -> None:
        self._pause = first
        self._longest = longest
        self.until = until

    def left(self, now: float) -> float:
        """Return the seconds until the deadline."""
        return max(0.0, self.until - now)

    def next(self) -> float:
        """Return the next pause."""
        pause, self._pause = self._pause, min(2 * self._pause, self._longest)
        return pause
