"""instances: the proxies that are registered, and taking a dead one out."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.cli import tables
from proxy.cli.runtime import DONE, ActorOption, JsonOption, ReasonOption, actor_or_me, console, execute, write_json
from proxy.control import controller
from proxy.operator import status


def register(app: typer.Typer) -> None:
    """Adds the command group."""
    group = typer.Typer(help="Show registered proxies; evict one that is dead.")
    group.callback(invoke_without_command=True)(instances)
    group.command()(evict)
    app.add_typer(group, name="instances")


def instances(context: typer.Context, *, as_json: JsonOption = False) -> None:
    """Show registered proxies, their heartbeat, generation, backlog and lag.

    Example: crossfade instances; crossfade instances evict proxy-3 --confirmed-stopped
    """
    if context.invoked_subcommand is not None:
        return

    async def go(_: Settings, connected: Database) -> int:
        found = await status.instances(connected)
        if as_json:
            write_json([{**asdict(one), "state": one.state} for one in found])
        else:
            tables.instances(console(), found)
        return DONE

    execute(go, as_json=as_json)


def evict(
    instance: Annotated[str, typer.Argument(metavar="ID", help="as `crossfade instances` shows it")],
    *,
    confirmed_stopped: Annotated[
        bool, typer.Option("--confirmed-stopped", help="you know that its process is dead and stays so")
    ] = False,
    reason: ReasonOption = None,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a dead proxy out of the registry. What it served becomes unverified, and flipped reads go back.

    Example: crossfade instances evict proxy-3 --confirmed-stopped --reason 'its disk is gone'
    """

    async def go(_: Settings, connected: Database) -> int:
        served = await controller.evict(
            connected, instance, confirmed_stopped=confirmed_stopped, actor=actor_or_me(actor), reason=reason
        )
        if as_json:
            write_json({"evicted": instance, "unverified": served})
        else:
            console().print(f"{instance} is evicted; unverified: {', '.join(served) or 'nothing'}")
            if served:
                console().print(f"next: crossfade verify {' '.join(name for name in served if '*' not in name)}")
        return DONE

    execute(go, as_json=as_json)
