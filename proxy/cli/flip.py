"""flip: reads to PostgreSQL. The way back: `going_back`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.cli.naming import expand
from proxy.cli.runtime import (
    ActorOption,
    CollectionsArgument,
    DatabaseOption,
    DryRunOption,
    JsonOption,
    ReasonOption,
    TimeoutOption,
    execute,
    note,
)
from proxy.cli.stage_change import change
from proxy.control import gate_inputs
from proxy.control.gates.gates import blocking
from proxy.control.guard import Budget
from proxy.control.transitions_plan import DesiredState
from proxy.model.stages import Stage, Standing
from proxy.operator import status

_DEFAULT: Final = Budget()
_LOOK: Final = 2.0  # seconds between two looks at the gates

_GATES = "wait until every gate passes, and say which are still open; Ctrl-C ends it, and nothing was changed"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(flip)


def flip(
    collections: CollectionsArgument,
    *,
    percent: Annotated[int, typer.Option("--percent", min=1, max=100, help="share of reads for PostgreSQL")] = 100,
    force: Annotated[
        bool, typer.Option("--force", help="go past gates that do not keep clients' own writes visible; needs --reason")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help=_GATES)] = False,
    wait_limit: Annotated[float, typer.Option("--wait-limit", min=1, help="seconds that --wait waits at most")] = 3600,
    guard: Annotated[
        bool, typer.Option("--guard", help="the proxies roll back by themselves where a budget is overrun")
    ] = False,
    guard_errors: Annotated[
        float, typer.Option("--guard-errors", min=0, max=100, help="percent of reads that PostgreSQL may fail")
    ] = _DEFAULT.errors_percent,
    guard_latency: Annotated[
        float, typer.Option("--guard-latency", min=0, help="milliseconds that 99 % of reads keep to; 0: any")
    ] = 250,
    guard_mismatches: Annotated[
        int, typer.Option("--guard-mismatches", min=0, help="confirmed mismatches that are let pass")
    ] = _DEFAULT.mismatches,
    database: DatabaseOption = "_system",
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    reason: ReasonOption = None,
    actor: ActorOption = None,
    timeout: TimeoutOption = 30.0,
) -> None:
    """Serve reads of collections from PostgreSQL: all of them, or none. Refuses unless every gate passes.

    Example: crossfade flip shop/orders shop/customers --percent 10 --guard; then without --percent; crossfade rollback
    undoes it. --dry-run also asks every proxy whether it is ready, and fails on one that is not.
    """
    budget = Budget(guard_errors, guard_latency / 1000 or None, guard_mismatches) if guard else None

    async def go(settings: Settings, connected: Database) -> int:
        names = await expand(
            connected,
            collections,
            database,
            lambda s: s.stage in (Stage.SHADOW, Stage.FLIPPED),
            "at stage shadow or flipped",
        )
        if wait and not dry_run:
            await _until_gates_pass(connected, settings, names, percent, limit=wait_limit, force=force)
        return await change(
            connected,
            [DesiredState(name, Stage.FLIPPED, percent) for name in names],
            settings=settings,
            dry_run=dry_run,
            as_json=as_json,
            reason=reason,
            actor=actor,
            timeout=timeout,
            force=force,
            guard=budget,
        )

    execute(go, as_json=as_json)


async def _until_gates_pass(
    connected: Database, settings: Settings, names: Sequence[str], percent: int, *, limit: float, force: bool
) -> None:
    """Looks again and again, and says on standard error which gates are open, each time that these change.

    Returns when none is, or when the limit is reached: then the change itself refuses, and names each.
    """
    until = time.monotonic() + limit
    said: list[str] | None = None
    while True:
        known = await status.standings(connected)
        ahead = [name for name in names if _raises(known.get(name, Standing()), percent)]
        judged = await gate_inputs.judge(connected, settings, ahead)
        found = [(name, gate) for name, gates in judged.items() for gate in blocking(gates, force=force)]
        still = [f"{name}: {gate.name}" for name, gate in found]
        if still != said:
            for name, gate in found:
                note(f"waiting: {name}: {gate.name} is {gate.verdict} ({gate.figures}): {gate.remedy}")
            said = still
        if not found or time.monotonic() > until:
            return
        await asyncio.sleep(min(_LOOK, max(0.0, until - time.monotonic())))


def _raises(standing: Standing, percent: int) -> bool:
    """Whether the flip lets more reads go to PostgreSQL: only then there are gates."""
    return standing.stage is not Stage.FLIPPED or standing.weight < percent
