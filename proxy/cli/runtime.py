"""Parts that all commands share: options, errors as exit codes, output. Names of collections: `naming`."""

from __future__ import annotations

import asyncio
import getpass
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
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
    PreconditionFailed,
    SchemaOutdated,
    UpstreamError,
)
from proxy.base.supervise import StopEvent
from proxy.cli.control_characters import PrintableOnly, printable
from proxy.control.epoch import TimedOut
from proxy.operator import migrate

DONE: Final = 0
REFUSED: Final = 1
UNUSABLE: Final = 2
TIMED_OUT: Final = 3
INTERRUPTED: Final = 130  # as shells report Ctrl-C
_UNBROKEN: Final = 100_000  # columns: wider than any line

CollectionsArgument = Annotated[
    list[str],
    typer.Argument(metavar="COLLECTION", help="database/name, or name with --database; database/* for all"),
]
CollectionArgument = Annotated[str, typer.Argument(metavar="COLLECTION", help="database/name, or name with --database")]
SomeCollections = Annotated[
    list[str] | None, typer.Argument(metavar="COLLECTION", help="database/name or database/*; by default all")
]
DatabaseOption = Annotated[
    str,
    typer.Option(
        "--database",
        metavar="NAME",
        envvar="CROSSFADE_DATABASE",
        help="the database of collections that are named without one",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON document and nothing else")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="show what would be done, and change nothing")]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="the reason, which the audit records")]
ActorOption = Annotated[
    str | None, typer.Option("--actor", help="the name that the audit records; by default user@host")
]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="how long to wait for each phase of the change")
]

Action = Callable[[Settings, Database], Awaitable[int]]


@dataclass(frozen=True)
class Collections:
    """One collection or more, by names and patterns."""

    collections: CollectionsArgument
    database: DatabaseOption = "_system"


@dataclass(frozen=True)
class Selection:
    """Some collections; all of them if none is named."""

    collections: SomeCollections = None
    database: DatabaseOption = "_system"


@dataclass(frozen=True)
class Audited:
    """Options of a change: actor and reason, for the audit; form of the output."""

    reason: ReasonOption = None
    actor: ActorOption = None
    as_json: JsonOption = False

    @property
    def who(self) -> str:
        """Whom the audit names."""
        return actor_or_me(self.actor)

    def required_reason(self, what: str) -> str:
        """Return the reason. Raise PreconditionFailed if there is none: `what` needs one."""
        if not self.reason:
            raise PreconditionFailed(f"{what} needs --reason: it is recorded in the audit and shown")
        return self.reason


@dataclass(frozen=True)
class ChangeOptions(Audited):
    """Options of a change that can be tried out."""

    dry_run: DryRunOption = False


@dataclass(frozen=True)
class StageOptions(ChangeOptions):
    """Options of a change of stages forward."""

    timeout: TimeoutOption = 30.0


def execute(
    action: Action,
    *,
    as_json: bool = False,
    migrated: bool = True,
    timeout: float | None = 30.0,
    away: Callable[[Settings], Coroutine[Any, Any, tuple[str, ...]]] | None = None,
) -> None:
    """Run a command against PostgreSQL and exit with its code, or with the code of the error that ended it.

    timeout: seconds for a statement. migrated: refuse a database whose schema has another version. away: lines to
    print before the error (with `--json`: as its `meanwhile`) if PostgreSQL cannot be reached.
    """
    try:
        code = asyncio.run(_connected(action, load(), migrated=migrated, timeout=timeout))
    except DatabaseUnavailable as error:
        meanwhile = asyncio.run(away(load())) if away is not None else ()
        if not as_json:
            for line in meanwhile:
                typer.echo(line)
        raise fail(error, as_json=as_json, meanwhile=meanwhile) from error
    except CrossfadeError as error:
        raise fail(error, as_json=as_json) from error
    except KeyboardInterrupt:
        note("interrupted: an unfinished change is aborted. Run `crossfade status` to see the current stages")
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(code)


def fail(error: CrossfadeError, *, as_json: bool = False, meanwhile: Sequence[str] = ()) -> typer.Exit:
    """Print the error on standard error (and as JSON on standard output), and return the exit to raise."""
    code = exit_code(error)
    typer.echo(printable(f"crossfade: {_advice(error)}"), err=True)
    if as_json:
        about = {"kind": type(error).__name__, "message": str(error), "code": code}
        write_json({"error": {**about, "meanwhile": list(meanwhile)} if meanwhile else about})
    return typer.Exit(code)


def exit_code(error: CrossfadeError) -> int:
    """Return the exit code of an error."""
    if isinstance(error, TimedOut):
        return TIMED_OUT
    if isinstance(error, ConfigurationError | DatabaseUnavailable | SchemaOutdated):
        return UNUSABLE
    return REFUSED


def code_when_stopped(code: int, stop: StopEvent) -> int:
    """Return the exit code of a command that ends early when `stop` is set: Ctrl-C has its own code."""
    return INTERRUPTED if code == REFUSED and stop.interrupted else code


def _advice(error: CrossfadeError) -> str:
    if isinstance(error, DatabaseUnavailable) and error.sqlstate:
        return f"PostgreSQL cannot do this now: {error} [{error.sqlstate}]. Run `crossfade doctor`"
    if isinstance(error, DatabaseBusy | DatabaseTimedOut):
        return f"PostgreSQL is too slow: {error}"
    if isinstance(error, DatabaseUnavailable):
        return f"Cannot connect to PostgreSQL: {error}. Set CROSSFADE_DSN to its address. Run `crossfade doctor`"
    if isinstance(error, UpstreamError):
        return f"Cannot connect to ArangoDB: {error}. Set CROSSFADE_ORIGIN to its address. Run `crossfade doctor`"
    if isinstance(error, ArangoError):
        return f"ArangoDB refused: {error.message} ({error.status}, errorNum {error.number})"
    return str(error)


async def _connected(action: Action, settings: Settings, *, migrated: bool, timeout: float | None) -> int:
    database = await Database.open(settings.postgresql_dsn, size=4, timeout=timeout, application="crossfade cli")
    try:
        if migrated:
            await migrate.require_migrated(database)
        return await action(settings, database)
    finally:
        await database.close()


def actor_or_me(actor: str | None) -> str:
    """Return the actor for the audit: the given name, or user and machine."""
    if actor:
        return actor
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


# ---- output


def console(*, stderr: bool = False) -> Console:
    """Return a console for human-readable output.

    Output that is piped has no colours and no broken lines, so that `grep` finds whole rows. Control characters of
    values are replaced.
    """
    made = Console(stderr=stderr, highlight=False, soft_wrap=False)
    if not made.is_terminal:
        made = Console(stderr=stderr, highlight=False, soft_wrap=False, width=_UNBROKEN)
    made.push_render_hook(PrintableOnly())
    return made


def note(text: str) -> None:
    """Print a remark on standard error."""
    typer.echo(printable(f"crossfade: {text}"), err=True)


def plural(number: int, what: str) -> str:
    """Return `1 document`, `2 documents`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def write_json(value: Any) -> None:
    """Print one JSON document on standard output. Dataclasses, times and enumerations are allowed."""
    typer.echo(orjson.dumps(value, default=_plain, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode())


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"no JSON for {type(value).__name__}")
