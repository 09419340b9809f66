"""`crossfade backfill`. Further commands: `cli_verify`, `cli_watch`, `cli_throttle`, and those of the archive.

Exit codes: 0 done (and, for verify, equal); 1 refused, failed, stopped, or differences remain; 2 a wrong setting, or
PostgreSQL cannot be reached or is not migrated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from backfill import cli_throttle, cli_verify, cli_watch, run_store
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
from backfill.governor import setting
from backfill.run_planner import plan_backfill
from backfill.throttle import as_options
from backfill.worker import Workers
from backfill.worker_processes import die_with_parent
from proxy.base.errors import RefusedError
from proxy.cli.naming import expand
from proxy.cli.runtime import DONE, REFUSED, CollectionsArgument, DatabaseOption, JsonOption, SomeCollections

DumpOption = Annotated[
    bool,
    typer.Option(
        "--dump",
        help="read by ArangoDB's parallel dump (3.12), or by pages where it has none; a worker that is killed begins "
        "the collection anew",
    ),
]
TextOption = Annotated[bool, typer.Option("--full-text", help="also build an index for full-text search, at the end")]


class _DefaultRun(TyperGroup):
    """`crossfade backfill COLLECTION…` is `crossfade backfill run COLLECTION…`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Adds this package's commands to the application."""
    group = typer.Typer(cls=_DefaultRun, no_args_is_help=True, help="Copy the history of collections into PostgreSQL.")
    group.command("plan")(plan)
    group.command("run")(run)
    group.command("status")(status)
    group.command("worker")(worker)
    app.add_typer(group, name="backfill")
    cli_verify.register(app)
    cli_watch.register(app)
    cli_throttle.register(app)


def plan(
    collections: CollectionsArgument,
    *,
    database: DatabaseOption = "_system",
    workers: WorkersOption = 2,
    dump: DumpOption = False,
    full_text: TextOption = False,
    as_json: JsonOption = False,
) -> None:
    """Split collections into key ranges, for workers to take up (`crossfade backfill run`)."""

    async def go(parts: Parts) -> int:
        chosen, left = await _plan_all(parts, collections, database, workers, dump=dump, full_text=full_text)
        found = await run_store.standings(parts.database, chosen)
        print_standings(found, as_json)
        if not as_json:
            for standing in found:
                extra = " and one for full-text search" if standing.result.get("full_text") else ""
                way = "one dump" if standing.mode == "dump" else f"{standing.chunks} ranges of keys"
                typer.echo(f"  {way}; then the index for filters{extra}, built concurrently, and ANALYZE")
        say_left_out(left)
        return REFUSED if left else DONE

    execute(go, workers, as_json)


def run(
    collections: SomeCollections = None,
    *,
    database: DatabaseOption = "_system",
    workers: WorkersOption = 2,
    processes: ProcessesOption = 1,
    max_rate: RateOption = None,
    max_lag: LagOption = None,
    dump: DumpOption = False,
    full_text: TextOption = False,
    as_json: JsonOption = False,
) -> None:
    """Copy collections, going on where an earlier run stopped. Without a collection: work on every open run."""

    async def go(parts: Parts) -> int:
        if collections:
            at_once = workers * processes
            chosen, left = await _plan_all(parts, collections, database, at_once, dump=dump, full_text=full_text)
        else:
            chosen, left = await run_store.open_runs(parts.database), {}
        how = options(workers, max_rate, max_lag)
        return await work_on(parts, chosen, how, as_json, "crossfade backfill run", processes=processes, left=left)

    execute(go, workers, as_json)


def status(
    collections: SomeCollections = None, database: DatabaseOption = "_system", as_json: JsonOption = False
) -> None:
    """The newest backfill and verification of each collection, and what holds workers back."""

    async def go(parts: Parts) -> int:
        names = None
        if collections:
            names = await expand(parts.database, collections, database, lambda _: True, "known")
        found = await run_store.latest(parts.database, names)
        print_standings(found, as_json)
        if as_json:
            return DONE
        if not found:
            typer.echo("no backfill or verification has been run")
        limits = as_options((await setting(parts.database)).limits)
        if limits:
            typer.echo("throttle: " + ", ".join(f"{name} {value}" for name, value in limits.items()))
        return DONE

    execute(go, 1, as_json)


def worker(
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="keep waiting for work; verify what becomes unverified; name who writes around the proxies"
        ),
    ] = False,
    workers: WorkersOption = 2,
    max_rate: RateOption = None,
    max_lag: LagOption = None,
    only: Annotated[list[int] | None, typer.Option("--run", help="work on this run only; may be repeated")] = None,
    child: Annotated[bool, typer.Option("--child", hidden=True)] = False,
) -> None:
    """Work on whatever runs are open, beside any number of other workers."""

    async def go(parts: Parts) -> int:
        await _require_runs(parts, only or ())
        how = options(workers, max_rate, max_lag)
        typer.echo(f"{workers} workers, " + ("waiting for work" if watch else "until no run is open"))
        one = Workers(parts.database, parts.maintenance, parts.source, how, parts.stop)
        if child:
            async with die_with_parent(parts.stop):
                await one.work(only)
        elif watch:
            await cli_watch.beside(parts, asyncio.create_task(one.work(only or None, watch=True), name="workers"))
        else:
            await one.work(only or None)
        return DONE

    execute(go, workers)


async def _require_runs(parts: Parts, wanted: Sequence[int]) -> None:
    there = {standing.run for standing in await run_store.standings(parts.database, wanted)} if wanted else set()
    missing = [str(run) for run in wanted if run not in there]
    if missing:
        raise RefusedError(f"there is no run {', '.join(missing)}: see `crossfade backfill status`")


async def _plan_all(
    parts: Parts, collections: Sequence[str], database: str, workers: int, *, dump: bool, full_text: bool
) -> tuple[list[int], dict[str, str]]:
    async def planned(name: str) -> int:
        return await plan_backfill(parts.database, parts.source, name, workers=workers, dump=dump, full_text=full_text)

    return await each(await names_of(parts, collections, database), planned)
