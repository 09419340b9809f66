"""The command `crossfade`.

    runtime     options, names of collections, errors -> exit codes, output for people and for machines
    naming      names of collections, and what is said of those that are not known
    stages      mirror, shadow, default-stage; flip: flip; rollback: rollback; stage_change: what changes share
    replay      shadow replay: recorded reads once more, until rare shapes are compared often enough
    guard       guard: what the guards of flipped collections see, and taking them off
    acknowledge    acknowledge: notice is taken of what a guard or an instance took back
    status      status, gates, audit
    instances   instances, instances evict
    shapes      shapes, waive, unwaive; limits: what gates measure by
    trace       trace: what is known of one document
    mismatches  list, show, ignore, repair (export: export, reproduce)
    tolerances  noise: what does not matter; sampling: how many reads are compared
    repair      documents by name, or those that were written around the proxies
    repair_keys reads documents of the origin again and puts them right in PostgreSQL
    proxy_run   migrate, proxy run
    doctor      what must be in place, checked one by one
    explain     explain: what becomes of an AQL query
    indexes     indexes: what the shapes that were seen need (index_building: concurrently, with progress)
    tables      rich tables for people

Exit codes: 0 done, or every gate passes; 1 refused, or a gate does not pass; 2 wrong usage, or PostgreSQL cannot be
reached or is not migrated; 3 instances did not acknowledge in time; 130 Ctrl-C. Further packages add commands by the
entry-point group `crossfade.commands`: a function `register(app: typer.Typer) -> None` each.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated, Final, TextIO

import structlog
import typer

from proxy.base.errors import CrossfadeError

_GROUP = "crossfade.commands"
# modules and their commands. The one that is wanted is loaded alone: a command begins in half the time
COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    "proxy_run": ("migrate", "proxy"),
    "doctor": ("doctor",),
    "stages": ("mirror", "shadow", "default-stage"),
    "flip": ("flip",),
    "rollback": ("rollback",),
    "guard": ("guard",),
    "acknowledge": ("acknowledge",),
    "status": ("status", "gates", "audit"),
    "shapes": ("shapes", "limits"),
    "trace": ("trace",),
    "explain": ("explain",),
    "indexes": ("indexes",),
    "mismatches": ("mismatches",),
    "tolerances": ("noise", "sampling"),
    "repair": ("repair",),
    "instances": ("instances",),
}
_HELP = """Move document services from ArangoDB to PostgreSQL with no downtime.

The operator's way: crossfade migrate, doctor, mirror, backfill, verify, shadow, gates, flip; crossfade rollback takes
reads back at any time, in one step."""


def register(app: typer.Typer) -> None:
    """Adds this package's commands to the application."""
    for name in COMMANDS:
        _register(app, name)


def _register(app: typer.Typer, name: str) -> None:
    importlib.import_module(f"{__name__}.{name}").register(app)


def _shown(value: bool) -> None:
    if value:
        typer.echo(f"crossfade {version('crossfade')}")
        raise typer.Exit


def _options(
    shown: Annotated[bool, typer.Option("--version", help="the version, and nothing else", callback=_shown)] = False,
) -> None:
    """What stands before the command."""


def build(wanted: str = "") -> tuple[typer.Typer, tuple[str, ...]]:
    """The application, and a sentence for each package that could not be loaded.

    wanted: the command that will be called; where it is known whose it is, nothing else is loaded.
    """
    app = typer.Typer(
        name="crossfade", help=_HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
    )
    app.callback(help=_HELP)(_options)
    for name, commands in COMMANDS.items():
        if wanted in commands:
            _register(app, name)
            return app, ()
    if not wanted:
        register(app)
    broken = []
    for entry in sorted(entry_points(group=_GROUP), key=lambda entry: entry.name):
        if entry.value == f"{__name__}:register":
            continue
        why = _add(app, entry)
        if why:
            broken.append(f"crossfade: the commands of {entry.name!r} ({entry.value}) are missing: {why}")
    if wanted and wanted not in names(app):
        return build()
    return app, tuple(broken)


def names(app: typer.Typer) -> set[str]:
    """The commands and groups that it has, as they are typed."""
    return {*typer.main.get_group(app).commands}


def _add(app: typer.Typer, entry: EntryPoint) -> str:
    """Adds the commands of one entry point; why that failed, empty where it did not."""
    try:
        entry.load()(app)
    except (ImportError, AttributeError, TypeError, ValueError, RuntimeError, OSError, CrossfadeError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


class NonFailingStream(io.StringIO):
    """A stream that cannot fail: a full disk under a log must not break the request that is logged (I2)."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def log_to(stream: TextIO) -> None:
    """Logs go there. A traceback shows lines and no variables: these hold documents and credentials."""
    printing = structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(NonFailingStream(stream)),
        processors=[*structlog.get_config()["processors"][:-1], printing],
    )


def main() -> None:
    """The console script. Standard output is what a command answers; what parts of it log goes to standard error."""
    log_to(sys.stderr)
    app, broken = build(next((word for word in sys.argv[1:] if not word.startswith("-")), ""))
    for sentence in broken:
        typer.echo(sentence, err=True)
    app()
