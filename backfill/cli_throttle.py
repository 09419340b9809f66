"""`crossfade throttle`, `no-throttle`, `pause`, `resume`: limits of every worker on every machine, while they run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

import typer

from backfill.governor import Setting, change, setting
from backfill.throttle import ThrottleLimits, as_options
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import RefusedError
from proxy.cli.runtime import DONE, ActorOption, JsonOption, ReasonOption, actor_or_me, execute, write_json


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    for command in (throttle, pause, resume):
        app.command()(command)
    app.command("no-throttle")(no_throttle)


def throttle(
    *,
    max_rate: Annotated[
        float | None, typer.Option("--max-rate", min=0.1, help="documents a second, of all workers together")
    ] = None,
    max_lag: Annotated[
        float | None, typer.Option("--max-lag", min=0.0, help="seconds that the mirror may be behind")
    ] = None,
    max_replica_lag: Annotated[
        float | None,
        typer.Option("--max-replica-lag", min=0.0, help="seconds that replicas of PostgreSQL may be behind"),
    ] = None,
    max_slowdown: Annotated[
        float | None,
        typer.Option("--max-slowdown", min=1.1, help="times its usual time that either database may take to answer"),
    ] = None,
    flag_file: Annotated[
        str | None, typer.Option("--flag-file", help="workers wait while this file is on their machine")
    ] = None,
    actor: ActorOption = None,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Limit backfill and verification while they run. What is not named stays; without options: shows the limits.

    Workers notice within a second, and `crossfade backfill status` says why one waits.
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
            raise RefusedError(
                "this account may not see the lag of PostgreSQL's replicas: GRANT pg_monitor to it, as a superuser"
            )
        return replace(known.limits, **wanted)

    _execute(limited if wanted else None, "throttle", actor, reason, as_json)


def no_throttle(actor: ActorOption = None, reason: ReasonOption = None, as_json: JsonOption = False) -> None:
    """Take all limits of `crossfade throttle` away. A pause stays a pause."""
    _execute(lambda known: ThrottleLimits(paused=known.limits.paused), "no-throttle", actor, reason, as_json)


def pause(actor: ActorOption = None, reason: ReasonOption = None, as_json: JsonOption = False) -> None:
    """Let every worker finish its page and wait, keeping its place."""
    _execute(lambda known: replace(known.limits, paused=True), "pause", actor, reason, as_json)


def resume(actor: ActorOption = None, reason: ReasonOption = None, as_json: JsonOption = False) -> None:
    """Let workers go on after `crossfade pause`."""
    _execute(lambda known: replace(known.limits, paused=False), "resume", actor, reason, as_json)


def _execute(
    wanted: Callable[[Setting], ThrottleLimits] | None,
    action: str,
    actor: str | None,
    reason: str | None,
    as_json: bool,
) -> None:
    async def go(_: Settings, database: Database) -> int:
        if wanted is not None:
            await change(database, wanted, action=action, actor=actor_or_me(actor), reason=reason)
        known = await setting(database)
        if as_json:
            figures = {"lag": known.lag, "replica_lag": known.replica_lag, "workers": known.workers}
            write_json({"limits": as_options(known.limits), "figures": figures, "changed_by": known.changed_by})
            return DONE
        limits = as_options(known.limits)
        text = ", ".join(f"{name} {value}" for name, value in limits.items()) if limits else "no limits"
        typer.echo(f"{text}; {known.workers} workers, the mirror is {known.lag:.1f} s behind")
        return DONE

    execute(go, as_json=as_json)
