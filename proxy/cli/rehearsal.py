"""rehearsal: how often each shape of writes was rehearsed, and what its result was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.cli.naming import selected
from proxy.cli.registration import bundled
from proxy.cli.runtime import DONE, JsonOption, Selection, console, execute, plural, write_json
from proxy.cli.tables import table
from proxy.rehearsal.rehearsed_shapes import RehearsedShapes, WriteShape, rehearsed_shapes


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rehearsal")(show)


@bundled
def show(chosen: Selection, *, as_json: JsonOption = False) -> None:
    """Show which writes were rehearsed, by shape, and whether PostgreSQL alone would have answered as ArangoDB did.

    From stage `mirror` on, proxies decide a share of the writes a second time, by the rules that hold when PostgreSQL
    takes the writes: document before, request, properties of the collection. The answer is compared with ArangoDB's.
    `different` must be 0: `crossfade mismatches list` has each kind (class `write`), `crossfade mismatches show` both
    answers. A write without a verdict is counted by its reason, and is no difference. The setting
    CROSSFADE_REHEARSAL_SHARE is the share in percent; the first 20 writes of each shape are rehearsed in any case.

    Examples:
      crossfade rehearsal
      crossfade rehearsal shop/orders --json
    """

    async def go(_: Settings, connected: Database) -> int:
        found = await rehearsed_shapes(connected, await selected(connected, chosen.collections, chosen.database))
        if as_json:
            write_json([_plain(one) for one in found])
        elif any(one.shapes for one in found):
            _show(console(), [one for one in found if one.shapes])
        else:
            console().print("no write was seen: send writes through a proxy, to collections from stage mirror on")
        return DONE

    execute(go, as_json=as_json)


def _plain(one: RehearsedShapes) -> dict[str, Any]:
    return {
        "collection": one.collection,
        "shapes": len(one.shapes),
        "rehearsed": one.rehearsed,
        "open_mismatches": one.open_mismatches,
        "write_shapes": [{**asdict(shape), "rehearsed": shape.rehearsed} for shape in one.shapes],
    }


def _show(out: Console, found: Sequence[RehearsedShapes]) -> None:
    for one in found:
        shown = table(
            escape(one.collection),
            *("shape", "seen", "equal", "different", "no verdict", "why"),
            right=("seen", "equal", "different", "no verdict"),
        )
        for shape in one.shapes:
            shown.add_row(escape(shape.text), *_figures(shape), escape(_reasons(shape)))
        out.print(shown)
        out.print(one.figure)
    kinds = sum(one.open_mismatches for one in found)
    if kinds:
        out.print(f"{plural(kinds, 'difference')}: `crossfade mismatches list` shows the class `write`")


def _figures(shape: WriteShape) -> tuple[str, ...]:
    different = f"[red]{shape.different}[/red]" if shape.different else "0"
    return str(shape.seen), str(shape.equal), different, str(shape.no_verdict)


def _reasons(shape: WriteShape) -> str:
    most = sorted(shape.reasons.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number} {reason}" for reason, number in most)
