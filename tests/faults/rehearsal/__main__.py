"""Hunt every mutant of the table: `python -m tests.faults.rehearsal [part of a name]`. Exit code 1 if one survives."""

from __future__ import annotations

import asyncio
import sys
import time

from tests.faults.rehearsal.hunt import hunt
from tests.faults.rehearsal.mutants import MUTANTS


async def main() -> int:
    """Return the exit code."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    found = survived = untouched = 0
    for number, mutant in enumerate(MUTANTS):
        if wanted not in mutant.name:
            continue
        began = time.monotonic()
        result = await hunt(mutant)
        took = f"{result.writes} writes, {time.monotonic() - began:.1f} s, {result.unknown} times without a verdict"
        if result.found:
            found += 1
            print(f"found     {number:3} {mutant.name} ({took})", flush=True)
        elif result.verdict is None:
            untouched += 1
            print(f"UNTOUCHED {number:3} {mutant.name} ({took})", flush=True)
        else:
            survived += 1
            print(f"SURVIVED  {number:3} {mutant.name}: {result.verdict} for {result.operation} ({took})", flush=True)
    print(f"{found} found by the next write that touched them, {survived} survived, {untouched} not touched by any")
    return int(bool(survived or untouched))


sys.exit(asyncio.run(main()))
