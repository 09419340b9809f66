"""sampling: how many reads are compared, and how many are checked against a baseline."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import PreconditionFailed
from proxy.cli import tables
from proxy.cli.naming import selected
from proxy.cli.registration import bundled
from proxy.cli.runtime import DONE, Audited, Selection, console, execute, write_json
from proxy.operator import rules_admin


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(sampling)


@bundled
def sampling(
    chosen: Selection,
    *,
    percent: Annotated[
        float | None, typer.Option("--percent", metavar="P", min=0, max=100, help="share of reads that are compared")
    ] = None,
    baseline_percent: Annotated[
        float | None,
        typer.Option(
            "--baseline-percent",
            metavar="P",
            min=0,
            max=100,
            help="share of compared reads for which ArangoDB is also compared with itself",
        ),
    ] = None,
    shape: Annotated[
        str,
        typer.Option(
            "--shape", metavar="SHAPE", help="only this query shape; `crossfade queries` lists them, a prefix is enough"
        ),
    ] = "",
    reset: Annotated[bool, typer.Option("--reset", help="remove what was set for the collection or the shape")] = False,
    how: Audited,
) -> None:
    """Show or set how many reads are compared, for a collection or one query shape of it.

    Without options, list what was set. Every proxy applies a change within a second. A query of several collections is
    compared at the smallest of their shares.

    Examples:
      crossfade sampling shop/orders --percent 5 --baseline-percent 1
      crossfade sampling shop/orders --shape 3ed4c8 --percent 100
      crossfade sampling shop/orders --reset
    """

    async def go(_: Settings, connected: Database) -> int:
        given = percent is not None or baseline_percent is not None
        names = await selected(connected, chosen.collections, chosen.database) or []
        if (given or reset) and not names:
            raise PreconditionFailed("name the collections; CROSSFADE_SAMPLE_PERCENT is the share of all others")
        if given and reset:
            raise PreconditionFailed("--reset goes with neither --percent nor --baseline-percent")
        if given or reset:
            await rules_admin.share(
                connected,
                names,
                shape,
                percent=percent,
                baseline_percent=baseline_percent,
                actor=how.who,
                reason=how.reason,
            )
        wanted: list[str | None] = list(names) or [None]
        found = [row for name in wanted for row in await rules_admin.sampling(connected, name)]
        if how.as_json:
            write_json([row._asdict() for row in found])
        elif not found:
            console().print("nothing is set: CROSSFADE_SAMPLE_PERCENT and CROSSFADE_BASELINE_PERCENT apply")
        else:
            shown = tables.table("", "collection", "shape", "compared", "baseline", right=("compared", "baseline"))
            for row in found:
                about = escape(f"{row.shape[:8]} {row.text or ''}"[:70]) if row.shape else "all"
                shown.add_row(escape(row.collection), about, _percent(row.percent), _percent(row.baseline_percent))
            console().print(shown)
        return DONE

    execute(go, as_json=how.as_json)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:g} %"
