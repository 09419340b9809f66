"""`crossfade backfill` and `crossfade verify`.

Exit codes: 0 done (and, for verify, equal); 1 refused, failed, stopped, or differences remain; 2 a wrong setting, or
PostgreSQL cannot be reached or is not migrated.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from backfill import runs
from backfill.progress import Bars, Lines, shown
from backfill.report import Standing, line, samples
from backfill.source import Source
from backfill.throttle import Limits
from backfill.worker import Options, Workers, plan_backfill, plan_verification
from proxy.cli.common import (
    DONE,
    REFUSED,
    CollectionsArgument,
    DatabaseOption,
    JsonOption,
    SomeCollections,
    expand,
    fail,
    note,
    write_json,
)
from proxy.config import Settings, load
from proxy.cutover import migrate
from proxy.cutover.stages import Stage
from proxy.database import Database
from proxy.errors import CrossfadeError

WorkersOption = Annotated[int, typer.Option("--workers", min=1, max=64, help="workers in this process")]
RateOption = Annotated[float | None, typer.Option("--max-rate", min=0.1, help="documents a second and worker")]
LagOption = Annotated[float | None, typer.Option("--max-lag", min=0.0, help="seconds that the mirror may be behind")]


class _DefaultRun(TyperGroup):
    """`crossfade backfill COLLECTION…` is `crossfade backfill run COLLECTION…`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a command works with."""

    database: Database
    maintenance: Database
    source: Source
    stop: asyncio.Event


def register(app: typer.Typer) -> None:
    """Adds this package's commands to the application."""
    group = typer.Typer(cls=_DefaultRun, no_args_is_help=True, help="Copy the history of collections into PostgreSQL.")
    group.command("plan")(plan)
    group.command("run")(run)
    group.command("status")(status)
    group.command("worker")(worker)
    app.add_typer(group, name="backfill")
    app.command("verify")(verify)


