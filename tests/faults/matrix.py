"""Each failpoint × each fault × each stage: `make faults`. Exit code 1 if one lost a write or served a stale read.

The proxy stops at the failpoint, the fault begins, and the proxy continues under traffic of that kind and of documents,
and of clients that check what they read (tests/faults/oracle.py). When the fault has ended and the backlog is empty,
both databases are read directly and compared document by document. At stage `flipped` every cell begins with a flip of
all that clients write; new collections begin at `shadow` there.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from proxy.base.failpoints import POINTS
from proxy.model.stages import Stage
from tests import harness
from tests.faults import traffic
from tests.faults.cells import (
    FAULTS,
    HEAD,
    LEGEND,
    PLACES,
    STAGES,
    Cell,
    Place,
    line,
    table,
)
from tests.faults.environment import TIMEOUT
from tests.faults.matrix_runner import matrix


async def _column(fault: str, stage: Stage, places: Sequence[Place], runs: int, keep: Path | None) -> list[Cell]:
    cells: list[Cell] = []
    while len(cells) < len(places):
        with tempfile.TemporaryDirectory(prefix="crossfade-faults-") as folder:
            async with matrix(Path(folder), stage) as environment:
                for place in places[len(cells) :]:
                    cells.append(await environment.cell(place, fault, runs))
                    print(line(cells[-1]), flush=True)
                    log = environment.new_log_text()
                    if keep is not None and not cells[-1].good:
                        name = re.sub(r"\W+", "-", f"{stage.value} {fault} {place.name}")
                        (keep / f"{name}.log").write_text(
                            "\n".join([*cells[-1].notes, *cells[-1].failed, log]), "utf-8"
                        )
                    if not cells[-1].ended:
                        break  # its final state is not a valid initial state
    return cells


def column(fault: str, stage: Stage, places: Sequence[Place], runs: int, keep: Path | None) -> list[Cell]:
    """Run one fault at these places in one stage, in its own environment."""
    harness.WAIT_SECONDS = TIMEOUT
    return asyncio.run(_column(fault, stage, places, runs, keep))


def cells(
    places: Sequence[Place],
    faults: Sequence[str],
    stages: Sequence[Stage],
    runs: int,
    jobs: int,
    keep: Path | None,
) -> Iterator[Cell]:
    """Run all of them, at most `jobs` faults concurrently, each in its own process."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        columns = [pool.submit(column, fault, stage, places, runs, keep) for fault in faults for stage in stages]
        for done in as_completed(columns):
            yield from done.result()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.matrix")
    parser.add_argument("--runs", type=int, default=1, help="of each cell")
    parser.add_argument("--jobs", type=int, default=6, help="faults at a time; most of the time they wait")
    parser.add_argument("--point", action="append", choices=POINTS, help="this one (again: these); default: all")
    parser.add_argument("--kind", action="append", choices=(*traffic.KINDS, "opaque"), help="of writes; default: all")
    parser.add_argument("--fault", action="append", choices=FAULTS, help="this one (again: these); default: all")
    parser.add_argument(
        "--stage", action="append", choices=[stage.value for stage in STAGES], help="of all collections; default: all"
    )
    parser.add_argument("--keep", type=Path, help="a folder for the logs of the proxies of wrong cells")
    options = parser.parse_args()
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    places = [p for p in PLACES if p.point in (options.point or POINTS) and p.kind in (options.kind or [p.kind])]
    faults = options.fault or FAULTS
    stages = [stage for stage in STAGES if not options.stage or stage.value in options.stage]
    ran = ", ".join(stage.value for stage in stages)
    print(f"{len(places)} points × {len(faults)} faults × {len(stages)} stages: {ran}\n{HEAD}", flush=True)
    found = list(cells(places, faults, stages, options.runs, options.jobs, options.keep))
    found.sort(key=lambda cell: (STAGES.index(cell.stage), places.index(cell.place), FAULTS.index(cell.fault)))
    print("\n" + table(found))
    wrong = [cell for cell in found if not cell.good]
    for cell in wrong:
        print(line(cell))
    print(f"\n{len(found)} cells in {time.monotonic() - started:.0f} s at the stages {ran}: {len(wrong)} wrong")
    print(LEGEND)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
