"""Epochs that are open for too long: aborted by the first instance that sees it.

While an epoch is open, queries of its collections wait (`hold`), and answers wait for both databases (`begin` of a
flip). Two bounds keep that short:
- queries never wait longer than `flip_hold_timeout`;
- an epoch whose controller is gone is closed as soon as an instance sees it. A controller holds an advisory lock while
  its epoch is open, and loses it with its connection: killed, or cut off. No other process commits what it began. A
  demotion lets writes pause before its epoch is open, which ends in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import sql
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.model.stages import Phase
from proxy.state import control_row

_BEATS: Final = 2  # heartbeats between two checks of its controller: each is a transaction


@dataclass(frozen=True, slots=True)
class Due:
    """The reason to abort an epoch; without_controller: only if no controller drives it."""

    why: str
    without_controller: bool


class Overdue:
    """The open epoch as one instance has seen it, by its own clock."""

    def __init__(self, database: Database, settings: Settings, actor: str, clock: Callable[[], float]) -> None:
        self._database = database
        self._settings = settings
        self._actor = actor
        self._clock = clock
        self._open_since: float | None = None
        self._held_since: float | None = None  # queries wait in it
        self._looked = 0.0
        self._paused = False  # writes pause for a demotion

    def saw_pause(self, *, paused: bool) -> None:
        """Note whether writes pause for a demotion that is about to begin."""
        if paused and not self._paused:
            self._looked = self._clock()
        self._paused = paused

    def adopt(self, phase: Phase) -> None:
        """Take the phase of a new generation."""
        now = self._clock()
        self._open_since = None if phase is Phase.IDLE else (self._open_since or now)
        self._held_since = (self._held_since or now) if phase in (Phase.HOLD, Phase.DRAIN) else None

    def due(self) -> Due | None:
        """Return what to try now; None: nothing."""
        now, limit = self._clock(), self._settings.flip_hold_timeout
        if self._open_since is None and not self._paused:
            return None
        if self._held_since is not None and now - self._held_since >= limit:
            return Due(f"queries have waited for {limit:g} s", without_controller=False)
        if now - max(self._open_since or 0.0, self._looked) < _BEATS * self._settings.heartbeat:
            return None
        self._looked = now
        return Due("its controller went away", without_controller=True)

    async def abort(self, generation: int, due: Due) -> None:
        """Close the epoch if the generation is unchanged. Raise DatabaseError."""
        async with self._database.transaction() as session:
            if not (due.without_controller and await control_row.has_controller(session)):
                await control_row.give_up(session, generation, actor=self._actor, reason=due.why)
                if self._open_since is None:
                    await session.execute(sql.promotion.END_PAUSE)
