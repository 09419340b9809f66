"""`crossfade verify`: whole collections, samples, ranges that failed or changed; once or continuously."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from backfill import run_store
from backfill.cli_runtime import (
    LagOption,
    Parts,
    ProcessesOption,
    RateOption,
    WorkersOption,
    each,
    execute,
    names_of,
    options,
    print_statuses,
    report_left_out,
    work_on,
)
from backfill.run_planner import plan_changed, plan_sample, plan_verification
from backfill.run_summary import samples
from backfill.worker import WorkerOptions, Workers
from proxy.base.errors import PreconditionFailed
from proxy.cli.registration import bundled
from proxy.cli.runtime import DONE, REFUSED, Collections, JsonOption

CONTINUOUS_RATE: Final = 1_000.0  # keys per second: the load that the background may cause


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("verify")(verify)


@bundled
def verify(
    chosen: Collections,
    *,
    full: Annotated[
        bool, typer.Option("--full/--fast", help="compare the content of documents; --fast compares keys and revisions")
    ] = False,
    sample: Annotated[
        float | None,
        typer.Option(
            "--sample",
            min=0.01,
            max=100.0,
            metavar="P",
            help="compare P percent of the documents, in random key ranges",
        ),
    ] = None,
    changed: Annotated[
        bool,
        typer.Option("--changed", help="compare only key ranges that failed, or changed since the last verification"),
    ] = False,
    repair: Annotated[bool, typer.Option("--repair", help="repair differences, then compare again")] = False,
    continuous: Annotated[
        bool,
        typer.Option(
            "--continuous",
            help=f"repeat until stopped, at {CONTINUOUS_RATE:g} keys per second unless --max-rate is set",
        ),
    ] = False,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=0.0, help="pause between two rounds of --continuous")
    ] = 60.0,
    workers: WorkersOption = 2,
    processes: ProcessesOption = 1,
    max_rate: RateOption = None,
    max_lag: LagOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare collections in both databases, key by key. Exit code 1 if differences remain.

    --sample and --changed compare a part, report how much of it, and pass no gate. An interrupted verification
    continues when it is repeated.

    Examples:
      crossfade verify shop/orders --full
      crossfade verify shop/orders --full --repair
      crossfade verify 'shop/*' --continuous --interval 3600
    """

    async def go(parts: Parts) -> int:
        if sample is not None and changed:
            raise PreconditionFailed("--sample and --changed choose different parts: give only one of them")
        if continuous and (sample is not None or changed):
            raise PreconditionFailed("--continuous verifies whole collections: omit --sample and --changed")
        names = await names_of(parts, chosen)
        if continuous:
            how = options(1, max_rate or CONTINUOUS_RATE, max_lag)
            return await _rounds(parts, names, how, full=full, repair=repair, interval=interval, as_json=as_json)

        async def planned(name: str) -> int | None:
            if sample is not None:
                return await plan_sample(parts.database, parts.source, name, sample, full=full, repair=repair)
            if not changed:
                return await plan_verification(
                    parts.database, parts.source, name, full=full, repair=repair, workers=workers * processes
                )
            found = await plan_changed(parts.database, parts.source, name, full=full, repair=repair)
            if found is None:
                typer.echo(f"verify {name}: nothing failed or changed since the last verification", err=as_json)
            return found

        runs, left = await each(names, planned)
        again = "crossfade verify " + " ".join(names) + (" --full" if full else "") + (" --repair" if repair else "")
        again += (f" --sample {sample:g}" if sample is not None else "") + (" --changed" if changed else "")
        how = options(workers, max_rate, max_lag)
        return await work_on(parts, runs, how, as_json=as_json, again=again, processes=processes, left=left)

    execute(go, workers, as_json=as_json)


async def _rounds(
    parts: Parts, names: Sequence[str], how: WorkerOptions, *, full: bool, repair: bool, interval: float, as_json: bool
) -> int:
    """Verify the collections in rounds until stopped; return the exit code of the last finished round."""
    code = DONE
    while True:
        left = 0
        runs, refused = await each(
            names,
            lambda name: plan_verification(parts.database, parts.source, name, full=full, repair=repair, workers=1),
        )
        report_left_out(refused)
        left += len(refused)
        for run in runs:
            await Workers(parts.database, parts.maintenance, parts.source, how, parts.stop).work([run])
            found = await run_store.statuses(parts.database, [run])
            if parts.stop.is_set() and found[0].state == "open":
                return code
            print_statuses(found, as_json=as_json)
            left += found[0].result.get("differences", 0) if found[0].state == "done" else 1
            if not as_json:
                for text in samples(found):
                    typer.echo(text)
        code = REFUSED if left else DONE
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(parts.stop.wait(), interval)
        if parts.stop.is_set():
            return code
