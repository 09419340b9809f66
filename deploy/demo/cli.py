"""`crossfade dev` and `crossfade demo`. Exit codes: 0 all is true, 1 it is not, 2 a setting or a server."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated, Final

import typer
from rich.console import Console

from deploy.demo.demo_options import DemoOptions
from deploy.demo.loopback import reach_directly
from deploy.demo.scenario import run
from deploy.demo.stack import Part, Stack, StackOptions
from proxy.base.errors import ConfigurationError
from proxy.model.stages import Stage

_USUAL = DemoOptions()
_LOOK = 0.25  # seconds between two checks of children and parent
_PARENT: Final = (
    os.getppid()
)  # read as early as possible, so that the end of the parent is noticed while the stack starts


def register(app: typer.Typer) -> None:
    """Add the commands of the local stack."""
    app.command()(dev)
    app.command()(demo)


def dev(
    *,
    arango_port: Annotated[
        int, typer.Option(min=0, max=65535, help="port of the development ArangoDB; 0: a free port")
    ] = 8529,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="port of the proxy, to which your service connects")
    ] = 8530,
    admin_port: Annotated[int, typer.Option(min=0, max=65535, help="port of the proxy's metrics and live page")] = 8531,
    pg_port: Annotated[int, typer.Option(min=0, max=65535, help="port of PostgreSQL")] = 54320,
    directory: Annotated[
        Path | None,
        typer.Option("--dir", help="folder for data, journal and logs; by default a temporary one"),
    ] = None,
    stage: Annotated[
        Stage,
        typer.Option(
            metavar="STAGE",
            help="stage of new collections: off, mirror, shadow, flipped (without gates), or complete (no ArangoDB)",
        ),
    ] = Stage.OFF,
    only: Annotated[Part | None, typer.Option(help="start only this server, without the proxy")] = None,
) -> None:
    """Run the local stack in the foreground: PostgreSQL, a development ArangoDB, the proxy.

    ARANGO_URL and POSTGRES_DSN use a real server in place of either. Everything stops on Ctrl-C, or when the parent
    process ends. With --stage flipped, collections that are created through the proxy are served from PostgreSQL
    immediately: a stack that starts empty has nothing that gates could judge, so they do not apply here. With --stage
    complete, PostgreSQL answers everything, and no ArangoDB is started.

    Examples:
      crossfade dev --stage mirror
      crossfade dev --stage complete
      crossfade dev --only postgres --pg-port 54321
    """
    if stage is Stage.PROMOTED:
        what = "new collections begin with off, mirror, shadow, flipped or complete"
        raise typer.BadParameter(what, param_hint="--stage")
    console = Console()
    stop = _stop_signals()
    options = StackOptions(
        arango_port=arango_port,
        port=port,
        admin_port=admin_port,
        pg_port=pg_port,
        folder=directory,
        stage=stage.value,
        only=only,
    )
    failed = False
    try:
        with Stack(options) as stack:
            _show(console, stack)
            failed = not _wait(console, stack, stop)
    except KeyboardInterrupt:  # between two steps of starting: the stack has been stopped all the same
        failed = False
    except ConfigurationError as error:
        Console(stderr=True).print(f"crossfade dev: {error}", style="red", highlight=False, markup=False)
        raise typer.Exit(2) from error
    raise typer.Exit(1 if failed else 0)


def demo(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="keep the stack running at the end, until Ctrl-C")] = False,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="folder for data, journal and logs; by default a temporary one")
    ] = None,
    clients: Annotated[int, typer.Option(min=1, max=50, help="how many clients send requests")] = _USUAL.clients,
    rate: Annotated[float, typer.Option(min=1, help="requests per second of all clients together")] = _USUAL.rate,
    steady: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="how long each measured phase lasts")
    ] = _USUAL.steady,
    comparisons: Annotated[
        int, typer.Option(min=1, help="how many comparisons a collection needs for its flip")
    ] = _USUAL.comparisons,
) -> None:
    """Migrate 24,500 documents under live traffic: mirror, backfill, shadow, flip, rollback, a kill; check everything.

    Example:
      crossfade demo --rate 100 --keep
    """
    console = Console() if sys.stdout.isatty() else Console(width=120)
    stop = _stop_signals()
    reach_directly(os.environ)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # retries against a killed proxy are part of the play
    options = DemoOptions(
        folder=directory,
        clients=clients,
        rate=rate,
        steady=steady,
        comparisons=comparisons,
        password=os.environ.get("CROSSFADE_ORIGIN_PASSWORD", ""),
    )

    def stay(stack: Stack) -> None:
        _show(console, stack)
        _wait(console, stack, stop)

    try:
        good = run(options, console, stay if keep else None)
    except ConfigurationError as error:
        Console(stderr=True).print(f"crossfade demo: {error}", style="red", highlight=False, markup=False)
        raise typer.Exit(2) from error
    raise typer.Exit(0 if good else 1)


class _Stopped(threading.Event):
    """Set by SIGTERM or SIGHUP, and by Ctrl-C once the stack is up."""


def _stop_signals() -> _Stopped:
    stopped = _Stopped()

    def hear(_number: int, _frame: FrameType | None) -> None:
        if stopped.is_set():
            return
        stopped.set()
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, hear)
    return stopped


def _show(console: Console, stack: Stack) -> None:
    lines = []
    if stack.proxy is not None:
        lines += [f"proxy         {stack.url}   <- your service's ArangoDB URL", f"admin         {stack.admin_url}"]
    if stack.arango_url:
        lines.append(f"ArangoDB      {stack.arango_url}")
    if stack.dsn:
        lines.append(f"PostgreSQL    {stack.dsn}")
    lines.append(f"logs          {stack.folder}")
    if stack.proxy is not None:
        lines.append("in another terminal, before `crossfade status` and the other commands:")
        lines += [f"    export {name}={shlex.quote(value)}" for name, value in stack.environment().items()]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _wait(console: Console, stack: Stack, stop: _Stopped) -> bool:
    """Wait for a signal or the end of the parent (True), or the end of a server (False)."""
    try:
        while not stop.wait(_LOOK):
            ended = stack.ended()
            if ended is not None:
                console.print(f"{ended.name} has ended:\n{ended.tail()}", style="red", highlight=False, markup=False)
                return False
            if os.getppid() != _PARENT:
                return True
    except KeyboardInterrupt:
        pass
    return True
