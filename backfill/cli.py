"""`crossfade backfill`: plan, run, status, worker.

cli_throttle has throttle, pause and resume; cli_verify `crossfade verify`; cli_watch `crossfade out-of-band watch`;
completion `crossfade complete`.

Exit codes: 0 done (and, for verify, equal); 1 refused, failed, stopped, or differences remain; 2 a wrong setting, or
PostgreSQL cannot be reached or is not migrated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer

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
    print_statuses,
    report_left_out,
    work_on,
)
from backfill.completion import cli as completion_cli
from backfill.governor import setting
from backfill.run_planner import plan_backfill
from backfill.throttle import as_text
from backfill.worker import Workers
from backfill.worker_processes import die_with_parent
from proxy.base.errors import PreconditionFailed
from proxy.cli.naming import selected
from proxy.cli.registration import bundled, group
from proxy.cli.runtime import DONE, REFUSED, Collections, JsonOption, Selection

DumpOption = Annotated[
    bool,
    typer.Option(
        "--dump",
        help="read with the parallel dump of ArangoDB 3.12, if the server has it; a killed worker starts the "
        "collection again",
    ),
]
TextOption = Annotated[bool, typer.Option("--full-text", help="create an index for full-text search at the end")]


def register(app: typer.Typer) -> None:
    """Add this package's commands to the application."""
    backfill = group(
        """Copy the history of collections into PostgreSQL, during live writes.

        `crossfade backfill COLLECTION...` plans and runs it, with the options of `crossfade backfill run`. An
        interrupted run continues when it is repeated.

        Examples:
          crossfade backfill shop/orders
          crossfade backfill throttle --max-rate 500
          crossfade backfill status
        """,
        default="run",
        bare=False,
    )
    backfill.command("plan")(plan)
    backfill.command("run")(run)
    backfill.command("status")(status)
    backfill.command("worker")(worker)
    cli_throttle.register(backfill)
    app.add_typer(backfill, name="backfill")
    cli_verify.register(app)
    cli_watch.register(app)
    completion_cli.register(app)


@bundled
def plan(
    chosen: Collections,
    *,
    workers: WorkersOption = 2,
    dump: DumpOption = False,
    full_text: TextOption = False,
    as_json: JsonOption = False,
) -> None:
    """Split collections into key ranges that workers copy.

    Examples:
      crossfade backfill plan shop/orders
      crossfade backfill run
    """

    async def go(parts: Parts) -> int:
        runs, left = await _plan_all(parts, chosen, workers, dump=dump, full_text=full_text)
        found = await run_store.statuses(parts.database, runs)
        print_statuses(found, as_json=as_json)
        if not as_json:
            for status in found:
                extra = " and one for full-text search" if status.result.get("full_text") else ""
                way = "one dump" if status.mode == "dump" else f"{status.chunks} key ranges"
                typer.echo(f"  {way}; then the index for filters{extra}, created concurrently, and ANALYZE")
        report_left_out(left)
        return REFUSED if left else DONE

    execute(go, workers, as_json=as_json)


@bundled
def run(
    chosen: Selection,
    *,
    workers: WorkersOption = 2,
    processes: ProcessesOption = 1,
    max_rate: RateOption = None,
    max_lag: LagOption = None,
    dump: DumpOption = False,
    full_text: TextOption = False,
    as_json: JsonOption = False,
) -> None:
    """Copy collections, or continue where an earlier run stopped. Without a collection: work on every open run.

    Examples:
      crossfade backfill run shop/orders --workers 4
      crossfade backfill run 'shop/*' --max-lag 5
    """

    async def go(parts: Parts) -> int:
        if chosen.collections:
            wanted = Collections(chosen.collections, chosen.database)
            runs, left = await _plan_all(parts, wanted, workers * processes, dump=dump, full_text=full_text)
        else:
            runs, left = await run_store.open_runs(parts.database), {}
        how = options(workers, max_rate, max_lag)
        return await work_on(
            parts, runs, how, as_json=as_json, again="crossfade backfill run", processes=processes, left=left
        )

    execute(go, workers, as_json=as_json)


@bundled
def status(chosen: Selection, *, as_json: JsonOption = False) -> None:
    """Show the newest backfill and verification of each collection, and what throttles the workers.

    Example:
      crossfade backfill status shop/orders
    """

    async def go(parts: Parts) -> int:
        names = await selected(parts.database, chosen.collections, chosen.database)
        found = await run_store.latest(parts.database, names)
        print_statuses(found, as_json=as_json)
        if as_json:
            return DONE
        if not found:
            typer.echo("no backfill or verification has been run")
        limits = as_text((await setting(parts.database)).limits)
        if limits:
            typer.echo(f"throttle: {limits}")
        return DONE

    execute(go, 1, as_json=as_json)


def worker(
    *,
    daemon: Annotated[
        bool,
        typer.Option(
            "--daemon",
            help="run until stopped: wait for runs, verify unverified collections, watch for out-of-band writes",
        ),
    ] = False,
    workers: WorkersOption = 2,
    max_rate: RateOption = None,
    max_lag: LagOption = None,
    only: Annotated[
        list[int] | None, typer.Option("--run", metavar="ID", help="work only on this run; can be repeated")
    ] = None,
    child: Annotated[bool, typer.Option("--child", hidden=True)] = False,
) -> None:
    """Work on all open runs, concurrently with any number of other workers.

    Examples:
      crossfade backfill worker --run 12
      crossfade backfill worker --daemon
    """

    async def go(parts: Parts) -> int:
        await _require_runs(parts, only or ())
        how = options(workers, max_rate, max_lag)
        typer.echo(f"{workers} workers, " + ("waiting for work" if daemon else "until no run is open"))
        one = Workers(parts.database, parts.maintenance, parts.source, how, parts.stop)
        if child:
            async with die_with_parent(parts.stop):
                await one.work(only)
        elif daemon:
            await cli_watch.watch_during(parts, asyncio.create_task(one.work(only or None, watch=True), name="workers"))
        else:
            await one.work(only or None)
        return DONE

    execute(go, workers)


async def _require_runs(parts: Parts, wanted: Sequence[int]) -> None:
    there = {status.run for status in await run_store.statuses(parts.database, wanted)} if wanted else set()
    missing = [str(run) for run in wanted if run not in there]
    if missing:
        raise PreconditionFailed(f"there is no run {', '.join(missing)}: run `crossfade backfill status`")


async def _plan_all(
    parts: Parts, chosen: Collections, workers: int, *, dump: bool, full_text: bool
) -> tuple[list[int], dict[str, str]]:
    async def planned(name: str) -> int:
        return await plan_backfill(parts.database, parts.source, name, workers=workers, dump=dump, full_text=full_text)

    return await each(await names_of(parts, chosen), planned)
