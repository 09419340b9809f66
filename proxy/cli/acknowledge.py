"""acknowledge: an operator has taken notice of a rollback that no operator started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC

import typer
from rich.console import Console
from rich.markup import escape

from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.cli.registration import bundled
from proxy.cli.runtime import DONE, Audited, console, execute, write_json
from proxy.operator import states
from proxy.operator.states import AutomaticRollback


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(acknowledge)


@bundled
def acknowledge(how: Audited) -> None:
    """Acknowledge rollbacks that Crossfade made by itself.

    `crossfade status` and the alert no longer name them. A new flip of the collections does the same. No stage changes.

    Example:
      crossfade acknowledge --reason 'INC-7: out of memory'
    """

    async def go(_: Settings, connected: Database) -> int:
        found = await states.automatic_rollbacks(connected)
        if found:
            await states.acknowledge(connected, found, actor=how.who, reason=how.reason)
        if how.as_json:
            write_json({"acknowledged": [asdict(one) for one in found]})
        elif found:
            show(console(), found)
            console().print("acknowledged")
        else:
            console().print("Nothing to acknowledge: every rollback was an operator's")
        return DONE

    execute(go, as_json=how.as_json)


def show(out: Console, found: Sequence[AutomaticRollback]) -> None:
    """Print one line for each rollback that no operator started."""
    for one in found:
        when = one.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        out.print(
            f"[red]reads of {escape(', '.join(one.collections))} were rolled back to ArangoDB[/red] at {when} by "
            f"{escape(one.actor)}: {escape(one.reason or 'no reason given')}"
        )
