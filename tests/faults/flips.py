"""Flips and rollbacks at random moments under clients that check every read: `make flips`. Exit 1 if one is wrong.

Three proxies run as processes; each has its own connection to PostgreSQL, which can be cut. Eight clients read and
write through all three (tests/faults/oracle.py). Each scenario must show: no answer that is older than what its client,
or any other, saw before (I7), and no failed request; at most the one pause that DESIGN section 9 allows.

calm        flips to 100 %, or to a part, and rollbacks
nuisance    additional clients whose requests must not cause a rollback (tests/faults/nuisance_clients.py)
cut one     the connection of one proxy fails while reads are flipped: reset, or silently dropped
cut all     the connections of all three fail; the operator's own remains
frozen      one proxy is stopped (SIGSTOP) before, during or after a flip, and continued later
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from deploy.demo.postgres import EmbeddedPostgres
from proxy.base.config import Settings, load
from proxy.base.errors import PreconditionFailed
from proxy.control import controller
from proxy.control.epoch import TimedOut
from proxy.control.transitions_plan import DesiredState
from proxy.model.stages import Stage
from proxy.operator import status
from tests.ad_hoc import Database
from tests.conftest import _create, migrated_template
from tests.faults.chaos import Chaos
from tests.faults.environment import Environment, Proxy, fault_environment
from tests.faults.nuisance_clients import NuisanceClients, without_rights
from tests.faults.oracle import COLLECTION, Crowd, Failed
from tests.faults.violations import Violation
from tests.harness import eventually

PROXIES, CLIENTS = 3, 8
BOOKS = f"_system/{COLLECTION}"
SCENARIOS = ("calm", "nuisance", "cut one", "cut all", "frozen")
_LEASE = 1.0  # seconds; what is delivered
_CONNECTION_FAULTS = ("cut", "black-hole")
_LAST_REASON = "SELECT reason FROM _crossfade.audit WHERE action = 'rollback' ORDER BY id DESC LIMIT 1"
_REJOINED = "it came back"
_MOMENTS = ("before", "during", "after")  # of a flip: when a proxy is frozen


@dataclass
class Result:
    """The result of one scenario. refused: flips that were aborted cleanly; wrong: problems on the operator's side."""

    scenario: str
    flips: int = 0
    rollbacks: int = 0
    refused: int = 0
    writes: int = 0
    reads: int = 0
    from_target: int = 0
    pause: float = 0.0
    seconds: float = 0.0
    violations: list[Violation] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        served = self.from_target > 0 or not self.flips
        return served and self.reads > 0 and not (self.violations or self.failed or self.wrong)