def plan(
    collections: CollectionsArgument,
    *,
    database: DatabaseOption = "_system",
    workers: WorkersOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Split collections into key ranges, for workers to take up (`crossfade backfill run`)."""

    async def go(parts: Parts) -> int:
        chosen = await _plan_all(parts, collections, database, workers)
        _print(await runs.standings(parts.database, chosen), as_json)
        return DONE

    _main(go, workers, as_json)


def run(
    collections: SomeCollections = None,
    *,
    database: DatabaseOption = "_system",
    workers: WorkersOption = 2,
    max_rate: RateOption = None,
    max_lag: LagOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy collections, going on where an earlier run stopped. Without a collection: work on every open run."""

    async def go(parts: Parts) -> int:
        options = Options(workers=workers, limits=Limits(max_rate, max_lag))
        if collections:
            chosen = await _plan_all(parts, collections, database, workers)
        else:
            chosen = await runs.open_runs(parts.database)
        return await _work(parts, chosen, options, as_json, "crossfade backfill run")

    _main(go, workers, as_json)


def status(
    collections: SomeCollections = None, database: DatabaseOption = "_system", as_json: JsonOption = False
) -> None:
    """The newest backfill and verification of each collection."""

    async def go(parts: Parts) -> int:
        names = await _expand(parts, collections, database) if collections else None
        found = await runs.latest(parts.database, names)
        _print(found, as_json)
        if not found and not as_json:
            typer.echo("no backfill or verification has been run")
        return DONE

    _main(go, 1, as_json)


def worker(
    watch: Annotated[
        bool, typer.Option("--watch", help="keep waiting for work; verify what becomes unverified")
    ] = False,
    workers: WorkersOption = 2,
    max_rate: RateOption = None,
    max_lag: LagOption = None,
) -> None:
    """Work on whatever runs are open, beside any number of other workers."""

    async def go(parts: Parts) -> int:
        options = Options(workers=workers, limits=Limits(max_rate, max_lag))
        typer.echo(f"{workers} workers, " + ("waiting for work" if watch else "until no run is open"))
        await Workers(parts.database, parts.maintenance, parts.source, options, parts.stop).work(None, watch=watch)
        return DONE

    _main(go, workers)


def verify(
    collections: CollectionsArgument,
    *,
    database: DatabaseOption = "_system",
    full: Annotated[bool, typer.Option("--full/--fast", help="content too, not only keys and revisions")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="repair what differs, and look again")] = False,
    workers: WorkersOption = 2,
    max_rate: RateOption = None,
    max_lag: LagOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare collections on both sides, key by key. Exit code 1 where differences remain."""

    async def go(parts: Parts) -> int:
        names = await _expand(parts, collections, database)
        for name in names:
            await runs.table(parts.database, name)  # refuse before anything is planned
        chosen = [
            await plan_verification(parts.database, parts.source, name, full=full, repair=repair, workers=workers)
            for name in names
        ]
        options = Options(workers=workers, limits=Limits(max_rate, max_lag))
        again = "crossfade verify " + " ".join(names) + (" --full" if full else "") + (" --repair" if repair else "")
        return await _work(parts, chosen, options, as_json, again)

    _main(go, workers, as_json)


async def _plan_all(parts: Parts, collections: Sequence[str], database: str, workers: int) -> list[int]:
    names = await _expand(parts, collections, database)
    for name in names:
        await runs.table(parts.database, name)  # refuse before anything is planned
    return [await plan_backfill(parts.database, parts.source, name, workers=workers) for name in names]


async def _work(parts: Parts, chosen: list[int], options: Options, as_json: bool, again: str) -> int:
    workers = Workers(parts.database, parts.maintenance, parts.source, options, parts.stop)
    with _view(as_json) as view:
        if view is None:
            await workers.work(chosen)
        else:
            async with shown(parts.database, chosen, view):
                await workers.work(chosen)
    found = await runs.standings(parts.database, chosen)
    _print(found, as_json)
    if any(standing.state == "open" for standing in found):
        note(f"stopped; it goes on where it was with: {again}")
        return REFUSED
    if any(standing.state != "done" for standing in found):
        return REFUSED
    left = sum(standing.result.get("differences", 0) for standing in found)
    if left and not as_json:
        for text in samples(found):
            typer.echo(text)
    return REFUSED if left else DONE


@contextlib.contextmanager
def _view(as_json: bool) -> Iterator[Bars | Lines | None]:
    console = Console(stderr=True)
    if as_json:
        yield None
    elif console.is_terminal:
        with Bars(console) as bars:
            yield bars
    else:
        yield Lines(console)


def _print(found: Sequence[Standing], as_json: bool) -> None:
    if as_json:
        write_json([standing.as_json() for standing in found])
        return
    for standing in found:
        typer.echo(line(standing))


async def _expand(parts: Parts, collections: Sequence[str], database: str) -> list[str]:
    return await expand(
        parts.database, collections, database, lambda standing: standing.stage.at_least(Stage.MIRROR), "mirrored"
    )


def _main(go: Callable[[Parts], Awaitable[int]], workers: int, as_json: bool = False) -> None:
    """Runs a command; raises typer.Exit with its code, or with that of the error it ended with."""
    try:
        code = asyncio.run(_with_parts(go, load(), workers))
    except CrossfadeError as error:
        raise fail(error, as_json=as_json) from error
    raise typer.Exit(code)


async def _with_parts(go: Callable[[Parts], Awaitable[int]], settings: Settings, workers: int) -> int:
    async with _parts(settings, workers) as parts:
        return await go(parts)


@contextlib.asynccontextmanager
async def _parts(settings: Settings, workers: int) -> AsyncIterator[Parts]:
    stop = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(_stopping(stop))
        database = await Database.open(settings.dsn, size=2 * workers + 2, application="crossfade backfill")
        stack.push_async_callback(database.close)
        maintenance = await Database.open(
            settings.dsn, size=max(2, workers), timeout=None, application="crossfade backfill"
        )
        stack.push_async_callback(maintenance.close)
        await migrate.require_migrated(database)
        source = Source(str(settings.origin), settings.origin_user, settings.origin_password, threads=workers + 1)
        stack.push_async_callback(source.close)
        yield Parts(database, maintenance, source, stop)


@contextlib.contextmanager
def _stopping(stop: asyncio.Event) -> Iterator[None]:
    """SIGTERM and SIGINT set `stop`: pages under way are finished and chunks handed back."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
