"""auto-rollback: the limits of flipped collections, what proxies have measured against them, and disabling them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import typer
from rich.console import Console
from rich.markup import escape

from proxy.base.arango_client import ask_instance
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import UpstreamError
from proxy.cli import tables
from proxy.cli.naming import expand_known, selected
from proxy.cli.registration import bundled, group
from proxy.cli.runtime import (
    DONE,
    REFUSED,
    Audited,
    Collections,
    JsonOption,
    Selection,
    console,
    execute,
    note,
    write_json,
)
from proxy.control import rollback_budgets
from proxy.control.read_stats import WINDOW
from proxy.control.rollback_budgets import CollectionBudget
from proxy.operator import status
from proxy.state import audit, control_row

_TIMEOUT: Final = 2.0  # seconds for an instance to answer


def register(app: typer.Typer) -> None:
    """Add the command group."""
    rollbacks = group(
        """Show or disable the automatic rollback of flipped collections.

        `crossfade flip --auto-rollback` arms it; it ends when the collection is rolled back.

        Examples:
          crossfade auto-rollback
          crossfade auto-rollback disable shop/orders --reason 'load test'
        """,
        default="list",
    )
    rollbacks.command("list")(list_)
    rollbacks.command()(disable)
    app.add_typer(rollbacks, name="auto-rollback")


@bundled
def list_(chosen: Selection, *, as_json: JsonOption = False) -> None:
    """Show limits, what each proxy has measured, and why a collection was rolled back.

    Exit code 1 if one was rolled back.

    Example:
      crossfade auto-rollback shop/orders
    """

    async def go(_: Settings, connected: Database) -> int:
        names = await selected(connected, chosen.collections, chosen.database) or []
        found = [one for one in await rollback_budgets.read(connected) if not names or one.collection in names]
        measured = await _measured(connected) if any(one.armed for one in found) else {}
        if as_json:
            write_json([{**plain(one), "seen": measured.get(one.collection, {})} for one in found])
        elif any(one.armed or one.why is not None for one in found):
            show(console(), found, measured)
        else:
            console().print("no automatic rollback: `crossfade flip COLLECTION --auto-rollback` arms it")
        return REFUSED if any(one.why for one in found) else DONE

    execute(go, as_json=as_json)


@bundled
def disable(chosen: Collections, how: Audited) -> None:
    """Disable the automatic rollback of collections. Their reads stay flipped.

    Example:
      crossfade auto-rollback disable shop/orders --reason 'load test'
    """

    async def go(_: Settings, connected: Database) -> int:
        names = await expand_known(connected, chosen.collections, chosen.database)
        async with connected.transaction() as session:
            await control_row.lock(session)
            gone = await rollback_budgets.disarm(session, names, actor=how.who)
            if gone:
                await audit.record(
                    session,
                    actor=how.who,
                    action="auto-rollback disable",
                    reason=how.reason,
                    detail={"collections": list(gone)},
                )
        if how.as_json:
            write_json({"disabled": gone})
        elif gone:
            console().print(f"automatic rollback disabled: {', '.join(gone)}; reads stay flipped")
        else:
            note(f"nothing to disable: {', '.join(names)} has no automatic rollback")
        return DONE

    execute(go, as_json=how.as_json)


async def _measured(connected: Database) -> dict[str, dict[str, Any]]:
    """Return collection -> instance -> figures of its reads within the window; leave out instances that are silent."""
    live = [one for one in await status.instances(connected) if one.stopped_at is None and one.admin_url is not None]

    async def ask(url: str) -> Mapping[str, Any]:
        try:
            found = (await ask_instance(url, "/status", {}, timeout=_TIMEOUT)).get("auto_rollback")
        except UpstreamError:
            return {}
        return found if isinstance(found, Mapping) else {}

    answers = await asyncio.gather(*(ask(one.admin_url or "") for one in live))
    measured: dict[str, dict[str, Any]] = {}
    for instance, answer in zip(live, answers, strict=True):
        for collection, figures in answer.items():
            measured.setdefault(collection, {})[instance.instance] = figures
    return measured


def plain(one: CollectionBudget) -> dict[str, Any]:
    """Return the JSON of one collection."""
    return {**asdict(one), "armed": one.armed}


def show(
    out: Console, found: Sequence[CollectionBudget], measured: Mapping[str, Mapping[str, Any]] | None = None
) -> None:
    """Print what is armed, and what was rolled back."""
    for one in found:
        name = escape(one.collection)
        if not one.armed:
            if one.why is not None:
                out.print(f"[red]{name} was rolled back[/red] by {escape(one.ended_by or '?')}: {escape(one.why)}")
            continue
        budget = one.budget
        slow = "" if budget.seconds is None else f", p99 {1000 * budget.seconds:g} ms"
        out.print(
            f"{name} has [green]automatic rollback[/green] ({tables.state_text(one.state)}), limits: "
            f"{budget.errors_percent:g} % errors{slow}, {budget.mismatches} mismatches; "
            f"so far {one.mismatched} mismatches"
        )
        for instance, figures in (measured or {}).get(one.collection, {}).items():
            out.print(
                f"  {escape(instance)}, last {WINDOW} s: {figures['reads']} reads, {figures['errors']} errors, "
                f"{figures['slow']} too slow, the slowest {1000 * figures['worst_seconds']:.0f} ms"
            )
