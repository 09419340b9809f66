"""mirror, shadow, default-stage: the way to where reads are compared. `shadow replay` lives in `replaying`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from proxy.base.arango_client import OriginClient, OriginCollection
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import ArangoError, RefusedError, UpstreamError
from proxy.cli.naming import expand, known, near, qualified
from proxy.cli.replay import replay
from proxy.cli.runtime import (
    ActorOption,
    CollectionsArgument,
    DatabaseOption,
    DryRunOption,
    JsonOption,
    ReasonOption,
    TimeoutOption,
    execute,
    note,
)
from proxy.cli.stage_change import change
from proxy.control.transitions_plan import DesiredState
from proxy.model.stages import Stage, Standing
from proxy.operator import status

_NO_DATABASE: Final = 1228  # ArangoDB's error number


class _DefaultMove(TyperGroup):
    """`crossfade shadow COLLECTION…` moves collections; `crossfade shadow replay` is a command of its own."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["begin", *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(mirror)
    group = typer.Typer(
        cls=_DefaultMove,
        help="Compare every read of mirrored collections with PostgreSQL, after the client has its answer: "
        "crossfade shadow COLLECTION… (with --dry-run, --json, --reason as `mirror` has them).\n\n"
        "Example: crossfade shadow shop/orders; crossfade shadow 'shop/*' takes all that are mirrored, and those to "
        "come; crossfade shadow replay sends rare reads again.",
    )
    group.command("begin", hidden=True)(shadow)
    group.command()(replay)
    app.add_typer(group, name="shadow")
    app.command("default-stage")(default_stage)


def mirror(
    collections: CollectionsArgument,
    *,
    database: DatabaseOption = "_system",
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    reason: ReasonOption = None,
    actor: ActorOption = None,
    timeout: TimeoutOption = 30.0,
) -> None:
    """Mirror every write of collections into PostgreSQL. Clients notice nothing.

    Example: crossfade mirror shop/orders shop/customers; crossfade mirror 'shop/*' takes all, and those to come.
    """

    async def go(settings: Settings, connected: Database) -> int:
        names = qualified(collections, database)
        registered, present = await status.standings(connected), await status.present(connected)
        there = await _ask_origin(settings, names, registered)
        targets: dict[str, DesiredState] = {}
        for name in names:
            for target in _mirrored(name, registered, there, present):
                targets.setdefault(target.collection, target)
        return await change(
            connected,
            list(targets.values()),
            settings=settings,
            dry_run=dry_run,
            as_json=as_json,
            reason=reason,
            actor=actor,
            timeout=timeout,
        )

    execute(go, as_json=as_json)


def shadow(
    collections: CollectionsArgument,
    *,
    database: DatabaseOption = "_system",
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    reason: ReasonOption = None,
    actor: ActorOption = None,
    timeout: TimeoutOption = 30.0,
) -> None:
    """Compare every read of mirrored collections with PostgreSQL, after the client has its answer.

    Example: crossfade shadow shop/orders; crossfade shadow 'shop/*' takes all that are mirrored, and those to come.
    """

    async def go(settings: Settings, connected: Database) -> int:
        names = await expand(connected, collections, database, lambda s: s.stage is Stage.MIRROR, "mirrored")
        targets = [DesiredState(name, Stage.SHADOW) for name in names]
        patterns = [name for name in qualified(collections, database) if name.endswith("/*")]
        targets += [DesiredState(name, Stage.SHADOW) for name in patterns]
        return await change(
            connected,
            targets,
            settings=settings,
            dry_run=dry_run,
            as_json=as_json,
            reason=reason,
            actor=actor,
            timeout=timeout,
        )

    execute(go, as_json=as_json)


