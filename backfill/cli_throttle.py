"""`crossfade backfill throttle`, `pause`, `resume`: limits of every worker on every machine, while they run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

import typer

from backfill.governor import Setting, change, setting
from backfill.throttle import ThrottleLimits, as_options, as_text
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import PreconditionFailed
from proxy.cli.registration import bundled
from proxy.cli.runtime import DONE, Audited, execute, write_json


def register(backfill: typer.Typer) -> None:
    """Add the commands to the group."""
    for command in (throttle, pause, resume):
        backfill.command()(command)


@bundled
def throttle(
    *,
    max_rate: Annotated[
        float | None, typer.Option("--max-rate", min=0.1, help="limit all workers together to N documents per second")
    ] = None,
    max_lag: Annotated[
        float | None, typer.Option("--max-lag", min=0.0, help="wait while the mirror lags by more than N seconds")
    ] = None,
    max_replica_lag: Annotated[
        float | None,
        typer.Option(
            "--max-replica-lag", min=0.0, help="wait while a replica of PostgreSQL lags by more than N seconds"
        ),
    ] = None,
    max_slowdown: Annotated[
        float | None,
        typer.Option(
            "--max-slowdown", min=1.1, help="wait while either database is more than N times slower than usual"
        ),
    ] = None,
    flag_file: Annotated[
        str | None,
        typer.Option("--flag-file", metavar="PATH", help="wait while this file exists on the worker's machine"),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="first remove all limits; a pause stays in effect")] = False,
    how: Audited,
) -> None:
    """Limit backfill and verification while they run. Limits that are not named stay; without options, show them.

    Workers apply a change within a second, and `crossfade backfill status` shows why one waits.

    Examples:
      crossfade backfill throttle --max-rate 500 --max-lag 5
      crossfade backfill throttle --clear
    """
    given = {
        "max_rate": max_rate,
        "max_lag": max_lag,
        "max_replica_lag": max_replica_lag,
        "max_slowdown": max_slowdown,
        "flag_file": flag_file,
    }
    wanted: dict[str, Any] = {name: value for name, value in given.items() if value is not None}

    def limited(known: Setting) -> ThrottleLimits:
        if max_replica_lag is not None and known.replica_lag is None:
            raise PreconditionFailed(
                "this account may not read the lag of PostgreSQL's replicas: as a superuser, GRANT pg_monitor to it"
            )
        return replace(ThrottleLimits(paused=known.limits.paused) if clear else known.limits, **wanted)

    _execute(limited if wanted or clear else None, "throttle", how)


@bundled
def pause(how: Audited) -> None:
    """Pause every worker: it finishes its page, waits, and keeps its place.

    Example:
      crossfade backfill pause --reason 'month-end closing'
    """
    _execute(lambda known: replace(known.limits, paused=True), "pause", how)


@bundled
def resume(how: Audited) -> None:
    """Let workers continue after `crossfade backfill pause`.

    Example:
      crossfade backfill resume
    """
    _execute(lambda known: replace(known.limits, paused=False), "resume", how)


def _execute(wanted: Callable[[Setting], ThrottleLimits] | None, action: str, how: Audited) -> None:
    async def go(_: Settings, database: Database) -> int:
        if wanted is not None:
            await change(database, wanted, action=action, actor=how.who, reason=how.reason)
        known = await setting(database)
        if how.as_json:
            figures = {"lag": known.lag, "replica_lag": known.replica_lag, "workers": known.workers}
            write_json({"limits": as_options(known.limits), "figures": figures, "changed_by": known.changed_by})
            return DONE
        workers = f"{known.workers} worker{'' if known.workers == 1 else 's'}"
        typer.echo(f"{as_text(known.limits) or 'no limits'}; {workers}, mirror lag {known.lag:.1f} s")
        return DONE

    execute(go, as_json=how.as_json)
