"""`crossfade out-of-band watch`: report documents that no proxy wrote, as long as it runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Annotated

import orjson
import typer

from backfill.cli_runtime import Parts, execute
from backfill.out_of_band_judge import OriginVersion
from backfill.out_of_band_watch import OutOfBandWatch
from proxy.base.config import Settings, load
from proxy.cli.registration import group
from proxy.cli.runtime import DONE, JsonOption
from proxy.operator.origin_connection import origin_upstream


def register(app: typer.Typer) -> None:
    """Add the command group to the application."""
    out_of_band = group(
        """Find writes to ArangoDB that go around the proxies.

        Example:
          crossfade out-of-band watch
        """
    )
    out_of_band.command()(watch)
    app.add_typer(out_of_band, name="out-of-band")


def watch(
    *,
    interval: Annotated[
        float | None,
        typer.Option(
            "--interval",
            metavar="SECONDS",
            min=0.05,
            help="pause between two reads; by default 0.5, or 10 on a cluster, where each read is a scan",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Watch every mirrored collection for out-of-band writes, until stopped.

    It reads ArangoDB's write-ahead log (on a cluster: scans for new revisions, which does not show removals), and the
    writes that the proxies reported. A document that no proxy wrote is printed, listed by `crossfade status`, and
    blocks the flip of its collection. To unblock it: move the writer to a proxy, run `crossfade repair`, then
    `crossfade verify`. `crossfade backfill worker --daemon` watches as well. One watch is enough: a second one waits.
    ArangoDB is only read.

    Examples:
      crossfade out-of-band watch
      crossfade out-of-band watch --json | jq -r .key
    """

    async def go(parts: Parts) -> int:
        async with watching(parts, load(), interval=interval, as_json=as_json) as one:
            await one.run()
        return DONE

    execute(go, 1)


@contextlib.asynccontextmanager
async def watching(
    parts: Parts, settings: Settings, *, interval: float | None = None, as_json: bool = False
) -> AsyncIterator[OutOfBandWatch]:
    """Yield a watch that prints what it finds, with dedicated connections to ArangoDB."""

    def found(one: OriginVersion) -> None:
        if as_json:
            value = {"collection": one.collection, "key": one.key, "revision": str(one.rev), "removed": one.removed}
            typer.echo(orjson.dumps(value).decode())
        else:
            typer.echo(f"{one.collection}/{one.key} was {'removed' if one.removed else 'written'} out of band")

    async with origin_upstream(settings) as upstream:
        account = settings.origin_account
        yield OutOfBandWatch(parts.database, upstream, *account, parts.stop, found=found, pause=interval)


async def watch_during(parts: Parts, work: asyncio.Task[None]) -> None:
    """Watch as long as `work` continues, and raise what it raises."""
    async with watching(parts, load()) as one:
        task = asyncio.create_task(one.run(), name="watch")
        try:
            done, _ = await asyncio.wait({task, work}, return_when=asyncio.FIRST_COMPLETED)
            if task in done:
                task.result()  # it ends when it is stopped, or with an error that must be raised
            await work
        finally:
            parts.stop.set()
            await asyncio.gather(task, work, return_exceptions=True)
