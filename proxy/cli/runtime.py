"""What the commands share: options, errors as exit codes, output. Names of collections: `names`."""

from __future__ import annotations

import asyncio
import getpass
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Console

from proxy.base.config import Settings, load
from proxy.base.database import Database
from proxy.base.errors import (
    ArangoError,
    ConfigurationError,
    CrossfadeError,
    DatabaseBusy,
    DatabaseTimedOut,
    DatabaseUnavailable,
    SchemaOutdated,
    UpstreamError,
)
from proxy.control.epoch import TimedOut
from proxy.operator import migrate

DONE: Final = 0
REFUSED: Final = 1
UNUSABLE: Final = 2
TIMED_OUT: Final = 3
INTERRUPTED: Final = 130  # as shells say it of Ctrl-C
_UNBROKEN: Final = 100_000  # columns: wider than any line

CollectionsArgument = Annotated[
    list[str],
    typer.Argument(metavar="COLLECTION...", help="database/name, or name with --database; database/* for all"),
]
SomeCollections = Annotated[
    list[str] | None, typer.Argument(metavar="[COLLECTION]...", help="database/name or database/*; none: all")
]
DatabaseOption = Annotated[
    str, typer.Option("--database", envvar="CROSSFADE_DATABASE", help="database of collections named without one")
]
JsonOption = Annotated[bool, typer.Option("--json", help="one JSON document on standard output, nothing else")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="show what would be done, and do nothing")]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="why, for the audit")]
ActorOption = Annotated[str | None, typer.Option("--actor", help="who, for the audit; you by default")]
TimeoutOption = Annotated[float, typer.Option("--timeout", min=0.1, help="seconds to wait for each phase of an epoch")]

Action = Callable[[Settings, Database], Awaitable[int]]


def execute(
    action: Action,
    *,
    as_json: bool = False,
    migrated: bool = True,
    timeout: float | None = 30.0,
    away: Callable[[Settings], Coroutine[Any, Any, tuple[str, ...]]] | None = None,
) -> None:
    """Runs a command against PostgreSQL and leaves with its exit code, or with that of the error it ended with.

    timeout: seconds for a statement. migrated: refuse a database whose schema is not the one of this version. away:
    what to say, before the error (with `--json`: as its `meanwhile`), where PostgreSQL does not answer.
    """
    try:
        code = asyncio.run(_connected(action, load(), migrated, timeout))
    except DatabaseUnavailable as error:
        meanwhile = asyncio.run(away(load())) if away is not None else ()
        if not as_json:
            for line in meanwhile:
                typer.echo(line)
        raise fail(error, as_json=as_json, meanwhile=meanwhile) from error
    except CrossfadeError as error:
        raise fail(error, as_json=as_json) from error
    except KeyboardInterrupt:
        note("interrupted; a change that was under way is aborted: `crossfade status` shows what stands")
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(code)


def fail(error: CrossfadeError, *, as_json: bool = False, meanwhile: Sequence[str] = ()) -> typer.Exit:
    """Says what went wrong on standard error (and as JSON on standard output), and gives the exit to raise."""
    code = exit_code(error)
    typer.echo(f"crossfade: {_advice(error)}", err=True)
    if as_json:
        told = {"kind": type(error).__name__, "message": str(error), "code": code}
        write_json({"error": {**told, "meanwhile": list(meanwhile)} if meanwhile else told})
    return typer.Exit(code)


def exit_code(error: CrossfadeError) -> int:
    """The exit code of an error."""
    if isinstance(error, TimedOut):
        return TIMED_OUT
    if isinstance(error, ConfigurationError | DatabaseUnavailable | SchemaOutdated):
        return UNUSABLE
    return REFUSED


def _advice(error: CrossfadeError) -> str:
    if isinstance(error, DatabaseUnavailable) and error.sqlstate:
        return (
            f"PostgreSQL answers, and cannot do this now: {error} [{error.sqlstate}]; `crossfade doctor` looks further"
        )
    if isinstance(error, DatabaseBusy | DatabaseTimedOut):
        return f"PostgreSQL is too slow: {error}"
    if isinstance(error, DatabaseUnavailable):
        return (
            f"PostgreSQL does not answer: {error}. Set CROSSFADE_DSN to where it runs; `crossfade doctor` looks further"
        )
    if isinstance(error, UpstreamError):
        return f"ArangoDB does not answer: {error}. Set CROSSFADE_ORIGIN to where it runs"
    if isinstance(error, ArangoError):
        return f"ArangoDB refused: {error.message} ({error.status}, errorNum {error.number})"
    return str(error)


async def _connected(action: Action, settings: Settings, migrated: bool, timeout: float | None) -> int:
    database = await Database.open(settings.dsn, size=4, timeout=timeout, application="crossfade cli")
    try:
        if migrated:
            await migrate.require_migrated(database)
        return await action(settings, database)
    finally:
        await database.close()


# ---- people


def actor_or_me(actor: str | None) -> str:
    """Who the audit names."""
    if actor:
        return actor
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


# ---- output


def console(*, stderr: bool = False) -> Console:
    """For people. Where it is no terminal: no colour codes, and no line is broken, so that `grep` finds things."""
    made = Console(stderr=stderr, highlight=False, soft_wrap=False)
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, soft_wrap=False, width=_UNBROKEN)


def note(text: str) -> None:
    """A remark for people, on standard error."""
    typer.echo(f"crossfade: {text}", err=True)


def write_json(value: Any) -> None:
    """One JSON document on standard output. Dataclasses, times and enumerations are fine."""
    typer.echo(orjson.dumps(value, default=_plain, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode())


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"no JSON for {type(value).__name__}")
