"""Each named point × each fault: `python -m tests.faults.matrix`, or `make faults`. Exit code 1 where one lost a write.

At the point the proxy stands still, the fault begins, and it goes on under traffic. When the fault is over and the
backlog is empty, both databases are read directly and compared document by document.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from deploy.demo.postgres import EmbeddedPostgres
from proxy.mirror.faults import POINTS
from tests.conftest import _create, _template
from tests.faults.chaos import MODES
from tests.faults.stand import Proxy, Stand, Tally, hammer, stand
from tests.harness import eventually

FAULTS: tuple[str, ...] = (
    "kill",
    *(f"origin {mode}" for mode in MODES),
    *(f"target {mode}" for mode in MODES),
    "origin stopped",
    "target stopped",
    "disk full",
)
# which faults may cost clients an answer: those of ArangoDB itself; a kill breaks connections and nothing else
_ORIGIN = tuple(fault for fault in FAULTS if fault.startswith("origin"))
_LASTS = 0.4  # seconds
_NTH = {"after-intend": 9, "after-forward": 9, "before-settle": 9, "mid-batch": 2, "after-apply": 2}
_CLIENTS = 3


@dataclass(frozen=True, slots=True)
class Cell:
    """What one fault at one point cost. lost: missing or older in PostgreSQL; ghosts: there, and not in ArangoDB."""

    point: str
    fault: str
    runs: int
    writes: int
    lost: int
    ghosts: int
    errors: int
    broken: int
    marks: int
    notes: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Nothing lost, no ghost; errors only where ArangoDB was away, broken connections only by a kill."""
        quiet = self.errors == 0 or self.fault in _ORIGIN
        whole = self.broken == 0 or self.fault == "kill" or self.fault in _ORIGIN
        return not self.lost and not self.ghosts and not self.notes and quiet and whole


