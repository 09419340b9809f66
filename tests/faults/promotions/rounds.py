"""One scenario: rounds of a promotion and a demotion beside clients and a fault; after each, the judgement."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from tests.faults.oracle import Crowd, Failed, Key
from tests.faults.promotions import control, faults, judgement
from tests.faults.promotions.scenarios import SCENARIOS, Cost, Fault, Moment, Scenario
from tests.faults.promotions.stack import ACCOUNT, BOOKS, Done, Stack, all_live, flip
from tests.faults.revisions import Revisions
from tests.faults.violations import Violation
from tests.harness import eventually

CLIENTS: Final = 8
_STAGES: Final = {"promote": "promoted", "demote": "flipped"}
_ATTEMPTS: Final = 6  # of a command, after a fault
_QUIET: Final = (0.0, 0.4)  # seconds between two steps of a round
_INTO: Final = (0.0, 0.15)  # seconds of a command before a fault begins
_LOOKS: Final = 0.01  # seconds between two looks at the state
_OPTIONS: Final = {"promote": ("--force", "--reason", "test"), "demote": ("--reason", "test")}


@dataclass
class Result:
    """The result of one scenario. refused: commands that changed nothing. rolled_back: flips
    that proxies rolled back, which had lost their leases. illegal: states; wrong: whatever else."""

    scenario: str
    rounds: int = 0
    refused: int = 0
    rolled_back: int = 0
    reached: Counter[str] = field(default_factory=Counter)
    writes: int = 0
    reads: int = 0
    from_target: int = 0
    write_wait: float = 0.0
    read_wait: float = 0.0
    compared: int = 0  # documents
    seconds: float = 0.0
    violations: list[Violation] = field(default_factory=list)
    illegal: list[str] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)  # by the fault
    wrong: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        reached = sum(self.reached.values()) > 0 or not SCENARIOS[self.scenario].points
        served = self.writes > 0 and self.reads > 0 and self.from_target > 0
        return reached and served and not (self.violations or self.illegal or self.wrong)


@dataclass
class Known:
    """What all clients of a stack know: the keys of each scenario, and the revisions of the collection."""

    keys: list[list[Key]] = field(default_factory=list)
    revisions: Revisions = field(default_factory=Revisions)


class Rounds:
    """The rounds of one scenario on a stack; the collection is flipped before and after each."""

    def __init__(
        self, stack: Stack, scenario: str, seed: int, known: Known, clients: int = CLIENTS, pace: float = 0.01
    ) -> None:
        self._stack = stack
        self._known = known
        self._scenario: Scenario = SCENARIOS[scenario]
        self._random = random.Random(f"{seed} {scenario}")
        name = f"{scenario}-{int(time.monotonic() * 1000)}".replace(" ", "-").replace(",", "")
        self._crowd = Crowd(name, stack.ports, clients, seed, stack.was_frozen, pace, revisions=known.revisions)
        known.keys.append(self._crowd.everything)
        self.result = Result(scenario)

    async def run(self, rounds: int, until: float = float("inf")) -> Result:
        """Run rounds, and begin none after `until` (time.monotonic). Raise AssertionError if something hangs."""
        started = time.monotonic()
        while self.result.rounds < rounds and time.monotonic() < until:
            await self._round(self.result.rounds)
            self.result.rounds += 1
        tally, result = self._crowd.tally, self.result
        result.writes, result.reads, result.from_target = tally.writes, tally.reads, tally.from_target
        result.write_wait, result.read_wait = tally.write_wait, tally.read_wait
        result.violations += tally.violations
        self._sort(tally.failed)
        result.wrong += [line for proxy in self._stack.proxies for line in proxy.tracebacks()]
        result.seconds = time.monotonic() - started
        return result

    async def _round(self, turn: int) -> None:
        scenario, rng = self._scenario, self._random
        moment = scenario.moments[turn % len(scenario.moments)] if scenario.moments else None
        point = scenario.points[turn % len(scenario.points)] if scenario.points else ""
        async with self._watched():
            if scenario.fault is Fault.KILL_COMMAND:
                await self._commands(kill_at=point)
            elif point:
                async with faults.PointFault(self._stack, scenario.fault, point, rng)() as fault:
                    await self._commands(excused=True)
                self.result.reached[point] += fault.reached
            else:
                await self._commands(moment)
        await self._judge()

    async def _commands(self, moment: Moment | None = None, *, kill_at: str = "", excused: bool = False) -> None:
        """Promote and demote, each beside the fault if this is its moment."""
        rng = self._random
        for command in _STAGES:
            before, during = (
                (Moment.FLIPPED, Moment.PROMOTE) if command == "promote" else (Moment.PROMOTED, Moment.DEMOTE)
            )
            async with self._crowd:
                await asyncio.sleep(rng.uniform(*_QUIET))
                if kill_at:
                    killed = await self._stack.crossfade(command, BOOKS, *_OPTIONS[command], fault=kill_at)
                    self.result.reached[kill_at] += killed.code == -9
                    self._check(command, killed, excused=killed.code == -9)
                elif moment is before:
                    await faults.begin(self._stack, self._scenario.fault, rng)
                    await asyncio.sleep(rng.uniform(*_QUIET))
                    if self._scenario.beside and (command == "promote" or rng.random() < 0.5):
                        await self._beside(command)
                    else:
                        await asyncio.sleep(faults.duration(rng))
                elif moment is during:
                    await self._beside(command, begins=rng.uniform(*_INTO))
                if moment in (before, during):
                    await self._stack.mended()
                await self._reach(command, excused=excused or bool(kill_at) or moment in (before, during))
                await asyncio.sleep(rng.uniform(*_QUIET))
            if command == "promote" and rng.random() < 0.25:
                await self._judge()

    async def _beside(self, command: str, begins: float | None = None) -> None:
        """Run the command beside a fault that has begun, or begins after so many seconds."""
        task = asyncio.create_task(self._stack.crossfade(command, BOOKS, *_OPTIONS[command]))
        try:
            if begins is not None:
                await asyncio.sleep(begins)
                await faults.begin(self._stack, self._scenario.fault, self._random)
            await asyncio.wait([task], timeout=faults.duration(self._random))
            await self._stack.mended()
        finally:
            self._check(command, await task, excused=True)

    async def _reach(self, command: str, *, excused: bool) -> None:
        """Bring the collection to the command's stage, whatever the fault left. excused: it may take several."""
        for _ in range(_ATTEMPTS):
            await self._flip_again()
            if (await self._state()).stage == _STAGES[command]:
                return
            await self._wait_until_live(carried=False)
            self._check(command, await self._stack.crossfade(command, BOOKS, *_OPTIONS[command]), excused=excused)
        self.result.wrong.append(f"{command} does not come about: {await self._state()}")

    async def _flip_again(self) -> None:
        """Flip the collection if proxies have rolled that back, as they must when they have lost their leases."""
        if (await self._state()).stage == "shadow":
            self.result.rolled_back += 1
            await self._wait_until_live(carried=False)
            await flip(self._stack)

    def _check(self, command: str, done: Done, *, excused: bool) -> None:
        """Note a command that was refused, or that ended otherwise than it says."""
        if done.code:
            self.result.refused += 1
        if (done.code and not excused) or "Traceback" in done.text:
            self.result.wrong.append(f"{command} ended with {done.code}: {done.text[-3000:]}")

    # ---- states

    async def _state(self) -> control.ControlState:
        connection = await asyncpg.connect(self._stack.env.dsn)
        try:
            return await control.read(connection, BOOKS)
        finally:
            await connection.close()

    @contextlib.asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        """Look at the state all the time."""
        connection = await asyncpg.connect(self._stack.env.dsn)

        async def look() -> None:
            while True:
                state = await control.read(connection, BOOKS)
                new = [text for text in control.illegal(state) if text not in self.result.illegal]
                self.result.illegal += new
                await asyncio.sleep(_LOOKS)

        task = asyncio.create_task(look())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await connection.close()

    async def _wait_until_live(self, *, carried: bool = True) -> None:
        await self._stack.mended()
        await all_live(self._stack.env.dsn, carried=carried)

    async def _judge(self) -> None:
        """Compare both databases, with each other and with what clients know, when nothing is under way."""
        await self._wait_until_live()
        found: list[str] = []

        async def at_rest() -> bool:
            found[:] = control.unsettled(await self._state(), await self._stack.levels())
            return not found

        try:
            await eventually(at_rest, "the state is at rest", 0.05)
        except AssertionError:
            self.result.illegal += found
        env = self._stack.env
        stored = await judgement.read(env.origin.url, ACCOUNT, env.dsn, BOOKS)
        keys = [key for crowd in self._known.keys for key in crowd]
        self.result.violations += judgement.judge(keys, self._known.revisions, stored)
        self.result.compared += len(stored.target)

    # ---- what clients did not get

    def _sort(self, failed: list[Failed]) -> None:
        """Separate the failures that the fault may cost from others."""
        costs = self._scenario.costs
        for one in failed:
            allowed = Cost.BROKEN in costs if not one.status else Cost.UNAVAILABLE in costs and one.status == 503
            if allowed:
                self.result.failed.append(one)
            else:
                self.result.wrong.append(f"failed: {one.text}")
