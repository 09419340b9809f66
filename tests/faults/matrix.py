"""Each named point × each fault: `python -m tests.faults.matrix`, or `make faults`. Exit code 1 where one lost a write.

At the point the proxy stands still, the fault begins, and it goes on under traffic of that kind and of documents. When
the fault is over and the backlog is empty, both databases are read directly and compared document by document.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from deploy.demo.postgres import EmbeddedPostgres
from proxy.mirror.faults import POINTS
from tests import harness
from tests.conftest import _create, migrated_template
from tests.faults import comparing, traffic
from tests.faults.chaos import MODES
from tests.faults.points import Points
from tests.faults.stand import Proxy, Stand, stand
from tests.faults.traffic import Tally
from tests.harness import eventually

REFUSE = "disk full, refuse"
REMOVED = "kill, files removed"
READ_ONLY = "session read-only"
FAULTS: tuple[str, ...] = (
    "kill",
    REMOVED,
    *(f"origin {mode}" for mode in MODES),
    *(f"target {mode}" for mode in MODES),
    "origin stopped",
    "target stopped",
    "disk full",
    REFUSE,
    READ_ONLY,
)
# which faults may cost clients an answer: those of ArangoDB itself, and where the operator said that it is to be so; a
# kill breaks connections and nothing else
_MAY_COST = (*(fault for fault in FAULTS if fault.startswith("origin")), REFUSE)
_LASTS = 0.4  # seconds
_CLIENTS = 2  # of the point's kind, and as many of documents
_PAUSE = 0.01
PATIENCE = 150.0  # seconds for a proxy to start, or to drain: the machine may be busy with other things


@dataclass(frozen=True, slots=True)
class Place:
    """A point under traffic of one kind, reached for the nth time."""

    kind: str
    point: str
    nth: int = 2

    @property
    def name(self) -> str:
        return f"{self.kind} {self.point}"


PLACES: tuple[Place, ...] = (
    Place("documents", "after-intend", 9),
    Place("documents", "after-forward", 9),
    Place("documents", "before-settle", 9),
    Place("documents", "mid-batch"),
    Place("documents", "after-apply"),
    Place("documents", "mid-repair", 1),
    Place("opaque", "before-mark", 1),
    Place("options", "after-forward", 5),
    Place("transactions", "transaction-begun"),
    Place("transactions", "transaction-wrote", 5),
    Place("transactions", "before-commit"),
    Place("transactions", "after-commit"),
    Place("transactions", "before-transaction"),
    Place("transactions", "mid-transaction", 1),
    Place("imports", "after-intend", 3),
    Place("imports", "after-forward", 3),
    Place("imports", "mid-import", 1),
    Place("modifications", "after-intend", 3),
    Place("modifications", "after-forward", 3),
    Place("modifications", "keys-read"),
    Place("cursors", "after-forward", 3),
    Place("cursors", "keys-read", 3),
    Place("cursors", "before-commit"),
    Place("graphs", "after-intend", 3),
    Place("graphs", "after-forward", 9),
    Place("graphs", "mid-cascade", 1),
    Place("collections", "after-intend", 4),
    Place("collections", "after-forward", 4),
    Place("collections", "horizon-raised", 1),
    Place("collections", "mid-sweep", 1),
    Place("jobs", "job-begun", 3),
    Place("jobs", "after-forward", 3),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """What one fault at one point cost. lost: missing or older in PostgreSQL; ghosts: there, and not in ArangoDB.

    said: documents that differed in collections that became unverified, until a verification repaired them.
    """

    place: Place
    fault: str
    runs: int = 0
    writes: int = 0
    lost: int = 0
    ghosts: int = 0
    errors: int = 0
    broken: int = 0
    marks: int = 0
    said: int = 0
    notes: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Nothing lost, no ghost; errors only where ArangoDB was away, broken connections only by a kill."""
        quiet = self.errors == 0 or self.fault in _MAY_COST
        whole = self.broken == 0 or self.fault in ("kill", REMOVED, *_MAY_COST)
        return not self.lost and not self.ghosts and not self.notes and quiet and whole


@dataclass
class _Found:
    lost: int = 0
    ghosts: int = 0
    marks: int = 0
    said: int = 0
    notes: list[str] = field(default_factory=list)


