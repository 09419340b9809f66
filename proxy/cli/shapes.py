"""shapes: what clients ask, what of it was compared, what to do about the rest; limits: what gates measure by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import RefusedError
from proxy.cli.naming import expand, require_known
from proxy.cli.runtime import (
    DONE,
    REFUSED,
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
from proxy.cli.tables import table
from proxy.control import thresholds
from proxy.control.gates.gate_types import GateLimits
from proxy.operator import shapes
from proxy.operator.shapes import Advice, ShapeRow, State

ShapeArgument = Annotated[str, typer.Argument(metavar="SHAPE", help="as `crossfade shapes` shows it")]
CollectionOption = Annotated[
    str | None, typer.Option("--collection", help="of this collection alone; else of each that has the shape")
]
_COLOUR = {
    State.MISMATCHED: "red",
    State.UNSUPPORTED: "red",
    State.NEVER: "yellow",
    State.FEW: "yellow",
    State.SLOW: "red",
    State.WAIVED: "dim",
    State.DONE: "green",
}


class _DefaultList(TyperGroup):
    """`crossfade shapes COLLECTION…` is `crossfade shapes list COLLECTION…`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Adds the command groups."""
    group = typer.Typer(
        cls=_DefaultList,
        help="What clients ask, by shape: what was compared, what never was and why, what to do. A shape that was "
        "never compared blocks the flip of its collections, unless it is waived by name.",
    )
    group.command("list")(list_)
    group.command()(waive)
    group.command()(unwaive)
    group.command()(reset)
    app.add_typer(group, name="shapes")
    limits = typer.Typer(help="What gates measure by: shown, set for every operator, taken back.")
    limits.callback(invoke_without_command=True)(show_limits)
    limits.command("set")(set_limit)
    limits.command("reset")(reset_limit)
    app.add_typer(limits, name="limits")


def list_(
    collections: SomeCollections = None,
    *,
    open_: Annotated[bool, typer.Option("--open", help="only those that keep a collection from its flip")] = False,
    database: DatabaseOption = "_system",
    as_json: JsonOption = False,
) -> None:
    """Show every shape that was seen, how often it was compared, how long both sides take, and what to do.

    Example: crossfade shapes shop/orders; crossfade shapes --open --json
    """

    async def go(settings: Settings, connected: Database) -> int:
        names = None
        if collections:
            names = await expand(connected, collections, database, lambda _: True, "known")
        limits = await thresholds.read(connected, settings)
        found = [(row, shapes.advise(row, limits)) for row in await shapes.listed(connected, names)]
        if open_:
            found = [(row, advice) for row, advice in found if advice.state not in (State.DONE, State.WAIVED)]
        if as_json:
            write_json([_plain(row, advice) for row, advice in found])
        elif found:
            _show(console(), found, limits)
        else:
            console().print("no shape is open" if open_ else "no read has been seen: let clients come through a proxy")
        return DONE

    execute(go, as_json=as_json)


def waive(
    shape: ShapeArgument,
    *,
    collection: CollectionOption = None,
    database: DatabaseOption = "_system",
    reason: ReasonOption = None,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let gates leave a shape out: coverage, the number of comparisons, latency. Mismatches block all the same.

    Example: crossfade shapes waive 7f3a9c --reason 'a nightly report; ArangoDB goes on answering it'
    """

    async def go(_: Settings, connected: Database) -> int:
        if not reason:
            raise RefusedError("waiving a shape needs --reason: it is written into the audit, and shown")
        name = (await require_known(connected, [collection], database))[0] if collection else None
        names = await shapes.waive(connected, shape, name, actor=actor_or_me(actor), reason=reason)
        if as_json:
            write_json({"waived": shape, "collections": names})
        else:
            console().print(f"{shape} is waived for {', '.join(names)}; `crossfade shapes unwaive {shape}` undoes it")
        return DONE

    execute(go, as_json=as_json)