class Flips:
    """One environment with three proxies. Each scenario leaves them live and at stage shadow."""

    def __init__(
        self, env: Environment, lines: list[Chaos], proxies: list[Proxy], database: Database, settings: Settings
    ) -> None:
        self._env = env
        self._lines = lines
        self._proxies = proxies
        self._database = database
        self._settings = settings
        self._woke = [0.0] * len(proxies)
        self._asleep: set[int] = set()

    async def run(self, scenario: str, rounds: int, seed: int, clients: int = CLIENTS, pace: float = 0.01) -> Result:
        """Run `rounds` rounds of one scenario. Raise AssertionError if the environment does not recover."""
        rng, result, started = random.Random(seed), Result(scenario), time.monotonic()
        name = scenario.replace(" ", "-") + str(int(started * 1000))
        ports, mixed = [proxy.port for proxy in self._proxies], scenario == "nuisance"
        crowd = Crowd(name, ports, clients, seed, self._was_frozen, pace, mixed=mixed)
        nuisance_clients = NuisanceClients([proxy.port for proxy in self._proxies], seed)
        async with crowd:
            for turn in range(rounds):
                await asyncio.sleep(rng.uniform(0.0, 0.2))
                if scenario == "nuisance":
                    await self._with_nuisance_clients(nuisance_clients, rng, result)
                elif scenario == "frozen":
                    await self._freeze(rng, result, _MOMENTS[turn % len(_MOMENTS)])
                else:
                    await self._once(scenario, rng, result, long=turn % 5 == 4)
                await self._recover(result)
        tally = crowd.tally
        result.writes, result.reads, result.from_target = tally.writes, tally.reads, tally.from_target
        result.pause, result.seconds = tally.pause, time.monotonic() - started
        result.violations, result.failed = tally.violations, tally.failed
        return result

    # ---- rounds

    async def _once(self, scenario: str, rng: random.Random, result: Result, *, long: bool) -> None:
        if not await self._flip(result, rng.choice((100, 100, 100, 50, 10))):
            return
        await asyncio.sleep(rng.uniform(0.0, 0.4))
        if scenario == "calm":
            return
        lines = self._lines if scenario == "cut all" else [rng.choice(self._lines)]
        mode = rng.choice(_CONNECTION_FAULTS)
        for line in lines:
            line.misbehave(mode)
        # a long one ends only after every proxy acknowledged alone
        await asyncio.sleep(6 * _LEASE if long else rng.uniform(0.2, 2.5 * _LEASE))
        for line in lines:
            line.heal()

    async def _with_nuisance_clients(
        self, nuisance_clients: NuisanceClients, rng: random.Random, result: Result
    ) -> None:
        """Run the nuisance clients while reads are flipped. They check what they read back themselves."""
        if not await self._flip(result, 100):
            return
        async with nuisance_clients.running():
            await asyncio.sleep(rng.uniform(2.0, 3.0))
        if await self._stage() is not Stage.FLIPPED:
            reason = await self._database.fetchval(_LAST_REASON)
            # on a busy machine a lease can expire, and the rejoining proxy rolls the flip back: no request caused that
            if not reason.startswith(_REJOINED):
                result.wrong.append(f"a request that wrote nothing, or was captured, caused a rollback: {reason}")
        marks = await self._env.marks()
        result.wrong += [f"marked: {mark}" for mark in marks] + nuisance_clients.wrong
        nuisance_clients.wrong.clear()

    async def _freeze(self, rng: random.Random, result: Result, when: str) -> None:
        number = rng.randrange(PROXIES)
        if when == "before":
            self._stop(number)
            try:
                if await self._flip(result, 100, timeout=1.5 * _LEASE, straggler=self._name(number)):
                    result.wrong.append("a flip was committed while a proxy was stopped")
                if await self._stage() is not Stage.SHADOW:
                    result.wrong.append("the aborted flip left another stage")
            finally:
                await asyncio.sleep(rng.uniform(0.0, _LEASE))
                self._resume(number)
            return
        if when == "during":
            flip = asyncio.create_task(self._flip(result, 100, timeout=1.5 * _LEASE))
            await asyncio.sleep(rng.uniform(0.0, 0.1))
            self._stop(number)
            await flip
        elif await self._flip(result, 100):
            await asyncio.sleep(rng.uniform(0.0, 0.3))
            self._stop(number)
        await asyncio.sleep(rng.uniform(0.2, 2.5 * _LEASE))
        self._resume(number)

    # ---- the operator

    async def _flip(self, result: Result, weight: int, *, timeout: float = 15.0, straggler: str = "") -> bool:
        """Return True if the flip was committed. straggler: the instance that must be named if it was not."""
        try:
            await controller.change(
                self._database,
                [DesiredState(BOOKS, Stage.FLIPPED, weight)],
                settings=self._settings,
                actor="flips",
                reason="test",
                force=True,
                timeout=timeout,
            )
        except PreconditionFailed as error:
            result.refused += 1
            if straggler and straggler not in str(error):
                result.wrong.append(f"the straggler {straggler} is not named: {error}")
            # on a busy machine heartbeats are late and gates refuse; a clean refusal is all that is required
            if not isinstance(error, TimedOut) and not straggler and not self._asleep and "gates" not in str(error):
                result.wrong.append(f"a flip was refused: {error}")
            return False
        result.flips += 1
        return True

    async def _recover(self, result: Result) -> None:
        """Return to stage shadow with every proxy live, at the same generation and caught up."""
        if await controller.rollback(self._database, [BOOKS], actor="flips", reason="test") is not None:
            result.rollbacks += 1

        async def all_live() -> bool:
            found = await status.read(self._database)
            live = [one for one in found.instances if one.stopped_at is None]
            return len(live) == PROXIES and all(
                one.state == "live" and one.generation == found.generation and one.lag_seconds < 1 for one in live
            )

        await eventually(all_live, "all three are live again")
        if await self._stage() is not Stage.SHADOW:
            result.wrong.append("not back at shadow")

    async def _stage(self) -> Stage:
        return (await status.collection_states(self._database))[BOOKS].stage

    # ---- stopped proxies

    def _name(self, number: int) -> str:
        return (self._proxies[number].state / "instance").read_text("utf-8").strip()

    def _stop(self, number: int) -> None:
        process = self._proxies[number].process
        assert process is not None
        self._asleep.add(number)
        process.send_signal(signal.SIGSTOP)

    def _resume(self, number: int) -> None:
        process = self._proxies[number].process
        assert process is not None
        process.send_signal(signal.SIGCONT)
        self._asleep.discard(number)
        self._woke[number] = time.monotonic()

    def _was_frozen(self, number: int, since: float) -> bool:
        return number in self._asleep or self._woke[number] > since

    async def thaw(self) -> None:
        """Continue every stopped proxy, whatever happened."""
        for number in tuple(self._asleep):
            self._resume(number)


