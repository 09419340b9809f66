"""status and audit: the state of everything, and who changed it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.cli import acknowledge, auto_rollback, offline_status, tables
from proxy.cli.runtime import DONE, REFUSED, JsonOption, console, execute, write_json
from proxy.control import rollback_budgets
from proxy.operator import states
from proxy.operator import status as control
from proxy.reverse.backlog import lost_without_postgresql
from proxy.state import audit


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(status)
    app.command("audit")(audit_log)


def status(*, as_json: JsonOption = False) -> None:
    """Show stages, the epoch, proxies, backlog, lag, mismatches, runs, and what blocks a flip.

    While PostgreSQL is away (exit code 2): the backlog of the proxy on this machine.

    Examples:
      crossfade status
      crossfade status --json | jq '.collections[].state.stage'
    """

    async def go(_: Settings, connected: Database) -> int:
        found = await control.read(connected)
        budgets = await rollback_budgets.read(connected)
        back = await states.automatic_rollbacks(connected)
        lost = await lost_without_postgresql(connected)
        if as_json:
            live = [one for one in found.instances if one.stopped_at is None]
            write_json(
                {
                    **asdict(found),
                    "backlog": sum(one.backlog for one in live),
                    "lag_seconds": max((one.lag_seconds for one in live), default=0.0),
                    "instances": [{**one._asdict(), "state": one.state} for one in found.instances],
                    "gaps": [gap._asdict() for gap in found.gaps],
                    "auto_rollback": [auto_rollback.plain(one) for one in budgets],
                    "automatic_rollbacks": [asdict(one) for one in back],
                    "lost_without_postgresql": {"writes": lost.rows, "seconds": lost.age, "refused": lost.refused},
                }
            )
        else:
            out = console()
            acknowledge.show(out, back)
            if back:
                out.print("shown until you flip again or run `crossfade acknowledge`; the runbook has the next steps")
            tables.status(out, found)
            auto_rollback.show(out, [one for one in budgets if one.armed])
            if lost.rows:
                out.print(
                    f"ArangoDB lacks {lost.rows} writes of PostgreSQL, the oldest {lost.age:.1f} s old: they would be "
                    "lost if it took over now without PostgreSQL"
                )
            if lost.refused:
                out.print(f"[red]ArangoDB refuses {lost.refused} documents[/red]: `/status` of a proxy names them")
        return DONE

    execute(go, as_json=as_json, away=offline_status.backlog)


def audit_log(
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, help="how many of the newest entries to show")] = 20,
    verify: Annotated[bool, typer.Option("--verify", help="check the whole chain of hashes")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show who changed what, when and why. With --verify, exit code 1 if the chain is broken.

    Examples:
      crossfade audit --limit 5
      crossfade audit --verify
    """

    async def go(_: Settings, connected: Database) -> int:
        if not verify:
            entries = await audit.entries(connected, limit=limit)
            if as_json:
                write_json([asdict(entry) for entry in entries])
            else:
                tables.audit(console(), entries)
            return DONE
        found = await audit.verify(connected)
        if as_json:
            write_json(asdict(found))
        elif found.broken is None:
            console().print(f"{found.rows} rows, unbroken; the last hash is {found.head.hex()}")
        else:
            console().print(
                f"[red]broken at row {found.broken}[/red]: {found.why}; the {found.rows} rows before it are intact"
            )
        return DONE if found.broken is None else REFUSED

    execute(go, as_json=as_json)
