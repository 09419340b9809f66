"""mismatches: the differences that comparison found, and their state (export and reproduce: `export`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import asdict
from typing import Annotated, NamedTuple

import typer
from rich.markup import escape

from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import ArangoError, PreconditionFailed
from proxy.cli import export, tables
from proxy.cli.naming import selected
from proxy.cli.registration import bundled, group
from proxy.cli.repair_keys import repair_documents
from proxy.cli.runtime import (
    DONE,
    REFUSED,
    Audited,
    ChangeOptions,
    JsonOption,
    Selection,
    console,
    execute,
    note,
    plural,
    write_json,
)
from proxy.operator import mismatches as ledger
from proxy.operator.mismatches import MismatchFingerprint
from proxy.state import audit

Ids = Annotated[list[int], typer.Argument(metavar="ID", help="as `crossfade mismatches list` shows them")]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    mismatches = group(
        """List, explain, repair or ignore differences between ArangoDB and PostgreSQL.

        Examples:
          crossfade mismatches list shop/orders
          crossfade mismatches show 7
          crossfade mismatches repair 7
        """
    )
    mismatches.command("list")(list_)
    mismatches.command()(show)
    mismatches.command()(ignore)
    mismatches.command()(repair)
    mismatches.command()(export.export)
    mismatches.command()(export.reproduce)
    app.add_typer(mismatches, name="mismatches")


@bundled
def list_(
    chosen: Selection,
    *,
    every: Annotated[bool, typer.Option("--all", help="list repaired and ignored mismatches as well")] = False,
    as_json: JsonOption = False,
) -> None:
    """List mismatches, the newest first: one line for each kind of difference, with its count.

    Example:
      crossfade mismatches list shop/orders
    """

    async def go(_: Settings, connected: Database) -> int:
        state = None if every else "open"
        names: Sequence[str | None] = await selected(connected, chosen.collections, chosen.database) or (None,)
        found = [row for name in names for row in await ledger.list_mismatches(connected, name, state)]
        if as_json:
            write_json([asdict(row) for row in found])
        elif found:
            tables.mismatches(console(), found)
        else:
            console().print("no mismatches" if every else "no open mismatches")
        return DONE

    execute(go, as_json=as_json)


def show(
    identifier: Annotated[int, typer.Argument(metavar="ID", help="as `crossfade mismatches list` shows it")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Show one mismatch: request, both answers, revisions, explanation.

    Example:
      crossfade mismatches show 7
    """

    async def go(_: Settings, connected: Database) -> int:
        found = await ledger.show_mismatch(connected, identifier)
        if found is None:
            raise PreconditionFailed(f"there is no mismatch {identifier}: run `crossfade mismatches list --all`")
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


@bundled
def ignore(identifiers: Ids, how: Audited) -> None:
    """Ignore mismatches: they are still counted, and no longer block a flip. Needs --reason.

    Example:
      crossfade mismatches ignore 7 --reason 'an unsorted list'
    """

    async def go(_: Settings, connected: Database) -> int:
        reason = how.required_reason("ignoring a mismatch")
        await _found(connected, identifiers)
        concerned = await ledger.mark_ignored(connected, ids=identifiers)
        async with connected.transaction() as session:
            await audit.record(
                session,
                actor=how.who,
                action="ignore mismatches",
                reason=reason,
                detail={"mismatches": identifiers, "collections": concerned},
            )
        if how.as_json:
            write_json({"ignored": identifiers, "collections": concerned})
        else:
            console().print(f"ignored; counts of {', '.join(concerned)} are reset")
        return DONE

    execute(go, as_json=how.as_json)


@bundled
def repair(identifiers: Ids, how: ChangeOptions) -> None:
    """Read the documents of mismatches from ArangoDB again and repair PostgreSQL. Counts are reset.

    Example:
      crossfade mismatches repair 7 8
    """

    async def go(settings: Settings, connected: Database) -> int:
        rows = await _found(connected, identifiers)
        keys: dict[str, dict[str, None]] = {}
        for row in rows:
            keys.setdefault(row.collection, {}).update(dict.fromkeys(row.keys))
        repaired = _Repaired({}, {})
        if not how.dry_run:
            repaired = await _repair_all(settings, connected, keys)
            done = [row.id for row in rows if row.collection not in repaired.left]
            await ledger.mark_repaired(connected, ids=done)
            async with connected.transaction() as session:
                await audit.record(
                    session,
                    actor=how.who,
                    action="repair mismatches",
                    reason=how.reason,
                    detail={"mismatches": done, "documents": sum(map(len, keys.values()))},
                )
        if how.as_json:
            wanted = {name: list(of_it) for name, of_it in keys.items()}
            write_json({"repaired": wanted, "left": repaired.left, "dry_run": how.dry_run})
        else:
            _print_repaired(rows, keys, repaired, dry_run=how.dry_run)
        return REFUSED if repaired.left else DONE

    execute(go, as_json=how.as_json)


class _Repaired(NamedTuple):
    """By collection: the keys that are not repaired, and the error if the collection was skipped."""

    left: dict[str, list[str]]
    failed: dict[str, str]


async def _repair_all(settings: Settings, connected: Database, keys: Mapping[str, Iterable[str]]) -> _Repaired:
    """Repair the keys of each collection. An error of one collection does not stop the others; of the only one it does.

    Raise ArangoError, PreconditionFailed.
    """
    repaired = _Repaired({}, {})
    for collection, wanted in keys.items():
        try:
            still = await repair_documents(settings, connected, collection, list(wanted))
        except (ArangoError, PreconditionFailed) as error:
            if len(keys) == 1:
                raise
            repaired.failed[collection] = str(error)
            repaired.left[collection] = list(wanted)
        else:
            if still:
                repaired.left[collection] = sorted(still)
    return repaired


def _print_repaired(
    rows: Sequence[MismatchFingerprint], keys: Mapping[str, Sized], repaired: _Repaired, *, dry_run: bool
) -> None:
    for collection, wanted in keys.items():
        number = len(wanted) - len(repaired.left.get(collection, ()))
        verb = "would repair" if dry_run else "repaired"
        console().print(f"{collection}: {verb} {plural(number, 'document')}")
    for row in rows:
        if not row.keys:
            note(f"mismatch {row.id} names no document: run `crossfade verify {row.collection} --repair`")
    for collection, why in repaired.failed.items():
        note(f"skipped: {collection}: {why}")
    for collection, changing in repaired.left.items():
        if collection not in repaired.failed:
            shown = ", ".join(changing[:5])
            note(f"{collection}: not repaired, they keep changing or PostgreSQL refuses them: {shown}")


async def _found(connected: Database, identifiers: list[int]) -> list[MismatchFingerprint]:
    rows = [
        (identifier, await ledger.show_mismatch(connected, identifier)) for identifier in dict.fromkeys(identifiers)
    ]
    missing = [str(identifier) for identifier, row in rows if row is None]
    if missing:
        raise PreconditionFailed(f"there is no mismatch {', '.join(missing)}: run `crossfade mismatches list --all`")
    return [row for _, row in rows if row is not None]