@contextlib.asynccontextmanager
async def flips(folder: Path, server: EmbeddedPostgres, dsn: str) -> AsyncIterator[Flips]:
    """Start the origin, the connections and the proxies on that PostgreSQL, with the collection at stage shadow."""
    async with contextlib.AsyncExitStack() as stack:
        env = await stack.enter_async_context(fault_environment(server, dsn, folder))
        lines = [await stack.enter_async_context(Chaos(server.port)) for _ in range(PROXIES)]
        proxies = [
            Proxy(
                env.origin.url,
                dsn.replace(f":{server.port}/", f":{line.port}/"),
                folder,
                f"proxy{number}",
                CROSSFADE_LEASE=str(_LEASE),
                CROSSFADE_HEARTBEAT="0.1",
                CROSSFADE_SAMPLE_PERCENT="10",
            )
            for number, line in enumerate(lines)
        ]
        database = await Database.open(dsn, size=4)
        stack.push_async_callback(database.close)
        try:
            for proxy in proxies:  # one after the other: a machine that is busy takes its time for three
                await proxy.start()
            await env.mirrored()
            await without_rights(env.origin.url)
            env.origin.store.server.accounts.enforce("")
            settings = load(dsn=dsn)
            await controller.change(
                database, [DesiredState(BOOKS, Stage.SHADOW)], settings=settings, actor="flips", timeout=20
            )
            environment = Flips(env, lines, proxies, database, settings)
            try:
                yield environment
            finally:
                await environment.thaw()
        finally:
            for proxy in proxies:
                if proxy.running:
                    await asyncio.to_thread(proxy.kill, signal.SIGTERM)


def table(results: list[Result]) -> str:
    """Format one line per scenario, with its problems."""
    lines = [
        f"{'scenario':10}{'flips':>7}{'back':>6}{'given up':>10}{'writes':>9}{'reads':>9}{'from PostgreSQL':>17}"
        f"{'violations':>12}{'failed':>8}{'longest pause':>15}{'seconds':>9}"
    ]
    for one in results:
        lines.append(
            f"{one.scenario:10}{one.flips:7}{one.rollbacks:6}{one.refused:10}{one.writes:9}{one.reads:9}"
            f"{one.from_target:17}{len(one.violations):12}{len(one.failed):8}{one.pause:13.2f} s{one.seconds:9.0f}"
            f"{'' if one.good else '  WRONG'}"
        )
        lines += [f"    {text}" for text in (*one.violations[:5], *one.failed[:5], *one.wrong[:5])]
    return "\n".join(lines)


async def _main(scenarios: list[str], rounds: int, seed: int) -> list[Result]:
    results = []
    with (
        tempfile.TemporaryDirectory(prefix="crossfade-flips-") as folder,
        EmbeddedPostgres(options={"fsync": "off", "shared_buffers": "64MB"}) as server,
    ):
        await migrated_template(server.dsn)
        dsn = await _create(server, "migrated")
        async with flips(Path(folder), server, dsn) as environment:
            for scenario in scenarios:
                # a fault lasts seconds; a flip and its rollback less than one
                number = rounds if scenario == "calm" else max(1, rounds // 4)
                results.append(await environment.run(scenario, number, seed))
                print(table(results[-1:]) if len(results) == 1 else table(results[-1:]).partition("\n")[2], flush=True)
    return results


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.flips")
    parser.add_argument("--rounds", type=int, default=100, help="of `calm`; a quarter as many of the others")
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="this one (again: these); default: all")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    results = asyncio.run(_main(options.scenario or list(SCENARIOS), options.rounds, options.seed))
    wrong = sum(not one.good for one in results)
    print(
        f"{sum(one.flips for one in results)} flips, {sum(one.reads for one in results)} reads checked, {wrong} wrong"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
