"""indexes: the indexes that clients' query shapes need in PostgreSQL; created concurrently on request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Console
from rich.markup import escape

import sql
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import ArangoError, PreconditionFailed, StatementError
from proxy.cli.explain import examine
from proxy.cli.naming import mirrored
from proxy.cli.registration import bundled
from proxy.cli.runtime import DONE, REFUSED, ChangeOptions, Selection, console, execute, note, plural, write_json
from proxy.operator import shapes
from proxy.operator.index_building import drop_invalid, make
from proxy.operator.shapes import ShapeReport
from proxy.state import audit
from proxy.stores.postgres.catalog import Catalog

_TRIED: Final[tuple[Any, ...]] = (1, "1", [])  # values for literals of a shape of which there is no example


@dataclass(slots=True)
class MissingIndex:
    """One missing index. shapes: those that it serves, with their counts; failed: why it could not be created."""

    collection: str
    relation: str
    statement: str
    reason: str
    shapes: dict[str, int] = field(default_factory=dict)
    made: bool = False
    failed: str = ""


@dataclass(frozen=True, slots=True)
class AdviceForShapes:
    """The advice for all shapes. unread: shapes that could not be explained, and why."""

    indexes: tuple[MissingIndex, ...]
    looked: int
    unread: Mapping[str, str]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(indexes)


@bundled
def indexes(
    chosen: Selection,
    *,
    create: Annotated[
        bool, typer.Option("--create", help="create missing indexes one by one, without blocking writes")
    ] = False,
    how: ChangeOptions,
) -> None:
    """Show the indexes that clients' query shapes need in PostgreSQL; create them with --create.

    Run it after the backfill and before the gates judge latency. Each query shape is explained with a recorded read, or
    with its text. Indexes are created concurrently, so no write waits; the rest of an interrupted build is dropped
    first. Exit code 1 if an index could not be created.

    Examples:
      crossfade indexes shop/orders
      crossfade indexes 'shop/*' --create
    """

    async def go(_: Settings, connected: Database) -> int:
        names = await mirrored(connected, chosen.collections, chosen.database)
        found = await needed(connected, names)
        creating = create and not how.dry_run
        if creating:
            await _make_all(connected, found.indexes, actor=how.who, reason=how.reason)
        if how.as_json:
            write_json(
                {
                    "indexes": [asdict(one) for one in found.indexes],
                    "shapes": found.looked,
                    "unread": dict(found.unread),
                    "dry_run": not creating,
                }
            )
        else:
            _show(console(), found, names, created=creating)
        return REFUSED if any(one.failed for one in found.indexes) else DONE

    execute(go, as_json=how.as_json, timeout=None)


async def needed(connected: Database, names: Sequence[str]) -> AdviceForShapes:
    """Return the indexes that are missing for the shapes of collections, each once. Raise DatabaseError."""
    rows = [row for row in await shapes.listed(connected, list(names)) if row.text != row.shape]
    recorded: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for kept in await connected.fetch(sql.examples.OF_SHAPES, sorted({row.shape for row in rows})):
        request = orjson.loads(kept.request)
        if isinstance(request.get("query"), str):
            recorded.setdefault(kept.shape, []).append((request["query"], request.get("bindVars") or {}))
    relations = {name: (await Catalog(connected).find(name)).relation for name in names}
    missing: dict[str, MissingIndex] = {}
    unread: dict[str, str] = {}
    for row in rows:
        try:
            advice = await _advice(connected, row, recorded.get(row.shape, ()))
        except PreconditionFailed as why:
            unread[row.text] = str(why)
            continue
        for name, statement, reason in advice:
            collection = f"{row.collection.partition('/')[0]}/{name}"
            if collection not in relations:
                continue
            index = missing.setdefault(statement, MissingIndex(collection, relations[collection], statement, reason))
            index.shapes[row.text] = row.seen
    return AdviceForShapes(tuple(missing.values()), len({row.shape for row in rows}), unread)


async def _advice(
    connected: Database, row: ShapeReport, recorded: Sequence[tuple[str, Mapping[str, Any]]]
) -> list[tuple[str, str, str]]:
    """Return (collection, statement, reason) of each missing index of a shape. Raise PreconditionFailed if unknown."""
    database, trouble = row.collection.partition("/")[0], "its text is kept in part only"
    for text, binds in (*recorded, *with_sample_values(row.text)):
        try:
            found = await examine(connected, database, text, binds)
        except (ArangoError, StatementError) as error:
            trouble = str(error)
            continue
        return [(one.reason.partition(":")[0], one.statement, one.reason) for one in found.indexes]
    raise PreconditionFailed(trouble)


def with_sample_values(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the query of a shape with values in place of its literals: the same index serves any of them. Pure."""
    numbers = count()
    pieces = text.split("?")
    query = pieces[0] + "".join(f"@literal{next(numbers)}{piece}" for piece in pieces[1:])
    for value in _TRIED:
        yield query, {f"literal{number}": value for number in range(len(pieces) - 1)}


async def _make_all(connected: Database, found: Sequence[MissingIndex], *, actor: str, reason: str | None) -> None:
    """One that cannot be made keeps no other from being made."""
    for relation in dict.fromkeys(one.relation for one in found):
        await drop_invalid(connected, relation)
    for one in found:
        if one.statement.startswith("DROP"):
            one.made = True  # that is done
            continue
        note(f"{one.collection}: {one.statement}")
        try:
            await make(connected, one.relation, one.statement, _teller(one.collection))
            one.made = True
        except (PreconditionFailed, StatementError) as error:
            one.failed = str(error)
    for relation in dict.fromkeys(one.relation for one in found if one.made):
        await connected.execute(sql.indexes.ANALYZE.on(relation))  # figures of what the new indexes are over
    done = [one.statement for one in found if one.made]
    if done:
        async with connected.transaction() as session:
            await audit.record(session, actor=actor, action="make indexes", reason=reason, detail={"statements": done})


def _teller(collection: str) -> Callable[[str], None]:
    return lambda text: note(f"{collection}: {text}")


def _show(out: Console, found: AdviceForShapes, names: Sequence[str], *, created: bool) -> None:
    for one in found.indexes:
        state = (
            "[green]created[/green]"
            if one.made
            else "[red]not created[/red]"
            if one.failed
            else "[yellow]missing[/yellow]"
        )
        out.print(f"{escape(one.collection)}: {state}: {escape(one.statement)}", soft_wrap=True)
        out.print(f"  {escape(one.reason.partition(': ')[2])}", soft_wrap=True)
        if one.failed:
            out.print(f"  [red]{escape(one.failed)}[/red]", soft_wrap=True)
        for text, seen in one.shapes.items():
            out.print(f"  seen {seen:,} times: {escape(text)}", soft_wrap=True)
    for text, why in found.unread.items():
        out.print(f"[yellow]not explained[/yellow]: {escape(text)}: {escape(why)}", soft_wrap=True)
    if not found.looked:
        out.print("no query was seen: send reads through a proxy")
    elif not found.indexes:
        out.print(f"no index is missing for {plural(found.looked, 'query shape')}")
    elif created:
        made = sorted({one.collection for one in found.indexes if one.made})
        if made:
            out.print(f"earlier latency still counts: `crossfade queries reset {' '.join(made)}` resets the counts")
    else:
        which = " ".join(names) if len(names) < 6 else ""
        out.print(f"`crossfade indexes {which} --create` creates them".replace("  ", " "))
