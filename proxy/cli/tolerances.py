"""noise and sampling: differences that do not matter, and how many reads are compared."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import RefusedError
from proxy.cli import tables
from proxy.cli.naming import expand, require_known
from proxy.cli.runtime import (
    DONE,
    ActorOption,
    CollectionsArgument,
    DatabaseOption,
    JsonOption,
    ReasonOption,
    SomeCollections,
    actor_or_me,
    console,
    execute,
    write_json,
)
from proxy.operator import rules_admin
from proxy.operator.rules_admin import NoiseRow, OwnRow

_RULE = "ignore; round N digits; seconds N; set (order and repetition of an array do not count)"


def register(app: typer.Typer) -> None:
    """Adds both command groups."""
    noise = typer.Typer(
        no_args_is_help=True,
        help="""Places where a difference between ArangoDB and PostgreSQL does not matter.

Comparisons that are equal but for noise count as *ignored*, beside matched and mismatched. With
`crossfade sampling COLLECTION --twice 5` ArangoDB is read twice for 5 % of what is compared: where it differs from
itself with no write in between, `crossfade noise list` shows it, and mismatches of that class and path are ignored.""",
    )
    noise.command("list")(list_)
    noise.command()(add)
    noise.command()(remove)
    noise.command()(forget)
    app.add_typer(noise, name="noise")
    app.command()(sampling)


def list_(
    collections: SomeCollections = None, *, database: DatabaseOption = "_system", as_json: JsonOption = False
) -> None:
    """List the rules, and what ArangoDB was found to differ in from itself, with how often each made reads equal.

    Example: crossfade noise list shop/orders
    """

    async def go(_: Settings, connected: Database) -> int:
        names: list[str | None] = [None]
        if collections:
            names = list(await expand(connected, collections, database, lambda _: True, "known"))
        rules = [row for name in names for row in await rules_admin.noise(connected, name)]
        own = [row for name in names for row in await rules_admin.own(connected, name)]
        if as_json:
            write_json({"rules": [asdict(row) for row in rules], "itself": [asdict(row) for row in own]})
        else:
            _show(rules, own)
        return DONE

    execute(go, as_json=as_json)


def add(
    collection: Annotated[str, typer.Argument(metavar="COLLECTION", help="database/name, or name with --database")],
    path: Annotated[
        str, typer.Argument(help="as `mismatches list` prints it: price, items[].at, *.score, [].n of rows")
    ],
    rule: Annotated[str, typer.Argument(help=_RULE)],
    number: Annotated[float | None, typer.Argument(help="of round and seconds")] = None,
    *,
    database: DatabaseOption = "_system",
    reason: ReasonOption = None,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that differences at a path do not matter; comparisons of the collection begin anew. Needs --reason.

    A path of a document holds wherever the document is answered, and one that begins with [] for rows of queries. Two
    values on both sides of a boundary of rounding still differ: leave a digit of room.
    Example: crossfade noise add shop/orders total round 2 --reason 'sums of floats'
    """

    async def go(_: Settings, connected: Database) -> int:
        if not reason:
            raise RefusedError("a rule needs --reason: it is written into the audit")
        (name,) = await require_known(connected, [collection], database)
        made = rules_admin.checked(name, path, rule, number)
        identifier = await rules_admin.add(connected, made, reason=reason, actor=actor_or_me(actor))
        if as_json:
            write_json({"id": identifier, "collection": name, "rule": str(made)})
        else:
            console().print(f"rule {identifier}: {escape(str(made))} in {name}; its comparisons begin anew")
        return DONE

    execute(go, as_json=as_json)


