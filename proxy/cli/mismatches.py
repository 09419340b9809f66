"""mismatches: what the shadow found, in full, and what became of it (export and reproduce: `exporting`)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import ArangoError, RefusedError
from proxy.cli import export, tables
from proxy.cli.naming import expand
from proxy.cli.repair_keys import repair_documents
from proxy.cli.runtime import (
    DONE,
    REFUSED,
    ActorOption,
    DatabaseOption,
    DryRunOption,
    JsonOption,
    ReasonOption,
    SomeCollections,
    actor_or_me,
    console,
    execute,
    note,
    write_json,
)
from proxy.operator import mismatches as ledger
from proxy.operator.mismatches import MismatchRow
from proxy.state import audit

Ids = Annotated[list[int], typer.Argument(metavar="ID...", help="as `crossfade mismatches list` shows them")]


def register(app: typer.Typer) -> None:
    """Adds the command group."""
    group = typer.Typer(
        no_args_is_help=True, help="What differed between ArangoDB and PostgreSQL, and what became of it."
    )
    group.command("list")(list_)
    group.command()(show)
    group.command()(ignore)
    group.command()(repair)
    group.command()(export.export)
    group.command()(export.reproduce)
    app.add_typer(group, name="mismatches")


def list_(
    collections: SomeCollections = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="repaired and ignored ones too")] = False,
    database: DatabaseOption = "_system",
    as_json: JsonOption = False,
) -> None:
    """List mismatches, the newest first: one line for each kind of difference, with how often it was seen.

    Example: crossfade mismatches list shop/orders
    """

    async def go(_: Settings, connected: Database) -> int:
        state = None if every else "open"
        if collections:
            names = await expand(connected, collections, database, lambda _: True, "known")
            found = [row for name in names for row in await ledger.list_mismatches(connected, name, state)]
        else:
            found = await ledger.list_mismatches(connected, None, state)
        if as_json:
            write_json([asdict(row) for row in found])
        elif found:
            tables.mismatches(console(), found)
        else:
            console().print("no mismatch" if every else "no open mismatch")
        return DONE

    execute(go, as_json=as_json)


def show(
    identifier: Annotated[int, typer.Argument(metavar="ID", help="as `crossfade mismatches list` shows it")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Show one mismatch: request, both answers, revisions, explanation.

    Example: crossfade mismatches show 7
    """

    async def go(_: Settings, connected: Database) -> int:
        found = await ledger.show_mismatch(connected, identifier)
        if found is None:
            raise RefusedError(f"there is no mismatch {identifier}: see `crossfade mismatches list --all`")
        if as_json:
            write_json(asdict(found))
            return DONE
        out = console()
        tables.mismatches(out, [found])
        for number, sample in enumerate(found.samples, 1):
            out.print(f"[bold]sample {number}[/bold]")
            for name, value in sample.items():
                out.print(f"  {escape(name)}: ", end="")
                out.print_json(data=value) if isinstance(value, dict | list) else out.print(escape(str(value)))
        return DONE

    execute(go, as_json=as_json)


def ignore(
    identifiers: Ids, *, reason: ReasonOption = None, actor: ActorOption = None, as_json: JsonOption = False
) -> None:
    """Say that differences do not matter; they are counted on, and block nothing. Needs --reason.

    Example: crossfade mismatches ignore 7 --reason 'order of an unsorted list'
    """

    async def go(_: Settings, connected: Database) -> int:
        if not reason:
            raise RefusedError("ignoring a mismatch needs --reason: it is written into the audit")
        await _found(connected, identifiers)
        concerned = await ledger.mark_ignored(connected, ids=identifiers)
        async with connected.transaction() as session:
            await audit.record(
                session,
                actor=actor_or_me(actor),
                action="ignore mismatches",
                reason=reason,
                detail={"mismatches": identifiers, "collections": concerned},
            )
        if as_json:
            write_json({"ignored": identifiers, "collections": concerned})
        else:
            console().print(f"ignored; comparisons of {', '.join(concerned)} begin anew")
        return DONE

    execute(go, as_json=as_json)


def repair(
    identifiers: Ids,
    *,
    dry_run: DryRunOption = False,
    reason: ReasonOption = None,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read the documents concerned from ArangoDB again and put PostgreSQL right; comparisons begin anew.

    Example: crossfade mismatches repair 7 8
    """

    async def go(settings: Settings, connected: Database) -> int:
        rows = await _found(connected, identifiers)
        keys: dict[str, dict[str, None]] = {}
        for row in rows:
            keys.setdefault(row.collection, {}).update(dict.fromkeys(row.keys))
        left: dict[str, list[str]] = {}
        failed: dict[str, str] = {}
        if not dry_run:
            for collection, wanted in keys.items():
                try:
                    still = await repair_documents(settings, connected, collection, list(wanted))
                except (ArangoError, RefusedError) as error:  # the others are repaired all the same
                    if len(keys) == 1:
                        raise
                    failed[collection] = str(error)
                    left[collection] = list(wanted)
                    continue
                if still:
                    left[collection] = sorted(still)
            done = [row.id for row in rows if row.collection not in left]
            await ledger.mark_repaired(connected, ids=done)
            async with connected.transaction() as session:
                await audit.record(
                    session,
                    actor=actor_or_me(actor),
                    action="repair mismatches",
                    reason=reason,
                    detail={"mismatches": done, "documents": sum(map(len, keys.values()))},
                )
        if as_json:
            write_json(
                {"repaired": {name: list(of_it) for name, of_it in keys.items()}, "left": left, "dry_run": dry_run}
            )
        else:
            for collection, wanted in keys.items():
                verb = "would be read again" if dry_run else "read again"
                console().print(f"{collection}: {len(wanted)} documents {verb}")
            for row in rows:
                if not row.keys:
                    note(f"mismatch {row.id} names no document: see `crossfade verify {row.collection} --repair`")
            for collection, why in failed.items():
                note(f"left out: {collection}: {why}")
            for collection, changing in left.items():
                if collection in failed:
                    continue
                note(f"{collection}: {len(changing)} documents change or are refused: {', '.join(changing[:5])}")
        return REFUSED if left else DONE

    execute(go, as_json=as_json)


async def _found(connected: Database, identifiers: list[int]) -> list[MismatchRow]:
    rows = [
        (identifier, await ledger.show_mismatch(connected, identifier)) for identifier in dict.fromkeys(identifiers)
    ]
    missing = [str(identifier) for identifier, row in rows if row is None]
    if missing:
        raise RefusedError(f"there is no mismatch {', '.join(missing)}: see `crossfade mismatches list --all`")
    return [row for _, row in rows if row is not None]
