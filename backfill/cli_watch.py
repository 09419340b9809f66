"""`crossfade watch`: names documents that are written around the proxies, as long as it runs."""

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
from proxy.cli.runtime import DONE, JsonOption
from proxy.http.upstream import Upstream


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("watch")(watch)


def watch(
    *,
    every: Annotated[
        float | None,
        typer.Option("--every", min=0.05, help="seconds between two looks: 0.5 by default, 10 where it must scan"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Watch for writers that go around the proxies, in every mirrored collection, until stopped.

    It reads ArangoDB's write-ahead log (on a cluster: scans for new revisions, which does not show removals), and asks
    what the proxies took. Each document that none of them took is printed, shown by `crossfade status`, and keeps its
    collection from its flip, until the writer comes through a proxy, `crossfade repair` has mended the document, and
    `crossfade verify` has gone through the collection once more. `crossfade backfill worker --watch` does all of this
    as well; one watch is enough, a second one waits. Nothing is changed in ArangoDB.

    Example: crossfade watch; crossfade watch --json | jq -r .key
    """

    async def go(parts: Parts) -> int:
        async with watching(parts, load(), every=every, as_json=as_json) as one:
            await one.run()
        return DONE

    execute(go, 1)


@contextlib.asynccontextmanager
async def watching(
    parts: Parts, settings: Settings, *, every: float | None = None, as_json: bool = False
) -> AsyncIterator[OutOfBandWatch]:
    """A watch that prints what it finds, with connections of its own to ArangoDB."""
    upstream = Upstream(
        str(settings.origin),
        connections=2,
        connect_timeout=settings.connect_timeout,
        request_timeout=settings.request_timeout,
    )

    def found(one: OriginVersion) -> None:
        if as_json:
            value = {"collection": one.collection, "key": one.key, "revision": str(one.rev), "removed": one.removed}
            typer.echo(orjson.dumps(value).decode())
        else:
            typer.echo(f"{one.collection}/{one.key} was {'removed' if one.removed else 'written'} around the proxies")

    account = (settings.origin_user, settings.origin_password)
    try:
        yield OutOfBandWatch(parts.database, upstream, *account, parts.stop, found=found, pause=every)
    finally:
        await upstream.close()


async def beside(parts: Parts, work: asyncio.Task[None]) -> None:
    """Watches as long as `work` goes on, and raises what it raises."""
    async with watching(parts, load()) as one:
        task = asyncio.create_task(one.run(), name="watch")
        try:
            done, _ = await asyncio.wait({task, work}, return_when=asyncio.FIRST_COMPLETED)
            if task in done:
                task.result()  # it ends when it is told to, or by what must not be hidden
            await work
        finally:
            parts.stop.set()
            await asyncio.gather(task, work, return_exceptions=True)