def remove(
    identifier: Annotated[int, typer.Argument(metavar="ID", help="as `crossfade noise list` shows it")],
    *,
    reason: ReasonOption = None,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a rule away; comparisons of its collection begin anew.

    Example: crossfade noise remove 3
    """

    async def go(_: Settings, connected: Database) -> int:
        gone = await rules_admin.remove(connected, identifier, reason=reason, actor=actor_or_me(actor))
        if as_json:
            write_json({"removed": str(gone), "collection": gone.collection})
        else:
            console().print(f"removed: {escape(str(gone))} in {gone.collection}; its comparisons begin anew")
        return DONE

    execute(go, as_json=as_json)


def forget(
    collections: CollectionsArgument,
    *,
    database: DatabaseOption = "_system",
    reason: ReasonOption = None,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget what ArangoDB was found to differ in from itself; where it still does, it is found again.

    Example: crossfade noise forget shop/orders
    """

    async def go(_: Settings, connected: Database) -> int:
        gone = {}
        for name in await expand(connected, collections, database, lambda _: True, "known"):
            gone[name] = await rules_admin.forget(connected, name, reason=reason, actor=actor_or_me(actor))
        if as_json:
            write_json(gone)
        else:
            for name, rows in gone.items():
                console().print(f"{name}: {rows} findings forgotten")
        return DONE

    execute(go, as_json=as_json)


def sampling(
    collections: SomeCollections = None,
    *,
    percent: Annotated[
        float | None, typer.Option(min=0, max=100, help="share of reads that is compared with PostgreSQL")
    ] = None,
    twice: Annotated[
        float | None, typer.Option(min=0, max=100, help="share of those for which ArangoDB is compared with itself")
    ] = None,
    shape: Annotated[str, typer.Option(help="one shape alone: its name or the beginning, see `crossfade shapes`")] = "",
    default: Annotated[bool, typer.Option("--default", help="back to what is set for the collection, or all")] = False,
    database: DatabaseOption = "_system",
    reason: ReasonOption = None,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show or set how many reads are compared, for a collection or one shape of it. Every proxy knows in a second.

    Without options it lists what was set. A query of several collections is compared by the smallest of their shares.
    Examples: crossfade sampling shop/orders --percent 5; crossfade sampling shop/orders --shape 3ed4c8 --percent 100
    """

    async def go(_: Settings, connected: Database) -> int:
        changing = percent is not None or twice is not None or default
        names: list[str] = []
        if collections:
            names = await expand(connected, collections, database, lambda _: True, "known")
        if changing and not names:
            raise RefusedError("name the collections; CROSSFADE_SAMPLE_PERCENT is the share of all others")
        if changing and default and (percent is not None or twice is not None):
            raise RefusedError("--default takes a share back: it goes with neither --percent nor --twice")
        if changing:
            await rules_admin.share(
                connected, names, shape, percent=percent, twice=twice, actor=actor_or_me(actor), reason=reason
            )
        wanted: list[str | None] = list(names) or [None]
        found = [row for name in wanted for row in await rules_admin.sampling(connected, name)]
        if as_json:
            write_json([asdict(row) for row in found])
        elif not found:
            console().print("nothing is set: the settings hold (CROSSFADE_SAMPLE_PERCENT, CROSSFADE_TWICE_PERCENT)")
        else:
            shown = tables.table("", "collection", "shape", "compared", "twice", right=("compared", "twice"))
            for row in found:
                told = escape(f"{row.shape[:8]} {row.text or ''}"[:70]) if row.shape else "all"
                shown.add_row(
                    escape(row.collection), told, *(_percent(share) for share in (row.percent, row.baseline_percent))
                )
            console().print(shown)
        return DONE

    execute(go, as_json=as_json)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:g} %"


def _show(rules: list[NoiseRow], own: list[OwnRow]) -> None:
    out = console()
    if not rules:
        out.print("no rule of noise")
    else:
        shown = tables.table("", "id", "collection", "path", "rule", "made equal", "reason", right=("id", "made equal"))
        for rule in rules:
            argument = f" {rule.argument:g}" if rule.argument is not None else ""
            shown.add_row(
                str(rule.id),
                escape(rule.collection),
                escape(rule.path),
                rule.rule + argument,
                f"{rule.seen:,}",
                escape(rule.reason),
            )
        out.print(shown)
    if own:
        shown = tables.table(
            "ArangoDB against itself",
            *("collection", "shape", "class", "path", "seen", "ignored for it"),
            right=("seen", "ignored for it"),
        )
        for one in own:
            shape = escape(f"{one.text or one.shape}"[:60])
            shown.add_row(
                escape(one.collection),
                shape,
                one.kind or "agreed",
                escape(one.path or "-"),
                f"{one.number:,}",
                f"{one.subtracted:,}",
            )
        out.print(shown)
