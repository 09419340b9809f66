"""mirror, shadow, stage default: the way to compared reads. `shadow replay` is in `replay`."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Final

import typer

from proxy.base.arango_client import OriginClient, OriginCollection
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import ArangoError, PreconditionFailed, UpstreamError
from proxy.cli.naming import expand, known, near_matches, qualified
from proxy.cli.registration import bundled, group
from proxy.cli.replay import replay
from proxy.cli.runtime import Collections, StageOptions, execute, note
from proxy.cli.stage_change import change
from proxy.control.transitions_plan import DesiredState
from proxy.model.stages import CollectionState, Stage
from proxy.operator import status

_NO_DATABASE: Final = 1228  # ArangoDB's error number


class FirstStage(enum.StrEnum):
    """The stages that a collection may begin with, or return to."""

    OFF = Stage.OFF.value
    MIRROR = Stage.MIRROR.value
    SHADOW = Stage.SHADOW.value


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(mirror)
    shadows = group(
        """Compare every read of mirrored collections with PostgreSQL, after the client has its answer.

        `crossfade shadow COLLECTION...` starts it, with the options of `crossfade shadow start`. `crossfade shadow
        replay` sends rare reads again.

        Examples:
          crossfade shadow shop/orders
          crossfade shadow 'shop/*'
          crossfade shadow replay shop/orders
        """,
        default="start",
        bare=False,
    )
    shadows.command("start")(shadow)
    shadows.command()(replay)
    app.add_typer(shadows, name="shadow")
    stage = group(
        """Set the stage of collections that do not exist yet.

        Example:
          crossfade stage default shop mirror
        """
    )
    stage.command("default")(default)
    app.add_typer(stage, name="stage")


@bundled
def mirror(chosen: Collections, how: StageOptions) -> None:
    """Mirror every write of collections into PostgreSQL. Answers to clients do not change.

    A pattern includes all collections of a database, also those that are created later.

    Examples:
      crossfade mirror shop/orders shop/customers
      crossfade mirror 'shop/*'
    """

    async def go(settings: Settings, connected: Database) -> int:
        names = qualified(chosen.collections, chosen.database)
        registered, present = await status.collection_states(connected), await status.present(connected)
        there = await _ask_origin(settings, names, registered)
        targets: dict[str, DesiredState] = {}
        for name in names:
            for target in _mirrored(name, registered, there, present):
                targets.setdefault(target.collection, target)
        return await change(connected, list(targets.values()), how, settings=settings)

    execute(go, as_json=how.as_json)


@bundled
def shadow(chosen: Collections, how: StageOptions) -> None:
    """Compare every read of mirrored collections with PostgreSQL, after the client has its answer.

    A pattern includes all mirrored collections of a database, also those that are created later.

    Examples:
      crossfade shadow shop/orders
      crossfade shadow 'shop/*' --dry-run
    """

    async def go(settings: Settings, connected: Database) -> int:
        names = await expand(
            connected, chosen.collections, chosen.database, lambda s: s.stage is Stage.MIRROR, "mirrored"
        )
        names += [name for name in qualified(chosen.collections, chosen.database) if name.endswith("/*")]
        return await change(connected, [DesiredState(name, Stage.SHADOW) for name in names], how, settings=settings)

    execute(go, as_json=how.as_json)


@bundled
def default(
    name: Annotated[str, typer.Argument(metavar="DATABASE", help="a database, or * for every other")],
    stage: Annotated[FirstStage, typer.Argument(metavar="STAGE", help="the first stage of new collections")],
    how: StageOptions,
) -> None:
    """Set the stage that new collections of a database begin with.

    Examples:
      crossfade stage default shop mirror
      crossfade stage default '*' off
    """

    async def go(settings: Settings, connected: Database) -> int:
        there = await known(connected)
        if name != "*" and name not in there.databases:
            await _require_database(settings, name)
        return await change(connected, [DesiredState(f"{name}/*", Stage(stage.value))], how, settings=settings)

    execute(go, as_json=how.as_json)


# ---- what the origin has


async def _require_database(settings: Settings, name: str) -> None:
    """Raise PreconditionFailed if ArangoDB has no such database; print a remark if ArangoDB cannot be asked."""
    async with OriginClient(settings.origin_url, *settings.origin_account) as client:
        try:
            listed = await client.databases()
        except (UpstreamError, ArangoError) as error:
            note(f"ArangoDB's databases are not known ({error}): continuing without them")
            return
    if name not in listed:
        raise PreconditionFailed(_no_database(name, listed))


def _no_database(name: str, listed: Sequence[str]) -> str:
    offered = near_matches(name, listed)
    meant = f"did you mean {' or '.join(offered)}?" if offered else f"it has {', '.join(sorted(listed))};"
    return (
        f"ArangoDB has no database {name}: {meant} for databases that do not exist yet, run `crossfade stage default "
        "'*' STAGE`"
    )


async def _ask_origin(
    settings: Settings, names: Sequence[str], registered: Mapping[str, CollectionState]
) -> dict[str, dict[str, OriginCollection]]:
    """Return ArangoDB's collections of each database that is named; leave out one that cannot be asked, with a remark.

    Raise PreconditionFailed for a database that neither ArangoDB nor Crossfade has.
    """
    found: dict[str, dict[str, OriginCollection]] = {}
    async with OriginClient(settings.origin_url, *settings.origin_account) as client:
        for database in dict.fromkeys(name.partition("/")[0] for name in names):
            try:
                listed = await client.collections(database)
            except (UpstreamError, ArangoError) as error:
                if isinstance(error, ArangoError) and error.number == _NO_DATABASE:
                    if not any(one.startswith(f"{database}/") for one in registered):
                        raise PreconditionFailed(_no_database(database, await client.databases())) from error
                    continue
                note(f"ArangoDB's collections of {database} are not known ({error}): continuing without them")
            else:
                found[database] = {one.name: one for one in listed if not one.system}
    return found


def _mirrored(
    name: str,
    registered: Mapping[str, CollectionState],
    there: Mapping[str, Mapping[str, OriginCollection]],
    present: Collection[str],
) -> list[DesiredState]:
    """Return the desired states of one name or pattern; collections beyond `mirror` stay at their stage."""
    database, _, rest = name.partition("/")
    listed = there.get(database)
    if rest != "*":
        if name not in present and listed is not None and rest not in listed:
            offered = near_matches(name, [f"{database}/{one}" for one in listed])
            meant = f" did you mean {' or '.join(offered)}?" if offered else ""
            raise PreconditionFailed(
                f"ArangoDB has no collection {name}:{meant} for collections that do not exist yet, run `crossfade "
                f"mirror '{database}/*'`"
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


def _beyond(state: CollectionState | None) -> bool:
    return state is not None and state.stage.rank > Stage.MIRROR.rank
