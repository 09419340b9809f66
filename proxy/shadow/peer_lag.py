"""Have the other proxies applied what they took? A write that came through one may be read through another.

A difference counts only after the mirror has caught up (I8), and that is the mirror of every registered instance. Each
writes a heartbeat with the age of its oldest open intent. Of two heartbeats h1 < h2 the second was measured after the
first was written; so if `h1 - age(h2)` is later than a moment, on PostgreSQL's clock, nothing that the instance took
before that moment is open. A silent instance has not caught up.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import sql
from proxy.base.database import Database
from proxy.base.errors import DatabaseError
from proxy.base.supervise import cancelled

_EVERY: Final = 0.05  # seconds, while a recheck waits


@dataclass(frozen=True, slots=True)
class PeerHeartbeat:
    """An instance's heartbeat, in seconds of PostgreSQL's clock. lag: age of the oldest open intent."""

    at: float
    lag: float


@dataclass(slots=True)
class _Waiter:
    """since: the moment, once it has been read; first: the first heartbeat of each instance after it."""

    done: asyncio.Future[None]
    since: float | None = None
    first: dict[str, float] = field(default_factory=dict)


def caught_up(waiter_since: float, first: dict[str, float], beats: Mapping[str, PeerHeartbeat]) -> bool:
    """Return True if no instance has an open intent from before the moment.

    first: the earliest heartbeat of each instance after the moment; updated.
    """
    behind = False
    for name, beat in beats.items():
        if beat.at <= waiter_since:
            behind = True
            continue
        known = first.setdefault(name, beat.at)
        # a later heartbeat was measured after `known`, which moves up as long as there is an older intent
        if beat.at <= known or known - beat.lag <= waiter_since:
            behind = True
            if beat.at > known:
                first[name] = beat.at
    return not behind


class PeerLag:
    """The other instances, as one proxy sees them. Close it with its owner."""

    def __init__(self, database: Database | None = None, instance: str = "") -> None:
        """database: None for a proxy that is the only one."""
        self._database = database
        self._instance = instance
        self._waiting: list[_Waiter] = []
        self._task: asyncio.Task[None] | None = None

    async def caught_up(self, timeout: float) -> bool:
        """Return True once every other instance has applied all that it took before this call; False after `timeout`
        seconds.
        """
        if self._database is None:
            return True
        waiter = _Waiter(asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look_while_waited(), name="shadow fleet")
        try:
            async with asyncio.timeout(timeout):
                await waiter.done
        except TimeoutError:
            return False
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
        return True

    async def close(self) -> None:
        if self._task is not None:
            await cancelled(self._task)
            self._task = None

    async def _look_while_waited(self) -> None:
        while self._waiting:
            began = time.monotonic()
            asking = tuple(self._waiting)
            with contextlib.suppress(DatabaseError):
                now, beats = await self._read()
                self._tell(asking, now, beats)
            await asyncio.sleep(max(0.0, began + _EVERY - time.monotonic()))

    async def _read(self) -> tuple[float, dict[str, PeerHeartbeat]]:
        assert self._database is not None
        rows = await self._database.fetch(sql.shadow.BEATS, self._instance)
        beats = {
            row.instance: PeerHeartbeat(row.at, row.lag)
            for row in rows
            if row.instance is not None and row.at is not None and row.lag is not None
        }
        return rows[0].now, beats

    def _tell(self, asking: Sequence[_Waiter], now: float, beats: Mapping[str, PeerHeartbeat]) -> None:
        """Answer those that waited before the read began, so that its moment is after their call."""
        for waiter in asking:
            if waiter.done.done():
                continue
            if waiter.since is None:
                waiter.since = now
            if caught_up(waiter.since, waiter.first, beats):
                waiter.done.set_result(None)
                self._waiting.remove(waiter)