def default_stage(
    name: Annotated[str, typer.Argument(metavar="DATABASE", help="a database, or * for every other")],
    stage: Annotated[Stage, typer.Argument(help="off, mirror or shadow")],
    *,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    reason: ReasonOption = None,
    actor: ActorOption = None,
    timeout: TimeoutOption = 30.0,
) -> None:
    """Set the stage that new collections of a database begin with.

    Example: crossfade default-stage shop mirror; crossfade default-stage '*' off.
    """

    async def go(settings: Settings, connected: Database) -> int:
        there = await known(connected)
        if name != "*" and name not in there.databases:
            await _require_database(settings, name)
        return await change(
            connected,
            [DesiredState(f"{name}/*", stage)],
            settings=settings,
            dry_run=dry_run,
            as_json=as_json,
            reason=reason,
            actor=actor,
            timeout=timeout,
        )

    execute(go, as_json=as_json)


# ---- what the origin has


async def _require_database(settings: Settings, name: str) -> None:
    """Raises RefusedError where ArangoDB has no such database; where it cannot be asked, that is said."""
    async with OriginClient(str(settings.origin), settings.origin_user, settings.origin_password) as client:
        try:
            listed = await client.databases()
        except (UpstreamError, ArangoError) as error:
            note(f"ArangoDB could not be asked for its databases ({error}): going on without")
            return
    if name not in listed:
        raise RefusedError(_no_database(name, listed))


def _no_database(name: str, listed: Sequence[str]) -> str:
    offered = near(name, listed)
    meant = f"did you mean {' or '.join(offered)}?" if offered else f"it has {', '.join(sorted(listed))};"
    return f"ArangoDB has no database {name}: {meant} `crossfade default-stage '*' STAGE` is for those yet to be made"


async def _ask_origin(
    settings: Settings, names: Sequence[str], registered: Mapping[str, Standing]
) -> dict[str, dict[str, OriginCollection]]:
    """The origin's collections of each database that is named; one that cannot be asked is left out, with a note.

    Raises RefusedError for a database that neither ArangoDB nor Crossfade has.
    """
    found: dict[str, dict[str, OriginCollection]] = {}
    async with OriginClient(str(settings.origin), settings.origin_user, settings.origin_password) as client:
        for database in dict.fromkeys(name.partition("/")[0] for name in names):
            try:
                listed = await client.collections(database)
            except (UpstreamError, ArangoError) as error:
                if isinstance(error, ArangoError) and error.number == _NO_DATABASE:
                    if not any(one.startswith(f"{database}/") for one in registered):
                        raise RefusedError(_no_database(database, await client.databases())) from error
                    continue
                note(f"ArangoDB could not be asked for the collections of {database} ({error}): going on without")
            else:
                found[database] = {one.name: one for one in listed if not one.system}
    return found


def _mirrored(
    name: str,
    registered: Mapping[str, Standing],
    there: Mapping[str, Mapping[str, OriginCollection]],
    present: Collection[str],
) -> list[DesiredState]:
    """The targets of one name or pattern; what is further already stays where it is."""
    database, _, rest = name.partition("/")
    listed = there.get(database)
    if rest != "*":
        if name not in present and listed is not None and rest not in listed:
            offered = near(name, [f"{database}/{one}" for one in listed])
            meant = f"did you mean {' or '.join(offered)}? For" if offered else "for"
            raise RefusedError(
                f"ArangoDB has no collection {name}: {meant} those to come, `crossfade mirror '{database}/*'`"
            )
        edge = listed is not None and rest in listed and listed[rest].edge
        return [DesiredState(name, Stage.MIRROR, edge=edge)] if not _beyond(registered.get(name)) else []
    names = {one: None for one in present if one.startswith(f"{database}/")}
    names |= {f"{database}/{one}": None for one in listed or ()}
    targets = [
        DesiredState(
            one, Stage.MIRROR, edge=bool(listed and (found := listed.get(one.partition("/")[2])) and found.edge)
        )
        for one in names
        if not _beyond(registered.get(one))
    ]
    return [*targets, DesiredState(name, Stage.MIRROR)]


def _beyond(standing: Standing | None) -> bool:
    return standing is not None and standing.stage.rank > Stage.MIRROR.rank
