"""rollback: reads back to ArangoDB. It is what somebody types at three in the morning, so it is the strictest verb.

A name that is not known never ends well: exit code 1, and a sentence that says what was meant perhaps and what *is*
flipped. Names that are known are taken back all the same, since they are why somebody typed it. `--all` needs no names
at all. While PostgreSQL is away there is nothing to take back, and the command says who answers reads meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import RefusedError
from proxy.cli import offline_status
from proxy.cli.naming import Known, about, flipped, known, matches, qualified
from proxy.cli.runtime import (
    REFUSED,
    ActorOption,
    DatabaseOption,
    DryRunOption,
    JsonOption,
    ReasonOption,
    actor_or_me,
    execute,
    note,
)
from proxy.cli.stage_change import change
from proxy.control import controller
from proxy.control.transitions_plan import DesiredState
from proxy.model.stages import Stage
from proxy.operator import status
from proxy.operator.status import OpenEpoch

_EVERYTHING = "*/*"
_BEHAVE = typer.Option("--wait/--no-wait", help="return once every instance behaves by it")


@dataclass(frozen=True, slots=True)
class Back:
    """What names come to. names: of collections that are known; unknown: names that stand for nothing.

    aborts: the epoch that is open concerns one of them, and none of them is beyond the stage.
    """

    targets: tuple[DesiredState, ...]
    names: tuple[str, ...]
    unknown: tuple[str, ...]
    aborts: bool


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(rollback)


def rollback(
    collections: Annotated[
        list[str] | None,
        typer.Argument(metavar="COLLECTION...", help="database/name, or name with --database; database/* for all"),
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="every collection of every database")] = False,
    to: Annotated[Stage, typer.Option("--to", help="shadow, mirror or off")] = Stage.SHADOW,
    database: DatabaseOption = "_system",
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    reason: ReasonOption = None,
    actor: ActorOption = None,
    wait: Annotated[bool, _BEHAVE] = True,
) -> None:
    """Take collections back, at once: no gates, no waiting for instances. An epoch that is open is aborted.

    Exit code 1 where a name is not known; the others are taken back all the same.

    Example: crossfade rollback shop/orders; crossfade rollback --all takes back whatever is flipped, in one step. With
    --to off the mirror stops too, and the copy grows stale.
    """
    if every == bool(collections):
        raise typer.BadParameter("name the collections to take back, or say --all", param_hint="COLLECTION...")

    async def go(settings: Settings, connected: Database) -> int:
        if to.at_least(Stage.FLIPPED):
            raise RefusedError("rollback goes to shadow, mirror or off: `crossfade flip` goes the other way")
        there = await known(connected)
        opened = await status.open_epoch(connected)
        back = plan(None if every else qualified(collections or (), database), there, opened, to)
        wrong = [f"{name} is not known: {about(name, there)}" for name in back.unknown]
        if wrong and not back.names:
            raise RefusedError("; ".join([*wrong, flipped(there)]))
        who = actor_or_me(actor)
        if not back.targets:
            if back.aborts and not dry_run:
                await controller.rollback(connected, back.names, actor=who, reason=reason)
            if not back.aborts:
                which = "no collection of any database is beyond it" if every else f"{', '.join(back.names)} is there"
                note(f"nothing to take back to {to}: {which}, or before; {flipped(there)}")
        code = await change(
            connected,
            back.targets,
            settings=settings,
            dry_run=dry_run,
            as_json=as_json,
            reason=reason,
            actor=who,
            wait=wait,
            more={"unknown": list(back.unknown)},
        )
        for sentence in wrong:
            note(sentence)
        if wrong:
            note(flipped(await known(connected)))
        return REFUSED if wrong else code

    execute(go, as_json=as_json, away=offline_status.no_way_back_needed)


def plan(names: Sequence[str] | None, there: Known, opened: OpenEpoch | None, to: Stage) -> Back:
    """What is to be taken back. names: `database/name` and patterns; None: everything. Pure."""
    moving = {move.collection for move in opened.moves} if opened is not None else set()
    defaults = {f"{database}/*": stage for database, stage in there.defaults.items()}
    candidates = dict.fromkeys([*there.collections, *moving, *defaults])
    found: dict[str, None] = {}
    wrong: list[str] = []
    for name in [_EVERYTHING] if names is None else names:
        of_it = [one for one in candidates if one == name or matches(one, name)]
        if names is not None and not of_it:
            wrong.append(name)
        found |= dict.fromkeys(of_it)
    stages = {**{name: standing.stage for name, standing in there.collections.items()}, **defaults}
    beyond = [one for one in found if one in stages and stages[one].rank > to.rank]
    aborts = not beyond and any(one in moving for one in found)
    return Back(tuple(DesiredState(one, to) for one in beyond), tuple(found), tuple(wrong), aborts)
