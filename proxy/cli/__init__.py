"""The command `crossfade`.

    registration   groups, help panels, help texts, bundles of options
    runtime        options, errors -> exit codes, readable and JSON output; control_characters: replaced in values
    naming         names of collections, and what is reported of names that are not known
    stages         mirror, shadow, stage default; flip: flip; rollback: rollback; stage_change: what they share
    promote        promote, demote: who takes the writes
    replay         shadow replay: recorded reads again, until rare query shapes are compared often enough
    gates          gates: what a flip needs; gates limits: the limits that gates apply
    auto_rollback  auto-rollback: limits of flipped collections, what proxies measured, disabling
    acknowledge    acknowledge: an operator has taken notice of an automatic rollback
    status         status, audit; offline_status: what is known while PostgreSQL is away
    instances      instances, instances evict
    queries        queries: query shapes, exempt, unexempt, reset
    rehearsal      rehearsal: writes that were decided a second time, by shape
    trace          trace: what is known of one document
    mismatches     mismatches: list, show, ignore, repair (export: export, reproduce)
    tolerances     tolerance: rules for differences that do not matter; sampling: how many reads are compared
    accounts       accounts copy: ArangoDB's users into PostgreSQL
    repair         repair: documents by key, or out-of-band writes; repair_keys reads them again from ArangoDB
    proxy_run      migrate, proxy run
    doctor         doctor: what must be in place, checked one by one
    explain        explain: how an AQL query is run
    indexes        indexes: what the query shapes need
    tables         tables for human readers

Exit codes: 0 done, or every gate passes; 1 refused, or a gate does not pass; 2 wrong usage, or PostgreSQL cannot be
reached or is not migrated; 3 instances did not acknowledge in time; 130 Ctrl-C. Other packages add commands by the
entry-point group `crossfade.commands`: a function `register(app: typer.Typer) -> None` each.

Terms: *panel*: a group of commands in `crossfade --help`; *bundle of options*: options that several commands share.
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
from proxy.cli import registration

_GROUP = "crossfade.commands"
_INTERRUPTED: Final = 130  # `runtime.INTERRUPTED`, which is not loaded yet
# modules and their commands. Only the module of the wanted command is loaded: it halves the time to start
COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    "proxy_run": ("migrate", "proxy"),
    "doctor": ("doctor",),
    "stages": ("mirror", "shadow", "stage"),
    "gates": ("gates",),
    "flip": ("flip",),
    "rollback": ("rollback",),
    "promote": ("promote", "demote"),
    "auto_rollback": ("auto-rollback",),
    "acknowledge": ("acknowledge",),
    "status": ("status", "audit"),
    "queries": ("queries",),
    "trace": ("trace",),
    "explain": ("explain",),
    "indexes": ("indexes",),
    "rehearsal": ("rehearsal",),
    "mismatches": ("mismatches",),
    "tolerances": ("tolerance",),
    "sampling": ("sampling",),
    "repair": ("repair",),
    "accounts": ("accounts",),
    "instances": ("instances",),
}
HELP: Final = """Move document services from ArangoDB to PostgreSQL with no downtime.

A migration is these commands, in order; `crossfade rollback` returns reads to ArangoDB at any time:
  crossfade doctor && crossfade migrate
  crossfade mirror shop/orders
  crossfade backfill shop/orders
  crossfade verify shop/orders --full
  crossfade shadow shop/orders
  crossfade indexes shop/orders --create
  crossfade gates shop/orders
  crossfade flip shop/orders --percent 10 --auto-rollback
  crossfade promote shop/orders
"""


def register(app: typer.Typer) -> None:
    """Add this package's commands to the application."""
    for name in COMMANDS:
        _register(app, name)


def _register(app: typer.Typer, name: str) -> None:
    importlib.import_module(f"{__name__}.{name}").register(app)


def _print_version(*, value: bool) -> None:
    if value:
        typer.echo(f"crossfade {version('crossfade')}")
        raise typer.Exit


def _options(
    *,
    shown: Annotated[
        bool, typer.Option("--version", metavar="", help="print the version", callback=_print_version)
    ] = False,
) -> None:
    """Options before the command."""


def build(wanted: str = "") -> tuple[typer.Typer, tuple[str, ...]]:
    """Return the application, and a sentence for each package that could not be loaded.

    wanted: the command that will be called; if its module is known, nothing else is loaded.
    """
    app = typer.Typer(
        name="crossfade",
        cls=registration.OrderedCommands,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback(help=registration.help_text(HELP))(_options)
    for name, commands in COMMANDS.items():
        if wanted in commands:
            _register(app, name)
            registration.finish(app)
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
    registration.finish(app)
    return app, tuple(broken)


def names(app: typer.Typer) -> set[str]:
    """Return its commands and groups, as they are typed."""
    return {*typer.main.get_group(app).commands}


def _add(app: typer.Typer, entry: EntryPoint) -> str:
    """Add the commands of one entry point; return why that failed, or an empty string."""
    try:
        entry.load()(app)
    except (ImportError, AttributeError, TypeError, ValueError, RuntimeError, OSError, CrossfadeError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


class NonFailingStream(io.StringIO):
    """A stream whose writes never raise: a full disk under a log must not break the logged request (I2)."""

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
    """Send logs to a stream. A traceback shows lines and no variables: these hold documents and credentials."""
    printing = structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(NonFailingStream(stream)),
        processors=[*structlog.get_config()["processors"][:-1], printing],
    )


def main() -> None:
    """Run the console script. Standard output has the command's result; logs go to standard error."""
    log_to(sys.stderr)
    try:
        app, broken = build(next((word for word in sys.argv[1:] if not word.startswith("-")), ""))
        for sentence in broken:
            typer.echo(sentence, err=True)
        app()
    except KeyboardInterrupt:  # while the command is loaded: once it runs, `runtime.execute` reports it
        typer.echo("crossfade: interrupted before anything was done", err=True)
        sys.exit(_INTERRUPTED)
