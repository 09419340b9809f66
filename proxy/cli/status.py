"""status, gates, audit: what stands, and why a flip is refused."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.cli import acknowledge, offline_status, tables
from proxy.cli import guard as guarding
from proxy.cli.naming import expand
from proxy.cli.runtime import DONE, REFUSED, DatabaseOption, JsonOption, SomeCollections, console, execute, write_json
from proxy.control import gate_inputs, guard
from proxy.control.gates.gates import passed
from proxy.model.stages import Stage
from proxy.operator import states
from proxy.operator import status as control
from proxy.state import audit


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(status)
    app.command()(gates)
    app.command("audit")(audit_log)


def status(*, as_json: JsonOption = False) -> None:
    """Show stages, epoch, instances, backlog, lag, what is unverified, gaps, mismatches, runs.

    While PostgreSQL is away (exit code 2): the backlog of the proxy on this machine.

    Example: crossfade status --json | jq '.collections[] | {collection, stage: .standing.stage}'
    """

    async def go(_: Settings, connected: Database) -> int:
        found = await control.read(connected)
        guards = await guard.read(connected)
        back = await states.taken_back(connected)
        if as_json:
            live = [one for one in found.instances if one.stopped_at is None]
            write_json(
                {
                    **asdict(found),
                    "backlog": sum(one.backlog for one in live),
                    "lag_seconds": max((one.lag_seconds for one in live), default=0.0),
                    "instances": [{**asdict(one), "state": one.state} for one in found.instances],
                    "guards": [guarding.plain(one) for one in guards],
                    "taken_back": [asdict(one) for one in back],
                }
            )
        else:
            out = console()
            acknowledge.show(out, back)
            if back:
                out.print("until you flip again, or `crossfade acknowledge`; the runbook says what to look at")
            tables.status(out, found)
            guarding.show(out, [one for one in guards if one.armed])
        return DONE

    execute(go, as_json=as_json, away=offline_status.tell)


def gates(
    collections: SomeCollections = None, *, database: DatabaseOption = "_system", as_json: JsonOption = False
) -> None:
    """Show what a flip needs, what was found, and what to do. Exit code 0 only where every gate passes.

    Example: crossfade gates shop/orders && crossfade flip shop/orders
    """

    async def go(settings: Settings, connected: Database) -> int:
        if collections:
            names = await expand(
                connected, collections, database, lambda s: s.stage.at_least(Stage.MIRROR), "mirrored or further"
            )
        else:
            known = await control.present(connected)
            names = [name for name, standing in known.items() if standing.stage.at_least(Stage.MIRROR)]
        found = await gate_inputs.judge(connected, settings, names)
        if as_json:
            write_json({name: [asdict(gate) for gate in of_it] for name, of_it in found.items()})
        elif found:
            tables.gates(console(), found)
        else:
            console().print("no collection is mirrored: `crossfade mirror DATABASE/COLLECTION` begins")
        return DONE if found and all(map(passed, found.values())) else REFUSED

    execute(go, as_json=as_json)


def audit_log(
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, help="newest entries to show")] = 20,
    verify: Annotated[bool, typer.Option("--verify", help="walk the chain of hashes from its first row")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show who changed what, when and why. With --verify, exit code 1 where the chain is broken.

    Example: crossfade audit --verify
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
                f"[red]broken at row {found.broken}[/red]: {found.why}; {found.rows} rows before it are good"
            )
        return DONE if found.broken is None else REFUSED

    execute(go, as_json=as_json)