class Points:
    """Hears when the proxy has reached a point; it stands still until `go`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "points"
        self._reached: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Points:
        self._server = await asyncio.start_unix_server(self._hear, str(self.path))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        self._reached.put_nowait(writer)

    async def reached(self, seconds: float = 30.0) -> asyncio.StreamWriter:
        """Raises TimeoutError where the point is not reached."""
        return await asyncio.wait_for(self._reached.get(), seconds)

    @staticmethod
    async def go(standing: asyncio.StreamWriter, following: str = "") -> None:
        """The proxy goes on; `following`: the next `name:nth`."""
        with contextlib.suppress(OSError):
            standing.write(following.encode() + b"\n")
            await standing.drain()
        standing.close()


class Matrix:
    """One stand, one proxy after another; every cell begins with a proxy that stands at its point."""

    def __init__(self, stood: Stand, points: Points) -> None:
        self._stand = stood
        self._points = points
        self._proxy: Proxy = stood.proxy(CROSSFADE_REQUEST_TIMEOUT="1.5")

    async def close(self) -> None:
        if self._proxy.running:
            await asyncio.to_thread(self._proxy.kill, signal.SIGTERM)  # it needs this loop to reach its databases

    async def cell(self, point: str, fault: str, runs: int) -> Cell:
        """Runs it so many times, each on the state that the last left."""
        tally, lost, ghosts, notes = Tally(), 0, 0, []
        before = len(await self._stand.marks())
        for _ in range(runs):
            await self._once(point, fault, tally)
            found = await self._stand.differences()
            lost += sum(1 for line in found if not line.endswith(": extra"))
            ghosts += sum(1 for line in found if line.endswith(": extra"))
            notes += [*tally.others, *found]
        marks = len(await self._stand.marks()) - before
        return Cell(point, fault, runs, tally.writes, lost, ghosts, tally.errors, tally.broken, marks, tuple(notes))

    async def _once(self, point: str, fault: str, tally: Tally) -> None:
        plan = f"{point}:{_NTH.get(point, 1)}"
        if self._proxy.running:
            await asyncio.to_thread(self._proxy.kill, signal.SIGTERM)  # it needs this loop to reach its databases
        await self._proxy.start(f"{plan}@{self._points.path}")
        await self._stand.mirrored()
        going = True
        clients = [
            asyncio.create_task(hammer(self._proxy.url, number, tally, lambda _: going)) for number in range(_CLIENTS)
        ]
        try:
            before = tally.errors
            await self._approach(point)
            standing = await self._points.reached()
            tally.errors = before  # what the way to the point cost is not the fault's
            heal = await self._begin(fault)
            await Points.go(standing)
            await asyncio.sleep(_LASTS)
            await heal()
            await asyncio.sleep(0.1)
        finally:
            going = False
            await asyncio.gather(*clients)
        await self._proxy.drained()

    async def _approach(self, point: str) -> None:
        """What it takes to come to points that ordinary writes do not reach."""
        if point == "mid-repair":  # lost answers: their keys are read again
            chaos = self._stand.to_origin
            before = chaos.hit
            chaos.misbehave("cut")
            await eventually(lambda: chaos.hit > before + 1, "answers are lost")
            chaos.heal()
        if point == "before-mark":
            async with httpx.AsyncClient(base_url=self._proxy.url, auth=("root", "")) as client:
                await client.put("/_api/nobody-knows-this")

    async def _begin(self, fault: str) -> Callable[[], Awaitable[None]]:
        """Begins the fault; gives what ends it."""
        stood, proxy = self._stand, self._proxy
        where, _, what = fault.partition(" ")
        if fault == "kill":
            await asyncio.to_thread(proxy.kill)
            return proxy.start
        if fault == "disk full":
            proxy.disk(full=True)
            return _later(lambda: proxy.disk(full=False))
        if fault == "origin stopped":
            await stood.origin.stop()
            return stood.origin.start
        if fault == "target stopped":
            await asyncio.to_thread(stood.server.stop, "immediate")
            return _later(stood.server.start)
        chaos = stood.to_origin if where == "origin" else stood.to_target
        chaos.misbehave(what)
        return _later(chaos.heal)


def _later(call: Callable[[], object]) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        await asyncio.to_thread(call) if call.__name__ == "start" else call()

    return run


@contextlib.asynccontextmanager
async def matrix(folder: Path) -> AsyncIterator[Matrix]:
    """Starts a PostgreSQL of its own, an origin, chaos."""
    with EmbeddedPostgres(options={"fsync": "off", "shared_buffers": "32MB"}) as server:
        await _template(server.dsn)
        dsn = await _create(server, "migrated")
        async with stand(server, dsn, folder) as stood, Points(folder) as points:
            made = Matrix(stood, points)
            try:
                yield made
            finally:
                await made.close()


def table(cells: Sequence[Cell]) -> str:
    """A line a cell."""
    lines = [
        f"{'point':15}{'fault':20}{'runs':>5}{'writes':>8}{'lost':>6}{'ghosts':>8}{'errors':>8}{'broken':>8}{'marks':>7}"
    ]
    for cell in cells:
        lines.append(
            f"{cell.point:15}{cell.fault:20}{cell.runs:5}{cell.writes:8}{cell.lost:6}{cell.ghosts:8}{cell.errors:8}"
            f"{cell.broken:8}{cell.marks:7}{'' if cell.good else '  WRONG ' + '; '.join(cell.notes[:2])}"
        )
    each = ((c.runs, c.writes, c.lost, c.ghosts, c.errors, c.broken) for c in cells)
    total = [sum(values) for values in zip(*each, strict=True)]
    lines.append(f"{'all':35}{total[0]:5}{total[1]:8}{total[2]:6}{total[3]:8}{total[4]:8}{total[5]:8}")
    return "\n".join(lines)


async def run(points: Sequence[str], faults: Sequence[str], runs: int) -> list[Cell]:
    """All cells, printed as they come."""
    cells = []
    with tempfile.TemporaryDirectory(prefix="crossfade-faults-") as folder:
        async with matrix(Path(folder)) as made:
            for point in points:
                for fault in faults:
                    cells.append(await made.cell(point, fault, runs))
                    print(table(cells[-1:]).splitlines()[1], flush=True)
    return cells


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.matrix")
    parser.add_argument("--runs", type=int, default=1, help="of each cell")
    parser.add_argument("--point", action="append", choices=POINTS, help="this one (again: these); default: all")
    parser.add_argument("--fault", action="append", choices=FAULTS, help="this one (again: these); default: all")
    options = parser.parse_args()
    begun = time.monotonic()
    cells = asyncio.run(run(options.point or POINTS, options.fault or FAULTS, options.runs))
    print("\n" + table(cells))
    wrong = sum(1 for cell in cells if not cell.good)
    print(f"\n{len(cells)} cells in {time.monotonic() - begun:.0f} s, {wrong} wrong")
    print(
        "errors: answers of 5xx, only where ArangoDB was away. broken: connections, only by a kill of the proxy or of"
    )
    print("ArangoDB's. marks: collections that became unverified, said and not hidden.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
