"""tolerance: rules for differences that do not matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import typer
from rich.markup import escape

import sql
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import PreconditionFailed
from proxy.cli import tables
from proxy.cli.naming import expand_known, require_known, selected
from proxy.cli.registration import bundled, group
from proxy.cli.runtime import (
    DONE,
    Audited,
    CollectionArgument,
    Collections,
    DatabaseOption,
    JsonOption,
    Selection,
    console,
    execute,
    plural,
    write_json,
)
from proxy.operator import rules_admin

_KIND: Final = "The rule (one of them)"


@dataclass(frozen=True)
class RuleOptions:
    """The rule at a path: exactly one of four."""

    digits: Annotated[
        float | None,
        typer.Option(
            "--round", metavar="N", help="numbers are equal after rounding to N digits", rich_help_panel=_KIND
        ),
    ] = None
    seconds: Annotated[
        float | None,
        typer.Option(
            "--within-seconds",
            metavar="N",
            help="times are equal if they are at most N seconds apart",
            rich_help_panel=_KIND,
        ),
    ] = None
    as_set: Annotated[
        bool,
        typer.Option("--as-set", help="order and repetition in an array do not matter", rich_help_panel=_KIND),
    ] = False
    ignore: Annotated[
        bool, typer.Option("--ignore", help="differences at the path do not matter", rich_help_panel=_KIND)
    ] = False

    @property
    def rule(self) -> tuple[str, float | None]:
        """The rule's name and its number. Raise PreconditionFailed unless exactly one rule is given."""
        given: list[tuple[str, float | None]] = []
        if self.digits is not None:
            given.append(("round", self.digits))
        if self.seconds is not None:
            given.append(("seconds", self.seconds))
        if self.as_set:
            given.append(("set", None))
        if self.ignore:
            given.append(("ignore", None))
        if len(given) != 1:
            raise PreconditionFailed("give one rule: --round N, --within-seconds N, --as-set or --ignore")
        return given[0]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    tolerance = group(
        """Manage tolerances: paths at which a difference between ArangoDB and PostgreSQL does not matter.

        Comparisons that are equal under the tolerances count as *ignored*, beside matched and mismatched. A baseline
        check reads ArangoDB twice (`crossfade sampling COLLECTION --baseline-percent 5`). If ArangoDB differs from
        itself with no write in between, mismatches of that class and path are ignored as well, and listed here.

        Examples:
          crossfade tolerance add shop/orders total --round 2 --reason 'float'
          crossfade tolerance list shop/orders
        """,
    )
    tolerance.command("list")(list_)
    tolerance.command()(add)
    tolerance.command()(remove)
    tolerance.command()(reset)
    app.add_typer(tolerance, name="tolerance")


@bundled
def list_(chosen: Selection, *, as_json: JsonOption = False) -> None:
    """List the tolerances and the findings of baseline checks, with how often each made reads equal.

    Example:
      crossfade tolerance list shop/orders
    """

    async def go(_: Settings, connected: Database) -> int:
        names: Sequence[str | None] = await selected(connected, chosen.collections, chosen.database) or (None,)
        rules = [row for name in names for row in await rules_admin.tolerances(connected, name)]
        found = [row for name in names for row in await rules_admin.baseline(connected, name)]
        if as_json:
            write_json({"rules": [row._asdict() for row in rules], "baseline": [row._asdict() for row in found]})
        else:
            _show(rules, found)
        return DONE

    execute(go, as_json=as_json)


@bundled
def add(
    collection: CollectionArgument,
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH", help="as `crossfade mismatches list` shows it: price, items[].at, *.score, [].n"
        ),
    ],
    kind: RuleOptions,
    database: DatabaseOption = "_system",
    *,
    how: Audited,
) -> None:
    """Add a tolerance at a path of a collection's answers. Needs --reason.

    A path of a document applies wherever the document is answered; a path that begins with [] applies to rows of
    queries. Two values on both sides of a rounding boundary still differ: leave one digit of margin. Comparisons of the
    collection are counted from zero.

    Examples:
      crossfade tolerance add shop/orders total --round 2 --reason 'sums'
      crossfade tolerance add shop/orders seen --within-seconds 5 --reason 'now'
      crossfade tolerance add shop/orders tags --as-set --reason 'no order'
    """

    async def go(_: Settings, connected: Database) -> int:
        reason = how.required_reason("a tolerance")
        (name,) = await require_known(connected, [collection], database)
        made = rules_admin.checked(name, path, *kind.rule)
        identifier = await rules_admin.add(connected, made, reason=reason, actor=how.who)
        if how.as_json:
            write_json({"id": identifier, "collection": name, "rule": str(made)})
        else:
            console().print(f"tolerance {identifier}: {escape(str(made))} in {name}; its counts are reset")
        return DONE

    execute(go, as_json=how.as_json)


@bundled
def remove(
    identifier: Annotated[int, typer.Argument(metavar="ID", help="as `crossfade tolerance list` shows it")],
    how: Audited,
) -> None:
    """Remove a tolerance. Comparisons of its collection are counted from zero.

    Example:
      crossfade tolerance remove 3
    """

    async def go(_: Settings, connected: Database) -> int:
        gone = await rules_admin.remove(connected, identifier, reason=how.reason, actor=how.who)
        if how.as_json:
            write_json({"removed": str(gone), "collection": gone.collection})
        else:
            console().print(f"removed: {escape(str(gone))} in {gone.collection}; its counts are reset")
        return DONE

    execute(go, as_json=how.as_json)


@bundled
def reset(chosen: Collections, how: Audited) -> None:
    """Delete the findings of baseline checks. If ArangoDB still differs from itself, they are found again.

    Example:
      crossfade tolerance reset shop/orders
    """

    async def go(_: Settings, connected: Database) -> int:
        gone = {}
        for name in await expand_known(connected, chosen.collections, chosen.database):
            gone[name] = await rules_admin.reset_baseline(connected, name, reason=how.reason, actor=how.who)
        if how.as_json:
            write_json(gone)
        else:
            for name, rows in gone.items():
                console().print(f"{name}: deleted {plural(rows, 'finding')}")
        return DONE

    execute(go, as_json=how.as_json)


def _show(rules: list[sql.shadow.ToleranceRow], found: list[sql.shadow.BaselineRow]) -> None:
    out = console()
    if not rules:
        out.print("no tolerance is set")
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
    if found:
        shown = tables.table(
            "baseline check: ArangoDB against itself",
            *("collection", "shape", "class", "path", "seen", "ignored for it"),
            right=("seen", "ignored for it"),
        )
        for one in found:
            shown.add_row(
                escape(one.collection),
                escape(f"{one.text or one.shape}"[:60]),
                one.kind or "agreed",
                escape(one.path or "-"),
                f"{one.number:,}",
                f"{one.subtracted:,}",
            )
        out.print(shown)
