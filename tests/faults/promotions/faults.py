"""Brings a fault about while commands run, and ends it. Each fault leaves everything running again."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator
from typing import Final

from tests.faults.chaos import LATE
from tests.faults.promotions.scenarios import WRITES, Fault
from tests.faults.promotions.stack import LEASE, Stack

_CONNECTION_FAULTS: Final = ("cut", "black-hole")
_LASTS: Final = (0.2, 2.5 * LEASE)  # seconds
_FROZEN: Final = (0.2, 5.0)  # seconds; longer than the lease of an applier at times
_IN_FLIGHT: Final = 0.1  # seconds for a request to leave its proxy
_MOST: Final = 12  # times that a point is passed before the fault, at most


async def begin(stack: Stack, fault: Fault, rng: random.Random) -> None:
    """Begin a fault without a point. `Stack.mended` ends it."""
    number = rng.randrange(len(stack.proxies))
    if fault is Fault.FREEZE:
        stack.stop(number)
    elif fault is Fault.CUT_TARGET:
        stack.lines[number].to_target.misbehave(rng.choice(_CONNECTION_FAULTS))
    elif fault is Fault.CUT_ORIGIN:
        cut = [*stack.lines, stack.command_line]
        for line in cut if rng.random() < 0.5 else [rng.choice(cut)]:
            line.to_origin.misbehave(rng.choice(_CONNECTION_FAULTS))


def duration(rng: random.Random) -> float:
    """Return for how many seconds a fault without a point lasts."""
    return rng.uniform(*_LASTS)


class PointFault:
    """A fault of whichever proxy reaches the point first, while `async with` lasts. reached: whether one did."""

    def __init__(self, stack: Stack, fault: Fault, point: str, rng: random.Random) -> None:
        self._stack = stack
        self._fault = fault
        self._plan = f"{point}:{rng.randrange(1, _MOST)}" if point in WRITES else point
        self._rng = rng
        self._first = asyncio.Lock()
        self.reached = False

    @contextlib.asynccontextmanager
    async def __call__(self) -> AsyncIterator[PointFault]:
        numbers = range(len(self._stack.proxies))
        for number in numbers:
            await self._stack.arm(number, self._plan)
        tasks = [asyncio.create_task(self._wait(number)) for number in numbers]
        try:
            yield self
        finally:
            for number in numbers:  # first, since a proxy that still waits for an answer would wait for ever
                if self._stack.proxies[number].running and number not in self._stack.asleep:
                    with contextlib.suppress(TimeoutError):
                        await self._stack.arm(number, "")
            if self.reached:
                await tasks[self._hit]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait(self, number: int) -> None:
        """Wait for the proxy to reach the point; what comes second continues."""
        points = self._stack.points[number]
        while True:
            waiting = await points.wait_until_reached(3600)
            if self.reached:
                await points.release(waiting)
                continue
            self.reached, self._hit = True, number
            await self._bring_about(number, waiting)
            return

    async def _bring_about(self, number: int, waiting: asyncio.StreamWriter) -> None:
        stack, points = self._stack, self._stack.points[number]
        stack.asleep.add(number)  # also one that is killed: its requests wait or break
        line = stack.lines[number].to_origin
        if self._fault in (Fault.KILL_LATE, Fault.FREEZE_LATE):
            line.misbehave(LATE)
            await points.release(waiting)
            await asyncio.sleep(_IN_FLIGHT)
        if self._fault in (Fault.KILL_PROXY, Fault.KILL_LATE):
            await asyncio.to_thread(stack.proxies[number].kill)
            waiting.close()
            await asyncio.sleep(self._rng.uniform(*_LASTS))
            line.heal()
            await stack.supervised()
        elif self._fault is Fault.FREEZE_LATE:
            stack.signal(number, signal.SIGSTOP)
            await asyncio.sleep(self._rng.uniform(*_FROZEN))
            line.heal()
            await asyncio.sleep(self._rng.uniform(0.0, _IN_FLIGHT))
            stack.signal(number, signal.SIGCONT)
        else:
            await asyncio.sleep(self._rng.uniform(*_FROZEN))
            await points.release(waiting)
        stack.woke(number)
