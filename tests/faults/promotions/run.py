"""The program: each scenario's rounds on one stack, and a table. Exit code 1 if anything is wrong."""

from __future__ import annotations

import argparse
import asyncio
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from deploy.demo.postgres import EmbeddedPostgres
from tests import harness
from tests.conftest import _create, migrated_template
from tests.faults.promotions.rounds import Known, Result, Rounds
from tests.faults.promotions.scenarios import SCENARIOS
from tests.faults.promotions.stack import stack
from tests.faults.violations import Kind, by_kind

_PATIENCE = 120.0  # seconds for any condition: the machine may be busy
_SHOWN = 6  # texts of each kind
_OPTIONS = {"fsync": "off", "shared_buffers": "64MB"}


def head() -> str:
    """Return the first line of the table."""
    kinds = "".join(f"{kind:>13}" for kind in Kind)
    return (
        f"{'scenario':26}{'rounds':>7}{'refused':>8}{'reached':>8}{'writes':>8}{'reads':>8}{'PostgreSQL':>11}"
        f"{'compared':>9}{'write wait':>11}{'read wait':>10}{kinds}{'illegal':>8}{'failed':>7}{'seconds':>8}"
    )


def line(result: Result) -> str:
    """Format one scenario, with its problems below."""
    kinds = "".join(f"{number:13}" for number in by_kind(result.violations).values())
    first = (
        f"{result.scenario:26}{result.rounds:7}{result.refused:8}{sum(result.reached.values()):8}{result.writes:8}"
        f"{result.reads:8}{result.from_target:11}{result.compared:9}{result.write_wait:9.2f} s{result.read_wait:8.2f} s"
        f"{kinds}{len(result.illegal):8}{len(result.failed):7}{result.seconds:8.0f}"
        f"{'' if result.good else '  WRONG'}"
    )
    problems = (*result.violations[:_SHOWN], *result.illegal[:_SHOWN], *result.wrong[:_SHOWN])
    missing = sorted(
        set(SCENARIOS[result.scenario].points) - {point for point, count in result.reached.items() if count}
    )
    unreached = [f"    not reached: {', '.join(missing)}"] if missing else []
    return "\n".join([first, *unreached, *(f"    {text}" for text in problems)])


LEGEND = """\
refused: commands that changed nothing, because of the fault. reached: points at which the fault came about.
compared: rows of PostgreSQL with documents of ArangoDB. write wait, read wait: of the longest request through a proxy
that ran. illegal: states of the control plane. failed: requests, only those that the fault may cost."""


async def run(names: Sequence[str], rounds: int, seed: int, seconds: float) -> list[Result]:
    """Run the scenarios, each with its share of the rounds and at most so many seconds."""
    results, known = [], Known()
    print(head(), flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="crossfade-promotes-") as folder,
        EmbeddedPostgres(options=_OPTIONS) as server,
    ):
        await migrated_template(server.dsn)
        dsn = await _create(server, "migrated")
        async with stack(Path(folder), server, dsn) as made:
            for name in names:
                scenario = SCENARIOS[name]
                number = max(math.ceil(rounds * scenario.share), len(scenario.points) or len(scenario.moments))
                ends = time.monotonic() + seconds
                results.append(await Rounds(made, name, seed, known).run(number, ends))
                print(line(results[-1]), flush=True)
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `python -m tests.faults.promotions --rounds 100`."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.promotions", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100, help="of `calm`; a tenth or a fifth as many of the others")
    parser.add_argument("--scenario", action="append", choices=tuple(SCENARIOS), help="this one (again: these)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=900.0, help="after which a scenario begins no round")
    options = parser.parse_args(arguments)
    harness.WAIT_SECONDS = _PATIENCE
    results = asyncio.run(run(options.scenario or list(SCENARIOS), options.rounds, options.seed, options.seconds))
    wrong = sum(not one.good for one in results)
    print(LEGEND)
    print(
        f"{sum(one.rounds for one in results)} rounds, {sum(one.writes for one in results)} writes, "
        f"{sum(one.reads for one in results)} reads checked, {sum(len(one.violations) for one in results)} violations, "
        f"{sum(len(one.illegal) for one in results)} illegal states, {wrong} scenarios wrong"
    )
    return 1 if wrong else 0
