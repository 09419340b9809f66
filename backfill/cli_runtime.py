"""What the backfill commands share: options, connections, signals, and the work on runs with its progress."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

import typer

from backfill import run_store
from backfill.progress import RunBars, RunLines, shown
from backfill.run_summary import RunSummary, line, samples
from backfill.source import ArangoSource
from backfill.throttle import ThrottleLimits
from backfill.worker import WorkerOptions, Workers
from backfill.worker_processes import WorkerPool
from proxy.base.config import Settings, load
from proxy.base.database import Database
from proxy.base.errors import ArangoError, CrossfadeError, PreconditionFailed
from proxy.base.supervise import StopEvent, stop_on_signals
from proxy.cli.naming import expand
from proxy.cli.runtime import DONE, REFUSED, Collections, code_when_stopped, console, fail, note, write_json
from proxy.model.stages import Stage
from proxy.operator import migrate

WorkersOption = Annotated[int, typer.Option("--workers", min=1, max=64, help="how many workers each process runs")]
ProcessesOption = Annotated[
    int, typer.Option("--processes", min=1, max=64, help="how many processes to use, if one core is the bottleneck")
]
RateOption = Annotated[
    float | None, typer.Option("--max-rate", min=0.1, help="limit each worker to N documents per second")
]
LagOption = Annotated[
    float | None, typer.Option("--max-lag", min=0.0, help="wait while the mirror lags by more than N seconds")
]


@dataclass(frozen=True, slots=True)
class Parts:
    """Connections and the stop signal of a command."""

    database: Database
    maintenance: Database
    source: ArangoSource
    stop: StopEvent


def options(workers: int, max_rate: float | None, max_lag: float | None) -> WorkerOptions:
    """Return the options of workers from those of a command."""
    return WorkerOptions(workers=workers, limits=ThrottleLimits(max_rate, max_lag))


async def each(names: Sequence[str], plan: Callable[[str], Awaitable[int | None]]) -> tuple[list[int], dict[str, str]]:
    """Return the planned runs, and the collections that failed with the reason; one failure does not stop the others.

    If there is only one name, raise its error. Raise UpstreamError if ArangoDB does not answer at all, DatabaseError.
    """
    chosen: list[int] = []
    left: dict[str, str] = {}
    for name in names:
        try:
            run = await plan(name)
        except (ArangoError, PreconditionFailed) as error:
            if len(names) == 1:
                raise
            left[name] = str(error)
        else:
            chosen += [] if run is None else [run]
    return chosen, left


def report_left_out(left: Mapping[str, str]) -> None:
    """Print what a command over many collections did not do, and why."""
    for name, why in left.items():
        note(f"skipped: {name}: {why}")


async def work_on(
    parts: Parts,
    chosen: list[int],
    how: WorkerOptions,
    *,
    as_json: bool,
    again: str,
    processes: int = 1,
    left: Mapping[str, str] = MappingProxyType({}),
) -> int:
    """Work on runs until they end, show their progress, print their results, and return the exit code.

    left: collections that could not be planned; they are named at the end and make the exit code 1.
    """
    code = (
        await _worked(parts, chosen, how, as_json=as_json, again=again, processes=processes)
        if chosen or not left
        else REFUSED
    )
    if as_json and not chosen and left:
        write_json([])
    report_left_out(left)
    return REFUSED if left else code


async def _worked(
    parts: Parts, chosen: list[int], how: WorkerOptions, *, as_json: bool, again: str, processes: int
) -> int:
    with _view(as_json=as_json) as view:
        async with shown(parts.database, chosen, view) if view is not None else contextlib.nullcontext():
            if processes > 1:
                await WorkerPool(parts.stop, processes, how).work(chosen)
            else:
                await Workers(parts.database, parts.maintenance, parts.source, how, parts.stop).work(chosen)
    found = await run_store.statuses(parts.database, chosen)
    print_statuses(found, as_json=as_json)
    if any(status.state == "open" for status in found):
        note(f"stopped; continue with: {again}")
        return REFUSED
    if any(status.state != "done" for status in found):
        return REFUSED
    differences = sum(status.result.get("differences", 0) for status in found)
    if differences and not as_json:
        for text in samples(found):
            typer.echo(text)
    return REFUSED if differences else DONE


@contextlib.contextmanager
def _view(*, as_json: bool) -> Iterator[RunBars | RunLines | None]:
    out = console(stderr=True)
    if as_json:
        yield None
    elif out.is_terminal:
        with RunBars(out) as bars:
            yield bars
    else:
        yield RunLines(out)


def print_statuses(found: Sequence[RunSummary], *, as_json: bool) -> None:
    """Print one line for each run, or one JSON document."""
    if as_json:
        write_json([status.as_json() for status in found])
        return
    for status in found:
        typer.echo(line(status))


async def names_of(parts: Parts, chosen: Collections) -> list[str]:
    """Return the mirrored collections that match the names and patterns."""
    return await expand(
        parts.database,
        chosen.collections,
        chosen.database,
        lambda status: status.stage.at_least(Stage.MIRROR),
        "mirrored",
    )


def execute(go: Callable[[Parts], Awaitable[int]], workers: int, *, as_json: bool = False) -> None:
    """Run a command. Raise typer.Exit with its code, or with the code of the error that ended it."""
    try:
        code = asyncio.run(_with_parts(go, load(), workers))
    except CrossfadeError as error:
        raise fail(error, as_json=as_json) from error
    raise typer.Exit(code)


async def _with_parts(go: Callable[[Parts], Awaitable[int]], settings: Settings, workers: int) -> int:
    async with _parts(settings, workers) as parts:
        return code_when_stopped(await go(parts), parts.stop)


@contextlib.asynccontextmanager
async def _parts(settings: Settings, workers: int) -> AsyncIterator[Parts]:
    stop = StopEvent()
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(stop_on_signals(stop))
        database = await Database.open(settings.postgresql_dsn, size=2 * workers + 3, application="crossfade backfill")
        stack.push_async_callback(database.close)
        maintenance = await Database.open(
            settings.postgresql_dsn, size=max(2, workers), timeout=None, application="crossfade backfill"
        )
        stack.push_async_callback(maintenance.close)
        await migrate.require_migrated(database)
        source = ArangoSource(settings.origin_url, *settings.origin_account, threads=workers + 1)
        stack.push_async_callback(source.close)
        yield Parts(database, maintenance, source, stop)
