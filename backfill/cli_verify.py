"""`crossfade verify`: whole collections, samples, what failed or changed, once or again and again."""

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
    print_standings,
    say_left_out,
    work_on,
)
from backfill.run_planner import plan_changed, plan_sample, plan_verification
from backfill.run_summary import samples
from backfill.worker import Options, Workers
from proxy.base.errors import RefusedError
from proxy.cli.runtime import DONE, REFUSED, CollectionsArgument, DatabaseOption, JsonOption

WATCH_RATE: Final = 1_000.0  # keys a second: what the background may cost


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("verify")(verify)


def verify(
    collections: CollectionsArgument,
    *,
    database: DatabaseOption = "_system",
    full: Annotated[bool, typer.Option("--full/--fast", help="content too, not only keys and revisions")] = False,
    sample: Annotated[
        float | None,
        typer.Option("--sample", min=0.01, max=100.0, help="percent of the documents, in key ranges chosen by chance"),
    ] = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="only ranges that failed, or that changed since the last verification")
    ] = False,
    repair: Annotated[bool, typer.Option("--repair", help="repair what differs, and look again")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help=f"again and again until stopped, at {WATCH_RATE:g} keys/s if not --max-rate")
    ] = False,
    every: Annotated[float, typer.Option("--every", min=0.0, help="with --watch: seconds between two rounds")] = 60.0,
    workers: WorkersOption = 2,
    processes: ProcessesOption = 1,
    max_rate: RateOption = None,
    max_lag: LagOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare collections on both sides, key by key. Exit code 1 where differences remain.

    The whole of each collection, but for --sample and --changed: those say how much was checked, and open no gate.
    Stopped or killed, it goes on where it was when it is run again.
    """

    async def go(parts: Parts) -> int:
        if sample is not None and changed:
            raise RefusedError("--sample and --changed choose different parts: give one of them")
        if watch and (sample is not None or changed):
            raise RefusedError("--watch verifies whole collections: leave --sample and --changed out")
        names = await names_of(parts, collections, database)
        if watch:
            how = options(1, max_rate or WATCH_RATE, max_lag)
            return await _watch(parts, names, how, full=full, repair=repair, every=every, as_json=as_json)

        async def planned(name: str) -> int | None:
            if sample is not None:
                return await plan_sample(parts.database, parts.source, name, sample, full=full, repair=repair)
            if not changed:
                return await plan_verification(
                    parts.database, parts.source, name, full=full, repair=repair, workers=workers * processes
                )
            found = await plan_changed(parts.database, parts.source, name, full=full, repair=repair)
            if found is None:
                typer.echo(f"verify {name}: nothing failed or changed since it was verified", err=as_json)
            return found

        chosen, left = await each(names, planned)
        again = "crossfade verify " + " ".join(names) + (" --full" if full else "") + (" --repair" if repair else "")
        again += (f" --sample {sample:g}" if sample is not None else "") + (" --changed" if changed else "")
        how = options(workers, max_rate, max_lag)
        return await work_on(parts, chosen, how, as_json, again, processes=processes, left=left)

    execute(go, workers, as_json)


async def _watch(
    parts: Parts, names: Sequence[str], how: Options, *, full: bool, repair: bool, every: float, as_json: bool
) -> int:
    """Rounds over the collections; the exit code is that of the last round that ended."""
    code = DONE
    while True:
        left = 0
        chosen, refused = await each(
            names,
            lambda name: plan_verification(parts.database, parts.source, name, full=full, repair=repair, workers=1),
        )
        say_left_out(refused)
        left += len(refused)
        for run in chosen:
            await Workers(parts.database, parts.maintenance, parts.source, how, parts.stop).work([run])
            found = await run_store.standings(parts.database, [run])
            if parts.stop.is_set() and found[0].state == "open":
                return code
            print_standings(found, as_json)
            left += found[0].result.get("differences", 0) if found[0].state == "done" else 1
            if not as_json:
                for text in samples(found):
                    typer.echo(text)
        code = REFUSED if left else DONE
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(parts.stop.wait(), every)
        if parts.stop.is_set():
            return code
