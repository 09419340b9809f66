"""acknowledge: an operator has taken notice of what a guard or an instance took back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC

import typer
from rich.console import Console
from rich.markup import escape

from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.cli.runtime import DONE, ActorOption, JsonOption, ReasonOption, actor_or_me, console, execute, write_json
from proxy.operator import states
from proxy.operator.states import TakenBack


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(acknowledge)


def acknowledge(*, reason: ReasonOption = None, actor: ActorOption = None, as_json: JsonOption = False) -> None:
    """Acknowledge that reads were taken back by a guard or an instance: `status` and the alert name it no longer.

    A new flip of the collections does the same. Stages stay as they are.

    Example: crossfade acknowledge --reason 'INC-7: out of memory; flipped again tomorrow'
    """

    async def go(_: Settings, connected: Database) -> int:
        found = await states.taken_back(connected)
        if found:
            await states.acknowledge(connected, found, actor=actor_or_me(actor), reason=reason)
        if as_json:
            write_json({"acknowledged": [asdict(one) for one in found]})
        elif found:
            show(console(), found)
            console().print("acknowledged")
        else:
            console().print("nothing to acknowledge: nobody but operators has taken reads back")
        return DONE

    execute(go, as_json=as_json)


def show(out: Console, found: Sequence[TakenBack]) -> None:
    """A line for each change that nobody typed."""
    for one in found:
        when = one.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        out.print(
            f"[red]reads of {escape(', '.join(one.collections))} were taken back to ArangoDB[/red] at {when} by "
            f"{escape(one.actor)}: {escape(one.reason or 'no reason given')}"
        )