class Matrix:
    """One stand, one proxy after another; every cell begins on the state that the last one left."""

    def __init__(self, stood: Stand, points: Points) -> None:
        self._stand = stood
        self._points = points
        self._proxies = {
            setting: stood.proxy(
                setting,
                CROSSFADE_REQUEST_TIMEOUT="10",
                CROSSFADE_JOURNAL_FULL=setting,
                CROSSFADE_HEARTBEAT="0.2",
            )
            for setting in ("forward", "refuse")
        }

    async def close(self) -> None:
        for proxy in self._proxies.values():
            await _ended(proxy)

    async def cell(self, place: Place, fault: str, runs: int = 1) -> Cell:
        """Runs it so many times."""
        tally, found = Tally(), _Found()
        for _ in range(runs):
            try:
                await self._once(place, fault, tally)
            except* TimeoutError:
                found.notes.append("the point was not reached")
            await self._compare(found)
        return Cell(
            place,
            fault,
            runs,
            tally.writes,
            found.lost,
            found.ghosts,
            tally.errors,
            tally.broken,
            found.marks,
            found.said,
            (*tally.others, *found.notes),
        )

    async def _once(self, place: Place, fault: str, tally: Tally) -> None:
        proxy = await self._standing(fault)
        going = True
        mine = [(number, traffic.KINDS.get(place.kind, traffic.opaque)) for number in range(_CLIENTS)]
        async with asyncio.TaskGroup() as group:

            def begin(number: int, kind: traffic.Kind) -> None:
                group.create_task(traffic.client(proxy.url, number, tally, lambda _: going, kind, pause=_PAUSE))

            try:
                assert proxy.process is not None
                arm = proxy.process.pid
                await self._points.armed(f"{place.point}:{place.nth}", lambda: os.kill(arm, signal.SIGUSR2))
                for number, kind in mine:
                    begin(number, kind)
                before = tally.errors
                await self._approach(place.point)
                reached = await self._points.reached(harness.WAIT_SECONDS)
                tally.errors = before  # what the way to the point cost is not the fault's
                for number in range(_CLIENTS, 2 * _CLIENTS):
                    begin(number, traffic.documents)
                heal = await self._begin(fault, proxy)
                await Points.go(reached)
                await asyncio.sleep(_LASTS)
                await heal()
                await asyncio.sleep(0.1)
            finally:
                going = False
        await proxy.drained()

    async def _standing(self, fault: str) -> Proxy:
        """The proxy with the setting that the fault asks for; the other one has ended."""
        wanted = "refuse" if fault == REFUSE else "forward"
        for setting, proxy in self._proxies.items():
            if setting != wanted:
                await _ended(proxy)
        proxy = self._proxies[wanted]
        if not proxy.running:
            await proxy.start(f"@{self._points.path}")
            await self._stand.mirrored(everything=True)
        return proxy

    async def _approach(self, point: str) -> None:
        """What it takes to come to a point that mere traffic does not reach: lost answers are read again."""
        if point == "mid-repair":
            chaos = self._stand.to_origin
            before = chaos.hit
            chaos.misbehave("cut")
            await eventually(lambda: chaos.hit > before + 1, "answers are lost")
            chaos.heal()

    async def _begin(self, fault: str, proxy: Proxy) -> Callable[[], Awaitable[object]]:
        """Begins the fault; gives what ends it."""
        stood = self._stand
        where, _, what = fault.partition(" ")
        if fault in ("kill", REMOVED):
            await asyncio.to_thread(proxy.kill)
            if fault == REMOVED:  # what was open in them must be said
                for file in (proxy.state / "journal").glob("*.journal"):
                    file.unlink()
            return lambda: proxy.start(f"@{self._points.path}")
        if where == "disk":
            proxy.disk(full=True)
            return _later(lambda: proxy.disk(full=False))
        if fault == "origin stopped":
            await stood.origin.stop()
            return stood.origin.start
        if fault == "target stopped":
            await asyncio.to_thread(stood.server.stop, "immediate")
            return lambda: asyncio.to_thread(stood.server.start)
        if fault == READ_ONLY:
            await harness.read_only(stood.dsn, on=True)
            return lambda: harness.read_only(stood.dsn, on=False)
        chaos = stood.to_origin if where == "origin" else stood.to_target
        chaos.misbehave(what)
        return _later(chaos.heal)

    async def _compare(self, found: _Found) -> None:
        """Counts what differs; where it was said, a verification must find and repair it."""
        marks = await self._stand.marks()
        found.marks += len(marks)
        marked = {line.partition(": ")[0] for line in marks}
        differences = await comparing.everything(self._stand.origin.url, self._stand.dsn)
        said = [one for one in differences if {f"_system/{one.collection}", "_system/*"} & marked]
        if said:
            found.said += len(said)
            await self._stand.verified(sorted({one.collection for one in said}))
            differences = await comparing.everything(self._stand.origin.url, self._stand.dsn)
        if marks:
            await self._stand.unmarked()
        found.lost += sum(1 for one in differences if one.what != "extra")
        found.ghosts += sum(1 for one in differences if one.what == "extra")
        found.notes += map(str, differences)


