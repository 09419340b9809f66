"""queries: the query shapes that clients send, how often each was compared, and what to do about the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.cli.naming import expand_known, require_known, selected
from proxy.cli.registration import bundled, group
from proxy.cli.runtime import (
    DONE,
    Audited,
    Collections,
    DatabaseOption,
    JsonOption,
    Selection,
    console,
    execute,
    write_json,
)
from proxy.cli.tables import table
from proxy.control import thresholds
from proxy.control.gates.gate_types import GateLimits
from proxy.operator import shapes
from proxy.operator.shapes import ShapeAdvice, ShapeReport, State

_COLOUR = {
    State.MISMATCHED: "red",
    State.UNSUPPORTED: "red",
    State.NEVER: "yellow",
    State.FEW: "yellow",
    State.SLOW: "red",
    State.EXEMPT: "dim",
    State.DONE: "green",
}


@dataclass(frozen=True)
class OneShape:
    """A query shape, of one collection or of each that has it."""

    shape: Annotated[str, typer.Argument(metavar="SHAPE", help="as `crossfade queries` shows it")]
    collection: Annotated[
        str | None,
        typer.Option(
            "--collection", metavar="NAME", help="only for this collection; by default for each that has the shape"
        ),
    ] = None
    database: DatabaseOption = "_system"

    async def collection_in(self, connected: Database) -> str | None:
        """Return the full name of the collection, None for each. Raise PreconditionFailed if it is not known."""
        return (await require_known(connected, [self.collection], self.database))[0] if self.collection else None


def register(app: typer.Typer) -> None:
    """Add the command group."""
    queries = group(
        """Show what clients ask, by query shape, and exempt shapes from the gates.

        A query shape is a request without its literals. A shape that was never compared blocks the flip of its
        collections, unless it is exempt by name. `crossfade queries COLLECTION...` lists the shapes.

        Examples:
          crossfade queries shop/orders
          crossfade queries exempt 7f3a9c --reason 'a nightly report'
          crossfade queries reset shop/orders
        """,
        default="list",
    )
    queries.command("list")(list_)
    queries.command()(exempt)
    queries.command()(unexempt)
    queries.command()(reset)
    app.add_typer(queries, name="queries")


@bundled
def list_(
    chosen: Selection,
    *,
    open_: Annotated[bool, typer.Option("--open", help="list only shapes that block a flip")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the query shapes: how often each was compared, its latency on both sides, and what to do.

    Examples:
      crossfade queries list shop/orders
      crossfade queries list --open --json
    """

    async def go(_settings: Settings, connected: Database) -> int:
        names = await selected(connected, chosen.collections, chosen.database)
        limits = await thresholds.read(connected)
        found = [(row, shapes.advise(row, limits)) for row in await shapes.listed(connected, names)]
        if open_:
            found = [(row, advice) for row, advice in found if advice.state not in (State.DONE, State.EXEMPT)]
        if as_json:
            write_json([_plain(row, advice) for row, advice in found])
        elif found:
            _show(console(), found, limits)
        else:
            console().print("no query shape blocks a flip" if open_ else "no read was seen: send reads through a proxy")
        return DONE

    execute(go, as_json=as_json)


@bundled
def exempt(which: OneShape, how: Audited) -> None:
    """Exempt a query shape from the gates on coverage, sample size and latency. Needs --reason.

    Its mismatches still block a flip.

    Example:
      crossfade queries exempt 7f3a9c --reason 'a nightly report'
    """

    async def go(_: Settings, connected: Database) -> int:
        reason = how.required_reason("an exemption")
        name = await which.collection_in(connected)
        names = await shapes.exempt(connected, which.shape, name, actor=how.who, reason=reason)
        if how.as_json:
            write_json({"exempted": which.shape, "collections": names})
        else:
            console().print(
                f"{which.shape} is exempt for {', '.join(names)}; `crossfade queries unexempt {which.shape}` undoes it"
            )
        return DONE

    execute(go, as_json=how.as_json)


@bundled
def unexempt(which: OneShape, how: Audited) -> None:
    """End the exemption of a query shape: gates judge it again.

    Example:
      crossfade queries unexempt 7f3a9c
    """

    async def go(_: Settings, connected: Database) -> int:
        name = await which.collection_in(connected)
        names = await shapes.unexempt(connected, which.shape, name, actor=how.who, reason=how.reason)
        if how.as_json:
            write_json({"unexempted": which.shape, "collections": names})
        else:
            console().print(f"{which.shape} is judged again for {', '.join(names)}")
        return DONE

    execute(go, as_json=how.as_json)


@bundled
def reset(chosen: Collections, how: Audited) -> None:
    """Reset the counts of comparisons, mismatches and latency.

    Use it after an index was created, or PostgreSQL was changed otherwise.

    Example:
      crossfade queries reset shop/orders --reason 'an index on user'
    """

    async def go(_: Settings, connected: Database) -> int:
        names = await expand_known(connected, chosen.collections, chosen.database)
        await shapes.reset(connected, names, actor=how.who, reason=how.reason)
        if how.as_json:
            write_json({"reset": names})
        else:
            console().print(f"counts of {', '.join(names)} are reset")
        return DONE

    execute(go, as_json=how.as_json)


# ---- output


def _plain(row: ShapeReport, advice: ShapeAdvice) -> dict[str, Any]:
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


def _show(out: Console, found: Sequence[tuple[ShapeReport, ShapeAdvice]], limits: GateLimits) -> None:
    by_collection: dict[str, list[tuple[ShapeReport, ShapeAdvice]]] = {}
    for row, advice in found:
        by_collection.setdefault(row.collection, []).append((row, advice))
    counts = ("seen", "compared", "mismatched", "ignored", "skipped")
    for collection, rows in by_collection.items():
        shown = table(escape(collection), "shape", *counts, "ArangoDB", "PostgreSQL", "status", right=counts)
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
                f"  every query shape needs {limits.shape_comparisons} comparisons; "
                "`crossfade queries exempt SHAPE --reason …` exempts one"
            )


def _latency(p50: float | None, p99: float | None) -> str:
    return "-" if p50 is None or p99 is None else f"{1000 * p50:.1f} / {1000 * p99:.1f} ms"
