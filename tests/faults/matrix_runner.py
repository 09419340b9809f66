"""Runs the cells of the fault matrix in one environment, one proxy after another, and compares the databases after
each.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from deploy.demo.postgres import EmbeddedPostgres
from proxy.base.config import load
from proxy.base.errors import PreconditionFailed
from proxy.control import controller
from proxy.control.transitions_plan import DesiredState
from proxy.model.stages import Stage
from proxy.operator import status
from tests import harness
from tests.ad_hoc import Database
from tests.conftest import _create, migrated_template
from tests.faults import database_comparison, outages, traffic
from tests.faults.cells import (
    CLOCKS,
    KILLS,
    READ_ONLY,
    REFUSE,
    REFUSED,
    REMOVED,
    Cell,
    Place,
)
from tests.faults.environment import TIMEOUT, Environment, Proxy, fault_environment
from tests.faults.oracle import Crowd
from tests.faults.points import Points
from tests.faults.refusing_database import Refusing
from tests.faults.traffic import Tally
from tests.harness import eventually

_FAULT_SECONDS = 0.4  # seconds
_CLIENTS = 2  # of the point's kind, and as many of documents, and that judge
_PAUSE = 0.01
_PACE = 0.05  # seconds that a client who judges thinks at most
_REACH_TIMEOUT = 60.0  # seconds for a point to be reached: it mostly takes less than one
_TRAFFIC_COLLECTIONS = [f"_system/{name}" for name in traffic.COLLECTIONS]


@dataclass
class _Found:
    reads: int = 0
    lost: int = 0
    ghosts: int = 0
    stale: int = 0
    marks: int = 0
    letters: int = 0
    flagged: int = 0
    kept: int = 0
    notes: list[str] = field(default_factory=list)

    def add_clients(self, crowd: Crowd, tally: Tally) -> None:
        """Add the result of the checking clients."""
        seen = crowd.tally
        tally.writes += seen.writes
        self.reads += seen.reads
        self.stale += len(seen.violations)
        self.notes += map(str, seen.violations)
        for failed in seen.failed:
            if not failed.status:
                tally.broken += 1
            elif failed.status >= 500:
                tally.errors += 1
                tally.failed.append(failed.text)
            else:
                self.notes.append(failed.text)


class Matrix:
    """One environment and its proxies. Each cell starts from the state that the last one left."""

    def __init__(self, env: Environment, points: Points, database: Database, stage: Stage = Stage.MIRROR) -> None:
        self._env = env
        self._points = points
        self._database = database
        self._stage = stage
        self._cells = 0
        self._whole = True  # every cell so far has completed
        self._refusing = Refusing(database)
        self._proxies = {
            setting: env.proxy(
                setting,
                CROSSFADE_REQUEST_TIMEOUT="30",
                CROSSFADE_ON_JOURNAL_ERROR=setting,
                CROSSFADE_HEARTBEAT="0.2",
                CROSSFADE_WORKERS="1",  # a start is most of what a kill costs
            )
            for setting in ("forward", "refuse")
        }
        for proxy in self._proxies.values():
            proxy.forks = True

    async def close(self) -> None:
        for proxy in self._proxies.values():
            if proxy.running and not self._whole:
                proxy.kill()
            await _ended(proxy)

    async def cell(self, place: Place, fault: str, runs: int = 1) -> Cell:
        """Run the cell `runs` times. Every problem is in the cell's notes."""
        tally, found = Tally(), _Found()
        started = time.monotonic()
        try:
            for _ in range(runs):
                await self._once(place, fault, tally, found)
                await self._compare(found)
        except Exception as error:  # noqa: BLE001 - whatever it is, the cell is wrong, and the others are run
            self._whole = False
            found.notes += [f"the cell did not end: {text}" for text in _error_texts(error)]
        return Cell(
            place,
            fault,
            self._stage,
            runs,
            tally.writes,
            found.reads,
            found.lost,
            found.ghosts,
            found.stale,
            tally.errors,
            tally.broken,
            found.marks,
            found.letters,
            found.flagged,
            found.kept,
            (*tally.others, *found.notes),
            tuple(tally.failed),
            time.monotonic() - started,
            self._whole,
        )

    def new_log_text(self) -> str:
        """Return what the proxies wrote to their logs since the last call."""
        return "\n".join(proxy.new_log_text() for proxy in self._proxies.values())

    async def _once(self, place: Place, fault: str, tally: Tally, found: _Found) -> None:
        self._env.wall.step(0.0)
        proxy = await self._running_proxy(fault)
        proxy.wall.step(0.0)
        await self._restore_stage(fault)
        self._cells += 1
        going = True
        writers = [(number, traffic.KINDS.get(place.kind, traffic.opaque)) for number in range(_CLIENTS)]
        crowd = Crowd(f"judged{self._cells}", [proxy.port], _CLIENTS, self._cells, lambda *_: False, _PACE)
        async with asyncio.TaskGroup() as group:

            def begin(number: int, kind: traffic.Kind) -> None:
                group.create_task(traffic.client(proxy.url, number, tally, lambda _: going, kind, pause=_PAUSE))

            try:
                assert proxy.process is not None
                arm = proxy.process.pid
                await self._points.arm(f"{place.point}:{place.nth}", lambda: os.kill(arm, signal.SIGUSR2))
                for number, kind in writers:
                    begin(number, kind)
                before = tally.errors
                await self._approach(place.point)
                try:
                    reached = await self._points.wait_until_reached(_REACH_TIMEOUT)
                except TimeoutError:
                    raise AssertionError(f"{place.point} was not reached within {_REACH_TIMEOUT} s") from None
                tally.errors = before  # errors before the failpoint do not count against the fault
                del tally.failed[before:]
                for number in range(_CLIENTS, 2 * _CLIENTS):
                    begin(number, traffic.documents)
                async with crowd:
                    end_fault = await self._begin(fault, proxy)
                    await Points.release(reached)
                    await asyncio.sleep(_FAULT_SECONDS)
                    await end_fault()
                    await asyncio.sleep(0.1)
                    going = False
                    await proxy.drained()
            finally:
                going = False
        await proxy.drained()
        found.add_clients(crowd, tally)

    async def _running_proxy(self, fault: str) -> Proxy:
        """Return a running proxy with the setting that the fault needs, after the other one has ended."""
        on_error = "refuse" if fault == REFUSE else "forward"
        for setting, proxy in self._proxies.items():
            if setting != on_error:
                await _ended(proxy)
        proxy = self._proxies[on_error]
        if not proxy.running:
            await proxy.start(f"@{self._points.path}")
            await self._env.mirrored(everything=True)
            if self._stage is not Stage.MIRROR:
                await self._change_stage(Stage.SHADOW, "_system/*", *_TRAFFIC_COLLECTIONS)
        return proxy

    async def _restore_stage(self, fault: str) -> None:
        """Restore the stage: flip again after a rollback, and create what the fault needs."""
        if self._stage is Stage.FLIPPED and not await self._all_flipped():
            limit = time.monotonic() + harness.WAIT_SECONDS
            while True:
                try:
                    await self._change_stage(Stage.FLIPPED, *_TRAFFIC_COLLECTIONS)
                    break
                except (
                    PreconditionFailed
                ):  # an instance that was killed has a lease to wait for, and a journal to drain
                    if time.monotonic() > limit:
                        raise
                    await asyncio.sleep(0.2)
        if fault == REFUSED:
            await self._refusing.prepare(_TRAFFIC_COLLECTIONS)

    async def _change_stage(self, stage: Stage, *names: str) -> None:
        settings = load(dsn=self._env.dsn)
        await controller.change(
            self._database,
            [DesiredState(name, stage, 100 if stage is Stage.FLIPPED else 0) for name in names],
            settings=settings,
            actor="matrix",
            reason="test",
            force=True,
            timeout=TIMEOUT,
        )

    async def _all_flipped(self) -> bool:
        states = await status.collection_states(self._database)
        return all(states[name].stage is Stage.FLIPPED for name in _TRAFFIC_COLLECTIONS)

    async def _approach(self, point: str) -> None:
        """Bring the proxy to a failpoint that plain traffic does not reach: lost answers are read again."""
        if point == "mid-repair":
            chaos = self._env.to_origin
            before = chaos.hit
            chaos.misbehave("cut")
            await eventually(lambda: chaos.hit > before + 1, "answers are lost")
            chaos.heal()

    async def _begin(self, fault: str, proxy: Proxy) -> outages.End:
        """Begin the fault, and return what ends it."""
        env = self._env
        if fault in CLOCKS:
            whose, seconds = CLOCKS[fault]
            (proxy.wall if whose == "proxy" else env.wall).step(seconds)
        if fault in KILLS:
            await asyncio.to_thread(proxy.kill)
            if fault == REMOVED:  # what was open in them must be marked
                for file in (proxy.state / "journal").glob("*.journal"):
                    file.unlink()
            return lambda: proxy.start(f"@{self._points.path}")
        if fault == READ_ONLY:
            await harness.read_only(env.dsn, on=True)
            return lambda: harness.read_only(env.dsn, on=False)
        if fault == REFUSED:
            await self._refusing.begin()
            return self._refusing.end
        return await outages.begin(env, proxy, fault)

    async def _compare(self, found: _Found) -> None:
        """Count the differences. A verification must find and repair those covered by a mark or dead letter."""
        found.kept += self._stage is Stage.FLIPPED and await self._all_flipped()
        marks = await self._env.marks()
        found.marks += len(marks)
        marked = {line.partition(": ")[0] for line in marks}
        rows = await self._database.fetch("SELECT collection, key FROM _crossfade.dead_letter")
        letters = {(row["collection"], row["key"]) for row in rows}
        found.letters += max(self._refusing.letters, len(letters))
        self._refusing.letters = 0
        differences = await database_comparison.everything(self._env.origin.url, self._env.dsn)
        flagged = [
            one
            for one in differences
            if {f"_system/{one.collection}", "_system/*"} & marked or (f"_system/{one.collection}", one.key) in letters
        ]
        repaired = {one.collection for one in flagged} | {collection.partition("/")[2] for collection, _ in letters}
        if repaired:
            found.flagged += len(flagged)
            await self._env.verified(sorted(repaired))
            differences = await database_comparison.everything(self._env.origin.url, self._env.dsn)
            # a removal of what neither side has: nothing differs, so there is nothing that a verification repairs
            for row in await self._database.fetch("SELECT collection, key FROM _crossfade.dead_letter WHERE removed"):
                await self._env.repaired(row["collection"], row["key"])
            dead_letters = await self._database.fetch("SELECT collection, key, reason FROM _crossfade.dead_letter")
            found.notes += [
                f"{row['collection']}/{row['key']} is a dead letter still: {row['reason']}" for row in dead_letters
            ]
        if marks:
            await self._env.unmarked()
        found.lost += sum(1 for one in differences if one.what != "extra")
        found.ghosts += sum(1 for one in differences if one.what == "extra")
        found.notes += map(str, differences)


async def _ended(proxy: Proxy) -> None:
    if proxy.running:
        try:
            await asyncio.to_thread(proxy.kill, signal.SIGTERM)  # it needs this loop to reach its databases
        finally:
            if proxy.running:
                proxy.kill()


def _error_texts(error: BaseException) -> list[str]:
    """Return the name and text of each error of a group."""
    if isinstance(error, BaseExceptionGroup):
        return [text for one in error.exceptions for text in _error_texts(one)]
    return [f"{type(error).__name__} {str(error)[-500:]}"]


@contextlib.asynccontextmanager
async def matrix(folder: Path, stage: Stage = Stage.MIRROR) -> AsyncIterator[Matrix]:
    """Start a PostgreSQL, an origin and chaos proxies for one stage."""
    with EmbeddedPostgres(options={"fsync": "off", "shared_buffers": "32MB"}) as server:
        await migrated_template(server.dsn)
        dsn = await _create(server, "migrated")
        async with fault_environment(server, dsn, folder) as env, Points(folder) as points:
            database = await Database.open(dsn, size=2)
            environment = Matrix(env, points, database, stage)
            try:
                yield environment
            finally:
                await environment.close()
                await database.close()
