"""`crossfade report`. Exit codes: 0 written; 1 refused; 2 a wrong setting, or PostgreSQL cannot be reached."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from backfill.archive.storage import write_atomically
from backfill.migration_report import facts as values
from backfill.migration_report import html, markdown
from backfill.migration_report.collect import Inputs, gather
from backfill.migration_report.facts import Facts
from backfill.source import ArangoSource
from proxy.base.config import load
from proxy.base.database import Database
from proxy.base.errors import CrossfadeError, PreconditionFailed
from proxy.cli.naming import selected
from proxy.cli.runtime import DONE, DatabaseOption, JsonOption, SomeCollections, fail, note, write_json
from proxy.operator import migrate


class Format(enum.StrEnum):
    """Format of a report."""

    MARKDOWN = "markdown"
    JSON = "json"
    HTML = "html"


_SUFFIXES: Final = {".md": Format.MARKDOWN, ".json": Format.JSON, ".html": Format.HTML, ".htm": Format.HTML}


def register(app: typer.Typer) -> None:
    """Add this package's command to the application."""
    app.command("report")(report)


def report(
    collections: SomeCollections = None,
    *,
    form: Annotated[
        Format | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="markdown, json or html; by default by the suffix of the file, else markdown",
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", help="the file to write; by default standard output", dir_okay=False),
    ] = None,
    checksums: Annotated[
        bool,
        typer.Option("--checksums/--no-checksums", help="calculate checksums, which reads both databases completely"),
    ] = True,
    database: DatabaseOption = "_system",
    as_json: JsonOption = False,
) -> None:
    """Write the migration report: what was migrated, with the evidence.

    For each collection: documents, bytes and checksums on both sides, backfills and verifications with times and rates,
    mismatches and repairs, what was skipped and why, user ids without a user. Then every change of stages, the audit
    and whether its chain of hashes is intact, the configuration (passwords hidden) and versions.

    Checksums read both databases completely: use --no-checksums for a quick report, or during heavy traffic.

    Examples:
      crossfade report --to report.html
      crossfade report 'shop/*' --format markdown --no-checksums
    """

    async def go() -> Facts:
        settings = load()
        async with contextlib.AsyncExitStack() as stack:
            opened = await Database.open(settings.postgresql_dsn, size=2, timeout=None, application="crossfade report")
            stack.push_async_callback(opened.close)
            await migrate.require_migrated(opened)
            source = ArangoSource(settings.origin_url, *settings.origin_account, retry_seconds=3.0)
            stack.push_async_callback(source.close)
            names = await selected(opened, collections, database)
            inputs = Inputs(settings, opened, source)
            progress = note if checksums and not as_json else _silent
            return await gather(inputs, names, checksums=checksums, progress=progress)

    chosen = Format.JSON if as_json else form or (_SUFFIXES.get(to.suffix.lower()) if to else None) or Format.MARKDOWN
    try:
        found = asyncio.run(go())
        if to is None:
            _print(found, chosen)
        else:
            _write(to, rendered(found, chosen))
    except CrossfadeError as error:
        raise fail(error, as_json=as_json) from error
    if to is not None:
        note(f"{to}: {len(found.collections)} collections, {chosen}")
    raise typer.Exit(DONE)


def rendered(found: Facts, form: Format) -> str:
    """Return the report as text."""
    if form is Format.HTML:
        return html.render(found)
    if form is Format.MARKDOWN:
        return markdown.render(found)
    return msgspec.json.format(msgspec.json.encode(values.as_json(found)), indent=2).decode() + "\n"


def _print(found: Facts, form: Format) -> None:
    if form is Format.JSON:
        write_json(values.as_json(found))
    else:
        typer.echo(rendered(found, form))


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise PreconditionFailed(f"{path} cannot be written: {error.strerror}") from error


def _silent(_text: str) -> None:
    pass
