"""rollback: reads back to ArangoDB. It is the emergency command, so it is the strictest one.

A name that is not known is exit code 1, with a sentence that states what was probably meant and what *is* flipped.
Names that are known are rolled back all the same. `--all` needs no names. While PostgreSQL is away nothing can be
rolled back, and the command states who answers reads meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import PreconditionFailed
from proxy.cli import offline_status
from proxy.cli.flip import WaitForInstances
from proxy.cli.naming import KnownNames, alternatives, flipped, known, matches, qualified
from proxy.cli.registration import bundled
from proxy.cli.runtime import REFUSED, ChangeOptions, DatabaseOption, execute, note
from proxy.cli.stage_change import change
from proxy.cli.stages import FirstStage
from proxy.control import controller
from proxy.control.transitions_plan import DesiredState
from proxy.model.stages import Stage
from proxy.operator import status
from proxy.operator.status import OpenEpoch

_EVERYTHING: Final = "*/*"


@dataclass(frozen=True, slots=True)
class RollbackPlan:
    """The result of the given names. names: of collections that are known; unknown: names that match nothing.

    aborts: the open epoch concerns one of them, and none of them is beyond the stage.
    """

    targets: tuple[DesiredState, ...]
    names: tuple[str, ...]
    unknown: tuple[str, ...]
    aborts: bool


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(rollback)


@bundled
def rollback(
    collections: Annotated[
        list[str] | None,
        typer.Argument(metavar="COLLECTION", help="database/name, or name with --database; database/* for all"),
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="roll back every flipped collection of every database")] = False,
    to: Annotated[FirstStage, typer.Option("--to", help="the stage to return to")] = FirstStage.SHADOW,
    database: DatabaseOption = "_system",
    wait_for_instances: WaitForInstances = True,
    how: ChangeOptions,
) -> None:
    """Serve reads from ArangoDB again, immediately: no gates. An open epoch is aborted.

    Exit code 1 if a name is not known; the other collections are rolled back all the same. With --to off writes are no
    longer mirrored either, and the copy in PostgreSQL becomes stale.

    Examples:
      crossfade rollback shop/orders --reason 'reads are slow'
      crossfade rollback --all
    """
    if every == bool(collections):
        raise typer.BadParameter("name the collections to roll back, or give --all", param_hint="COLLECTION...")
    stage = Stage(to.value)

    async def go(settings: Settings, connected: Database) -> int:
        there = await known(connected)
        opened = await status.open_epoch(connected)
        back = plan(None if every else qualified(collections or (), database), there, opened, stage)
        wrong = [f"{name} is not known: {alternatives(name, there)}" for name in back.unknown]
        if wrong and not back.names:
            raise PreconditionFailed("; ".join([*wrong, flipped(there)]))
        if not back.targets:
            if back.aborts and not how.dry_run:
                await controller.rollback(connected, back.names, actor=how.who, reason=how.reason)
            if not back.aborts:
                which = "every collection" if every else ", ".join(back.names)
                note(f"Already at {stage}, or before: {which}; {flipped(there)}")
        code = await change(
            connected,
            back.targets,
            how,
            settings=settings,
            wait=wait_for_instances,
            more={"unknown": list(back.unknown)},
        )
        for sentence in wrong:
            note(sentence)
        if wrong:
            note(flipped(await known(connected)))
        return REFUSED if wrong else code

    execute(go, as_json=how.as_json, away=offline_status.rollback_advice)


def plan(names: Sequence[str] | None, there: KnownNames, opened: OpenEpoch | None, to: Stage) -> RollbackPlan:
    """Return what is to be rolled back. names: `database/name` and patterns; None: everything. Pure."""
    moving = {transition.collection for transition in opened.transitions} if opened is not None else set()
    defaults = {f"{database}/*": stage for database, stage in there.defaults.items()}
    candidates = dict.fromkeys([*there.collections, *moving, *defaults])
    found: dict[str, None] = {}
    wrong: list[str] = []
    for name in [_EVERYTHING] if names is None else names:
        of_it = [one for one in candidates if one == name or matches(one, name)]
        if names is not None and not of_it:
            wrong.append(name)
        found |= dict.fromkeys(of_it)
    stages = {**{name: state.stage for name, state in there.collections.items()}, **defaults}
    beyond = [one for one in found if one in stages and stages[one].rank > to.rank]
    aborts = not beyond and any(one in moving for one in found)
    return RollbackPlan(tuple(DesiredState(one, to) for one in beyond), tuple(found), tuple(wrong), aborts)
