"""indexes: what the shapes that clients send need in PostgreSQL, and making it, concurrently."""

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
from proxy.base.errors import ArangoError, RefusedError, StatementError
from proxy.cli.explain import examine
from proxy.cli.index_building import drop_invalid, make
from proxy.cli.naming import expand
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
from proxy.model.stages import Stage
from proxy.operator import shapes, status
from proxy.operator.shapes import ShapeRow
from proxy.state import audit
from proxy.stores.postgres.catalog import Catalog

_TRIED: Final[tuple[Any, ...]] = (1, "1", [])  # values for literals of a shape of which there is no example


@dataclass(slots=True)
class Index:
    """One index that is missing. shapes: those that it serves, with how often they were seen; failed: why not made."""

    collection: str
    relation: str
    statement: str
    reason: str
    shapes: dict[str, int] = field(default_factory=dict)
    made: bool = False
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found. unread: shapes that could not be looked at, and why."""

    indexes: tuple[Index, ...]
    looked: int
    unread: Mapping[str, str]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(indexes)


def indexes(
    collections: SomeCollections = None,
    *,
    create: Annotated[bool, typer.Option("--create", help="make them one by one, beside running writes")] = False,
    dry_run: DryRunOption = False,
    database: DatabaseOption = "_system",
    reason: ReasonOption = None,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the indexes that the shapes seen by the proxies need in PostgreSQL; make them with --create.

    Each shape is explained with a read that was recorded of it, or with its text. Indexes are made concurrently: no
    write waits. What an interrupted build left is made anew. A step of the way: after the backfill, before `gates` look
    at latency. Exit code 1 where one could not be made.

    Example: crossfade indexes shop/orders; crossfade indexes 'shop/*' --create
    """

    async def go(_: Settings, connected: Database) -> int:
        if collections:
            names = await expand(
                connected, collections, database, lambda s: s.stage.at_least(Stage.MIRROR), "mirrored or further"
            )
        else:
            known = await status.present(connected)
            names = [name for name, standing in known.items() if standing.stage.at_least(Stage.MIRROR)]
        found = await needed(connected, names)
        if create and not dry_run:
            await _make_all(connected, found.indexes, actor=actor_or_me(actor), reason=reason)
        if as_json:
            write_json(
                {
                    "indexes": [asdict(one) for one in found.indexes],
                    "shapes": found.looked,
                    "unread": dict(found.unread),
                    "dry_run": not create or dry_run,
                }
            )
        else:
            _show(console(), found, names, created=create and not dry_run)
        return REFUSED if any(one.failed for one in found.indexes) else DONE

    execute(go, as_json=as_json, timeout=None)


async def needed(connected: Database, names: Sequence[str]) -> Found:
    """The indexes that are missing for the shapes of collections, each once. Raises DatabaseError."""
    rows = [row for row in await shapes.listed(connected, list(names)) if row.text != row.shape]
    recorded: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for kept in await connected.fetch(sql.examples.OF_SHAPES, sorted({row.shape for row in rows})):
        request = orjson.loads(kept.request)
        if isinstance(request.get("query"), str):
            recorded.setdefault(kept.shape, []).append((request["query"], request.get("bindVars") or {}))
    relations = {name: (await Catalog(connected).find(name)).relation for name in names}
    missing: dict[str, Index] = {}
    unread: dict[str, str] = {}
    for row in rows:
        try:
            advice = await _advice(connected, row, recorded.get(row.shape, ()))
        except RefusedError as why:
            unread[row.text] = str(why)
            continue
        for name, statement, reason in advice:
            collection = f"{row.collection.partition('/')[0]}/{name}"
            if collection not in relations:
                continue
            index = missing.setdefault(statement, Index(collection, relations[collection], statement, reason))
            index.shapes[row.text] = row.seen
    return Found(tuple(missing.values()), len({row.shape for row in rows}), unread)


async def _advice(
    connected: Database, row: ShapeRow, recorded: Sequence[tuple[str, Mapping[str, Any]]]
) -> list[tuple[str, str, str]]:
    """(collection's name, statement, reason) of each index that is missing for the shape; RefusedError: not known."""
    database, trouble = row.collection.partition("/")[0], "its text is kept in part only"
    for text, binds in (*recorded, *made_up(row.text)):
        try:
            found = await examine(connected, database, text, binds)
        except (ArangoError, StatementError) as error:
            trouble = str(error)
            continue
        return [(one.reason.partition(":")[0], one.statement, one.reason) for one in found.indexes]
    raise RefusedError(trouble)


def made_up(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The query of a shape with values in place of its literals: whatever they are, the same index serves it. Pure."""
    numbers = count()
    pieces = text.split("?")
    query = pieces[0] + "".join(f"@literal{next(numbers)}{piece}" for piece in pieces[1:])
    for value in _TRIED:
        yield query, {f"literal{number}": value for number in range(len(pieces) - 1)}


async def _make_all(connected: Database, found: Sequence[Index], *, actor: str, reason: str | None) -> None:
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
        except (RefusedError, StatementError) as error:
            one.failed = str(error)
    for relation in dict.fromkeys(one.relation for one in found if one.made):
        await connected.execute(sql.indexes.ANALYZE.on(relation))  # figures of what the new indexes are over
    done = [one.statement for one in found if one.made]
    if done:
        async with connected.transaction() as session:
            await audit.record(session, actor=actor, action="make indexes", reason=reason, detail={"statements": done})


def _teller(collection: str) -> Callable[[str], None]:
    return lambda text: note(f"{collection}: {text}")


def _show(out: Console, found: Found, names: Sequence[str], *, created: bool) -> None:
    for one in found.indexes:
        state = (
            "[green]made[/green]" if one.made else "[red]not made[/red]" if one.failed else "[yellow]missing[/yellow]"
        )
        out.print(f"{escape(one.collection)}: {state}: {escape(one.statement)}", soft_wrap=True)
        out.print(f"  {escape(one.reason.partition(': ')[2])}", soft_wrap=True)
        if one.failed:
            out.print(f"  [red]{escape(one.failed)}[/red]", soft_wrap=True)
        for text, seen in one.shapes.items():
            out.print(f"  seen {seen:,} times: {escape(text)}", soft_wrap=True)
    for text, why in found.unread.items():
        out.print(f"[yellow]not looked at[/yellow]: {escape(text)}: {escape(why)}", soft_wrap=True)
    if not found.looked:
        out.print("no query has been seen: let clients come through a proxy")
    elif not found.indexes:
        out.print(f"none is missing for {found.looked} shapes of queries")
    elif created:
        made = sorted({one.collection for one in found.indexes if one.made})
        if made:
            out.print(f"latency of before still counts: `crossfade shapes reset {' '.join(made)}` begins to count anew")
    else:
        which = " ".join(names) if len(names) < 6 else ""
        out.print(f"`crossfade indexes {which} --create` makes them".replace("  ", " "))