async def _ended(proxy: Proxy) -> None:
    if proxy.running:
        await asyncio.to_thread(proxy.kill, signal.SIGTERM)  # it needs this loop to reach its databases


def _later(call: Callable[[], object]) -> Callable[[], Awaitable[object]]:
    async def run() -> None:
        call()

    return run


@contextlib.asynccontextmanager
async def matrix(folder: Path) -> AsyncIterator[Matrix]:
    """Starts a PostgreSQL of its own, an origin, chaos."""
    with EmbeddedPostgres(options={"fsync": "off", "shared_buffers": "32MB"}) as server:
        await migrated_template(server.dsn)
        dsn = await _create(server, "migrated")
        async with stand(server, dsn, folder) as stood, Points(folder) as points:
            made = Matrix(stood, points)
            try:
                yield made
            finally:
                await made.close()


HEAD = (
    f"{'point':32}{'fault':20}{'runs':>5}{'writes':>8}{'lost':>6}{'ghosts':>8}{'errors':>8}{'broken':>8}{'marks':>7}"
    f"{'said':>6}"
)


def line(cell: Cell) -> str:
    """A cell as text."""
    figures = (
        f"{cell.runs:5}{cell.writes:8}{cell.lost:6}{cell.ghosts:8}{cell.errors:8}{cell.broken:8}{cell.marks:7}"
        f"{cell.said:6}"
    )
    wrong = "" if cell.good else "  WRONG " + "; ".join(cell.notes[:3])
    return f"{cell.place.name:32}{cell.fault:20}{figures}{wrong}"


def table(cells: Sequence[Cell]) -> str:
    """A line a cell, and the sums."""
    each = ((c.runs, c.writes, c.lost, c.ghosts, c.errors, c.broken, c.marks, c.said) for c in cells)
    runs, writes, lost, ghosts, errors, broken, marks, said = (sum(values) for values in zip(*each, strict=True))
    total = f"{'all':52}{runs:5}{writes:8}{lost:6}{ghosts:8}{errors:8}{broken:8}{marks:7}{said:6}"
    return "\n".join([HEAD, *map(line, cells), total])


async def _column(fault: str, places: Sequence[Place], runs: int) -> list[Cell]:
    with tempfile.TemporaryDirectory(prefix="crossfade-faults-") as folder:
        async with matrix(Path(folder)) as made:
            cells = []
            for place in places:
                cells.append(await made.cell(place, fault, runs))
                print(line(cells[-1]), flush=True)
            return cells


def column(fault: str, places: Sequence[Place], runs: int) -> list[Cell]:
    """One fault at these places, on a stand of its own."""
    harness.WAIT_SECONDS = PATIENCE
    return asyncio.run(_column(fault, places, runs))


def cells(places: Sequence[Place], faults: Sequence[str], runs: int, jobs: int) -> Iterator[Cell]:
    """All of them, `jobs` faults at a time, each in a process of its own."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(column, fault, places, runs) for fault in faults]):
            yield from done.result()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.matrix")
    parser.add_argument("--runs", type=int, default=1, help="of each cell")
    parser.add_argument("--jobs", type=int, default=4, help="faults at a time; most of the time they wait")
    parser.add_argument("--point", action="append", choices=POINTS, help="this one (again: these); default: all")
    parser.add_argument("--kind", action="append", choices=(*traffic.KINDS, "opaque"), help="of writes; default: all")
    parser.add_argument("--fault", action="append", choices=FAULTS, help="this one (again: these); default: all")
    options = parser.parse_args()
    begun = time.monotonic()
    places = [p for p in PLACES if p.point in (options.point or POINTS) and p.kind in (options.kind or [p.kind])]
    faults = options.fault or FAULTS
    print(HEAD, flush=True)
    found = list(cells(places, faults, options.runs, options.jobs))
    found.sort(key=lambda cell: (places.index(cell.place), FAULTS.index(cell.fault)))
    print("\n" + table(found))
    wrong = [cell for cell in found if not cell.good]
    for cell in wrong:
        print(line(cell))
    print(f"\n{len(found)} cells in {time.monotonic() - begun:.0f} s, {len(wrong)} wrong")
    print(
        "errors: answers of 5xx, only where ArangoDB was away, or where the operator has writes refused on a full disk."
    )
    print("broken: connections, only by a kill of the proxy, or ArangoDB's. marks: collections that became unverified;")
    print("said: documents that differed in such a collection until a verification repaired them.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
