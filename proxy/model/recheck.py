"""When a difference between ArangoDB and PostgreSQL is proved, and when to look again (I8). Pure.

A difference may be lag: ArangoDB has what the mirror has not applied yet. It is proved by consecutive looks that show
the same, if between two of them every mirror had applied all that ArangoDB took before the first. What keeps changing,
or what a mirror does not reach in time, stays unsettled: it is neither equal nor a mismatch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

Seen = TypeVar("Seen")

LOOKS: Final = 2  # that prove a difference, if nothing can have changed and changed back between them


@dataclass(frozen=True)  # a frozen generic class with slots cannot be made by a subscripted name
class Streak(Generic[Seen]):
    """Consecutive looks that showed the same difference. seen: what is remembered of them; looks: how many count."""

    seen: Seen
    looks: int = 1

    def then(self, seen: Seen, *, repeated: bool, caught_up: bool) -> Streak[Seen]:
        """Return the streak after another look.

        repeated: it showed the same. caught_up: since the look before, every mirror had applied all that ArangoDB took
        before that; a look that came too early for it counts for nothing.
        """
        if not repeated:
            return Streak(seen)
        return Streak(seen, self.looks + 1) if caught_up else self

    def proves(self, needed: int = LOOKS) -> bool:
        """Return True if so many looks are enough."""
        return self.looks >= needed


class Schedule:
    """The pauses between looks: doubled each time up to the longest, until the time is over. Monotonic seconds."""

    def __init__(self, first: float, longest: float, *, until: float) -> None:
        self._pause = first
        self._longest = longest
        self.until = until

    def left(self, now: float) -> float:
        """Return the seconds that are left."""
        return max(0.0, self.until - now)

    def next(self) -> float:
        """Return the next pause."""
        pause, self._pause = self._pause, min(2 * self._pause, self._longest)
        return pause
