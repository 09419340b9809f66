"""Queries that sleep: `SLEEP(seconds)` makes its own client wait, and no other.

A query is evaluated in one go, so that nothing can wait within it. When its pauses that have not passed add up to as
long as it has slept already, at the latest at its end, it ends with `PausedError` and has written nothing; the store
waits, and evaluates it again from the start, where the pauses that have passed take no time. So a query of many short
pauses is evaluated a few times, and not once for each. While it waits it is in `Server.running`, where it can be seen
and killed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from proxy.base.errors import ArangoError, PausedError

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class RunningQuery:
    """One query.

    began: seconds since the epoch; passed: how many of its pauses are over; met: how many of them the present
    evaluation has met; slept: seconds of those that are over; owed: of those that it has met since. most: seconds that
    it may take, 0 for any number. killed: it ends with 1500. interrupt: ends what a store does for it meanwhile.
    """

    id: str
    database: str
    query: str
    bind_vars: dict[str, Any]
    began: float
    most: float = 0.0
    passed: int = 0
    met: int = 0
    slept: float = 0.0
    owed: float = 0.0
    killed: bool = False
    user: str = ""
    modifies: bool = False
    interrupt: Callable[[], None] | None = None
    since: float = field(default_factory=time.monotonic)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self) -> None:
        """Begin an evaluation, which meets all pauses again."""
        self.met, self.owed = 0, 0.0

    def pause(self, seconds: float) -> None:
        """Meet a SLEEP. Raise PausedError if it has to be slept now, ArangoError 1500."""
        if self.killed:
            raise ArangoError(1500, "query killed")
        if self.most and time.monotonic() - self.since > self.most:
            raise ArangoError(1500, "AQL: query killed because it exceeded its maxRuntime (while executing)")
        self.met += 1
        if self.met > self.passed:
            self.owed += seconds
            if self.owed and self.owed >= self.slept:
                raise SleepingError(self)

    def finish(self) -> None:
        """End the evaluation. Raise PausedError if pauses that it has met are to be slept first."""
        if self.owed:
            raise SleepingError(self)

    def kill(self) -> None:
        """End the query now, asleep or not."""
        if self.interrupt is not None and not self.killed:
            self.interrupt()
        self.killed = True
        self._woken.set()

    async def sleep(self) -> None:
        """Sleep the pauses that the evaluation has met: less if the query is killed or its time is up."""
        seconds = self.owed
        if self.most:
            seconds = min(seconds, max(0.0, self.most - (time.monotonic() - self.since)) + 0.001)
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass
        self.passed, self.slept = self.met, self.slept + self.owed


class SleepingError(PausedError):
    """The evaluation of a query has met pauses that are to be slept."""

    def __init__(self, running: RunningQuery) -> None:
        super().__init__()
        self.running = running


async def with_pauses(running: dict[str, RunningQuery], attempt: Callable[[RunningQuery | None], Awaitable[T]]) -> T:
    """Return the result of the attempt that meets no further pause. attempt: evaluates a query, again after a pause.

    running: lists the query while it sleeps.
    """
    query: RunningQuery | None = None
    try:
        while True:
            try:
                return await attempt(query)
            except SleepingError as paused:
                query = paused.running
                running[query.id] = query
                await query.sleep()
    finally:
        if query is not None:
            del running[query.id]
