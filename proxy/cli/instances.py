"""instances: the registered proxies, and the eviction of a dead one."""

from __future__ import annotations

from typing import Annotated

import typer

from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.cli import tables
from proxy.cli.registration import bundled, group
from proxy.cli.runtime import DONE, Audited, JsonOption, console, execute, write_json
from proxy.control import controller
from proxy.operator import status


def register(app: typer.Typer) -> None:
    """Add the command group."""
    instances = group(
        """Show registered proxies, or evict one that is dead.

        Examples:
          crossfade instances
          crossfade instances evict proxy-3 --confirmed-stopped
        """,
        default="list",
    )
    instances.command("list")(list_)
    instances.command()(evict)
    app.add_typer(instances, name="instances")


def list_(*, as_json: JsonOption = False) -> None:
    """Show registered proxies, their heartbeat, generation, backlog and lag.

    Example:
      crossfade instances list --json
    """

    async def go(_: Settings, connected: Database) -> int:
        found = await status.instances(connected)
        if as_json:
            write_json([{**one._asdict(), "state": one.state} for one in found])
        else:
            tables.instances(console(), found)
        return DONE

    execute(go, as_json=as_json)


@bundled
def evict(
    instance: Annotated[str, typer.Argument(metavar="ID", help="as `crossfade instances` shows it")],
    *,
    confirmed_stopped: Annotated[
        bool, typer.Option("--confirmed-stopped", help="confirm that its process is dead and stays dead")
    ] = False,
    how: Audited,
) -> None:
    """Remove a dead proxy from the registry.

    The collections that it served become unverified, and flipped reads are rolled back.

    Example:
      crossfade instances evict proxy-3 --confirmed-stopped
    """

    async def go(_: Settings, connected: Database) -> int:
        served = await controller.evict(
            connected, instance, confirmed_stopped=confirmed_stopped, actor=how.who, reason=how.reason
        )
        if how.as_json:
            write_json({"evicted": instance, "unverified": served})
        else:
            console().print(f"{instance} is evicted; unverified: {', '.join(served) or 'nothing'}")
            if served:
                console().print(f"next: crossfade verify {' '.join(name for name in served if '*' not in name)}")
        return DONE

    execute(go, as_json=how.as_json)