def unwaive(
    shape: ShapeArgument,
    *,
    collection: CollectionOption = None,
    database: DatabaseOption = "_system",
    reason: ReasonOption = None,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let gates look at a shape again.

    Example: crossfade shapes unwaive 7f3a9c
    """

    async def go(_: Settings, connected: Database) -> int:
        name = (await require_known(connected, [collection], database))[0] if collection else None
        names = await shapes.unwaive(connected, shape, name, actor=actor_or_me(actor), reason=reason)
        if as_json:
            write_json({"unwaived": shape, "collections": names})
        else:
            console().print(f"{shape} counts again for {', '.join(names)}")
        return DONE

    execute(go, as_json=as_json)


def reset(
    collections: CollectionsArgument,
    *,
    database: DatabaseOption = "_system",
    reason: ReasonOption = None,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count comparisons anew, mismatches and latency as well: after an index was built, or PostgreSQL was changed.

    Example: crossfade shapes reset shop/orders --reason 'an index on user'
    """

    async def go(_: Settings, connected: Database) -> int:
        names = await expand(connected, collections, database, lambda _: True, "known")
        await shapes.reset(connected, names, actor=actor_or_me(actor), reason=reason)
        if as_json:
            write_json({"reset": names})
        else:
            console().print(f"comparisons of {', '.join(names)} begin anew")
        return DONE

    execute(go, as_json=as_json)


# ---- limits


def show_limits(context: typer.Context, *, as_json: JsonOption = False) -> None:
    """Show what gates measure by, and who set it.

    Example: crossfade limits; crossfade limits set shape_comparisons 100 --reason 'a quiet service'
    """
    if context.invoked_subcommand is not None:
        return

    async def go(settings: Settings, connected: Database) -> int:
        found = await thresholds.listed(connected, settings)
        if as_json:
            write_json([{**asdict(one), "about": thresholds.TOLD[one.name]} for one in found])
            return DONE
        shown = table("limits of gates", "limit", "value", "what it is", "set by", right=("value",))
        for one in found:
            by = escape(f"{one.actor}: {one.reason}") if one.actor else f"CROSSFADE_GATE_{one.name.upper()}"
            shown.add_row(one.name, f"{one.value:g}", thresholds.TOLD[one.name], by)
        console().print(shown)
        return DONE

    execute(go, as_json=as_json)


def set_limit(
    name: Annotated[str, typer.Argument(metavar="LIMIT", help="as `crossfade limits` shows it")],
    value: Annotated[float, typer.Argument(metavar="VALUE")],
    *,
    reason: ReasonOption = None,
    actor: ActorOption = None,
) -> None:
    """Set a limit for every operator, over the settings. Needs --reason.

    Example: crossfade limits set slowdown 2 --reason 'nobody waits for this'
    """

    async def go(_: Settings, connected: Database) -> int:
        if not reason:
            raise RefusedError("setting a limit needs --reason: it is written into the audit, and shown")
        await thresholds.put(connected, name, value, actor=actor_or_me(actor), reason=reason)
        console().print(f"{name} is {value:g} from now on, whatever the settings say")
        return DONE

    execute(go)


def reset_limit(
    name: Annotated[str, typer.Argument(metavar="LIMIT", help="as `crossfade limits` shows it")],
    *,
    reason: ReasonOption = None,
    actor: ActorOption = None,
) -> None:
    """Take a limit back: the settings' holds again.

    Example: crossfade limits reset slowdown
    """

    async def go(_: Settings, connected: Database) -> int:
        if await thresholds.reset(connected, name, actor=actor_or_me(actor), reason=reason):
            console().print(f"{name} is what the settings say")
            return DONE
        console().print(f"{name} was not set")
        return REFUSED

    execute(go)


# ---- output


def _plain(row: ShapeRow, advice: Advice) -> dict[str, Any]:
    value = asdict(row)
    fact = value.pop("fact")
    return {
        **value,
        "recent_compared": fact["recent"],
        "timed": fact["timed"],
        "state": advice.state,
        "why": advice.why,
        "do": advice.do,
    }


def _show(out: Console, found: Sequence[tuple[ShapeRow, Advice]], limits: GateLimits) -> None:
    by_collection: dict[str, list[tuple[ShapeRow, Advice]]] = {}
    for row, advice in found:
        by_collection.setdefault(row.collection, []).append((row, advice))
    counts = ("seen", "compared", "mismatched", "ignored", "skipped")
    for collection, rows in by_collection.items():
        shown = table(escape(collection), "shape", *counts, "ArangoDB", "PostgreSQL", "stands", right=counts)
        for row, advice in rows:
            colour = _COLOUR[advice.state]
            shown.add_row(
                escape(row.shape),
                *(f"{number:,}" for number in (row.seen, row.compared, row.mismatched, row.ignored, row.skipped)),
                _latency(row.origin_p50, row.origin_p99),
                _latency(row.target_p50, row.target_p99),
                f"[{colour}]{advice.state}[/{colour}]",
            )
        out.print(shown)
        for row, advice in rows:
            if row.text != row.shape:
                out.print(f"  {escape(row.shape)} [dim]is[/dim] {escape(row.text)}")
            if advice.state is State.DONE:
                continue
            todo = f": {advice.do}" if advice.do else ""
            out.print(f"  {escape(row.shape)} [bold]{advice.state}[/bold], {escape(advice.why)}{escape(todo)}")
        if any(advice.do for _, advice in rows):
            out.print(
                f"  every shape needs {limits.shape_comparisons} comparisons; "
                "`crossfade shapes waive SHAPE --reason …` leaves one out"
            )


def _latency(p50: float | None, p99: float | None) -> str:
    return "-" if p50 is None or p99 is None else f"{1000 * p50:.1f} / {1000 * p99:.1f} ms"
