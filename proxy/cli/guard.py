"""guard: what the guards of flipped collections let pass and have seen, and taking one off."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape

from proxy.base.arango_client import ask_instance
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import RefusedError, UpstreamError
from proxy.cli import tables
from proxy.cli.naming import expand
from proxy.cli.runtime import (
    DONE,
    REFUSED,
    ActorOption,
    DatabaseOption,
    JsonOption,
    ReasonOption,
    SomeCollections,
    actor_or_me,
    console,
    execute,
    note,
    write_json,
)
from proxy.control import guard as guards
from proxy.control.guard import Guarded
from proxy.control.read_stats import WINDOW
from proxy.operator import status
from proxy.state import audit, control_row

_PATIENCE: Final = 2.0  # seconds for an instance to answer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(guard)


def guard(
    collections: SomeCollections = None,
    *,
    off: Annotated[
        bool, typer.Option("--off", help="take the guards of these collections off; reads stay flipped")
    ] = False,
    database: DatabaseOption = "_system",
    reason: ReasonOption = None,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show guards: what they let pass, what each proxy has just seen, and why one took reads back.

    Guards are set by `crossfade flip --guard`, and last until the collection is rolled back. Exit code 1 where one has
    taken reads back. Example: crossfade guard; crossfade guard shop/orders --off --reason 'load test'
    """

    async def go(_: Settings, connected: Database) -> int:
        names: list[str] = []
        if collections:
            names = await expand(connected, collections, database, lambda _: True, "known")
        if off:
            return await _off(connected, names, actor_or_me(actor), reason, as_json=as_json)
        found = [one for one in await guards.read(connected) if not names or one.collection in names]
        seen = await _seen(connected) if any(one.armed for one in found) else {}
        if as_json:
            write_json([{**plain(one), "seen": seen.get(one.collection, {})} for one in found])
        elif found:
            show(console(), found, seen)
        else:
            console().print("no collection has a guard: `crossfade flip COLLECTION --guard` sets one")
        return REFUSED if any(one.why for one in found) else DONE

    execute(go, as_json=as_json)


async def _off(connected: Database, names: Sequence[str], actor: str, reason: str | None, *, as_json: bool) -> int:
    if not names:
        raise RefusedError("--off needs the collections whose guards are taken off")
    async with connected.transaction() as session:
        await control_row.lock(session)
        gone = await guards.disarm(session, names, actor=actor)
        if gone:
            await audit.record(
                session, actor=actor, action="guard off", reason=reason, detail={"collections": list(gone)}
            )
    if as_json:
        write_json({"off": gone})
    elif gone:
        console().print(f"no guard any more: {', '.join(gone)}; reads stay where they are")
    else:
        note(f"nothing to take off: {', '.join(names)} has no guard")
    return DONE


async def _seen(connected: Database) -> dict[str, dict[str, Any]]:
    """Collection -> instance -> what its reads were like within the window; an instance that is silent is left out."""
    live = [one for one in await status.instances(connected) if one.stopped_at is None and one.admin_url is not None]

    async def ask(url: str) -> Mapping[str, Any]:
        try:
            found = (await ask_instance(url, "/status", {}, timeout=_PATIENCE)).get("guards")
        except UpstreamError:
            return {}
        return found if isinstance(found, Mapping) else {}

    answers = await asyncio.gather(*(ask(one.admin_url or "") for one in live))
    seen: dict[str, dict[str, Any]] = {}
    for instance, answer in zip(live, answers, strict=True):
        for collection, figures in answer.items():
            seen.setdefault(collection, {})[instance.instance] = figures
    return seen


def plain(one: Guarded) -> dict[str, Any]:
    """For JSON."""
    return {**asdict(one), "armed": one.armed}


def show(out: Console, found: Sequence[Guarded], seen: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """What is armed, and what guards did."""
    for one in found:
        name = escape(one.collection)
        if not one.armed:
            if one.why is not None:
                out.print(f"[red]{name} was rolled back[/red] by the {escape(one.ended_by or '?')}: {escape(one.why)}")
            continue
        budget = one.budget
        slow = "" if budget.seconds is None else f", 1 % over {1000 * budget.seconds:g} ms"
        out.print(
            f"{name} is [green]guarded[/green] ({tables.standing_text(one.standing)}): {budget.errors_percent:g} % "
            f"errors{slow}, {budget.mismatches} mismatches are let pass; {one.mismatched} mismatches so far"
        )
        for instance, figures in (seen or {}).get(one.collection, {}).items():
            out.print(
                f"  {escape(instance)}, last {WINDOW} s: {figures['reads']} reads, {figures['errors']} errors, "
                f"{figures['slow']} too slow, the longest {1000 * figures['worst_seconds']:.0f} ms"
            )
