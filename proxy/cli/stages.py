"""mirror, shadow, flip, rollback, default-stage: the commands that change what instances do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from proxy.cli import tables
from proxy.cli.common import (
    DONE,
    REFUSED,
    ActorOption,
    CollectionsArgument,
    DatabaseOption,
    DryRunOption,
    JsonOption,
    ReasonOption,
    TimeoutOption,
    actor_or_me,
    console,
    execute,
    expand,
    note,
    qualified,
    write_json,
)
from proxy.client import OriginClient, OriginCollection
from proxy.config import Settings
from proxy.cutover import controller, status
from proxy.cutover.controller import Changed
from proxy.cutover.epoch import Progress, Step
from proxy.cutover.gates import blocking
from proxy.cutover.moves import Target
from proxy.cutover.stages import Phase, Stage, Standing
from proxy.database import Database
from proxy.errors import ArangoError, RefusedError, UpstreamError

_WAIT = typer.Option("--wait/--no-wait", help="return once every instance behaves by it")
WaitOption = Annotated[bool, _WAIT]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(mirror)
    app.command()(shadow)
    app.command()(flip)
    app.command()(rollback)
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
        known = await status.standings(connected)
        there = await _ask_origin(settings, names)
        targets: dict[str, Target] = {}
        for name in names:
            for target in _mirrored(name, known, there):
                targets.setdefault(target.collection, target)
        return await _change(
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
        targets = [Target(name, Stage.SHADOW) for name in names]
        patterns = [name for name in qualified(collections, database) if name.endswith("/*")]
        targets += [Target(name, Stage.SHADOW) for name in patterns]
        return await _change(
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


def flip(
    collections: CollectionsArgument,
    *,
    percent: Annotated[int, typer.Option("--percent", min=1, max=100, help="share of reads for PostgreSQL")] = 100,
    force: Annotated[
        bool, typer.Option("--force", help="go past gates that do not keep clients' own writes visible; needs --reason")
    ] = False,
    database: DatabaseOption = "_system",
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    reason: ReasonOption = None,
    actor: ActorOption = None,
    timeout: TimeoutOption = 30.0,
) -> None:
    """Serve reads of collections from PostgreSQL. Refuses unless every gate passes, and says what to do.

    Example: crossfade flip shop/orders --percent 10; then crossfade flip shop/orders; crossfade rollback undoes it.
    """

    async def go(settings: Settings, connected: Database) -> int:
        names = await expand(
            connected,
            collections,
            database,
            lambda s: s.stage in (Stage.SHADOW, Stage.FLIPPED),
            "at stage shadow or flipped",
        )
        return await _change(
            connected,
            [Target(name, Stage.FLIPPED, percent) for name in names],
            settings=settings,
            dry_run=dry_run,
            as_json=as_json,
            reason=reason,
            actor=actor,
            timeout=timeout,
            force=force,
        )

    execute(go, as_json=as_json)


def rollback(
    collections: CollectionsArgument,
    *,
    to: Annotated[Stage, typer.Option("--to", help="shadow, mirror or off")] = Stage.SHADOW,
    database: DatabaseOption = "_system",
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    reason: ReasonOption = None,
    actor: ActorOption = None,
    wait: WaitOption = True,
) -> None:
    """Take collections back, at once: no gates, no waiting for instances. An epoch that is open is aborted.

    Example: crossfade rollback shop/orders; with --to off the mirror stops too, and the copy grows stale.
    """

    async def go(settings: Settings, connected: Database) -> int:
        if to.at_least(Stage.FLIPPED):
            raise RefusedError("rollback goes to shadow, mirror or off: `crossfade flip` goes the other way")
        found = await status.read(connected)
        known = {one.collection: one.standing for one in found.collections}
        names = await expand(connected, collections, database, lambda s: s.stage.rank > to.rank, f"beyond {to}")
        targets = [Target(name, to) for name in names if known.get(name, Standing()).stage.rank > to.rank]
        patterns = [name for name in qualified(collections, database) if name.endswith("/*")]
        lower = [name for name in patterns if found.defaults.get(name[:-2], Stage.OFF).rank > to.rank]
        targets += [Target(name, to) for name in lower]
        who = actor_or_me(actor)
        if not targets:
            opened = found.open_epoch
            concerned = opened is not None and any(move.collection in names for move in opened.moves)
            if concerned and not dry_run:
                await controller.rollback(connected, names, actor=who, reason=reason)
            if not concerned:
                note(f"nothing to take back: {', '.join(names)} is at {to} or before")
        return await _change(
            connected,
            targets,
            settings=settings,
            dry_run=dry_run,
            as_json=as_json,
            reason=reason,
            actor=who,
            wait=wait,
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
        return await _change(
            connected,
            [Target(f"{name}/*", stage)],
            settings=settings,
            dry_run=dry_run,
            as_json=as_json,
            reason=reason,
            actor=actor,
            timeout=timeout,
        )

    execute(go, as_json=as_json)


async def _change(
    connected: Database,
    targets: Sequence[Target],
    *,
    settings: Settings,
    dry_run: bool,
    as_json: bool,
    reason: str | None,
    actor: str | None,
    timeout: float = 30.0,
    force: bool = False,
    wait: bool = True,
) -> int:
    changed = await controller.change(
        connected,
        targets,
        settings=settings,
        actor=actor_or_me(actor),
        reason=reason,
        dry_run=dry_run,
        force=force,
        wait=wait,
        timeout=timeout,
        progress=_follow() if not as_json else lambda _: None,
    )
    blocked = any(blocking(gates, force=force) for gates in changed.gates.values())
    if as_json:
        write_json({**_plain(changed), "would_be_refused": blocked} if dry_run else _plain(changed))
    else:
        _show(changed)
        if dry_run:
            for one in await status.instances(connected):
                where = f", {one.admin_url}" if one.admin_url else ""
                console().print(f"{one.instance}: {one.state}, heartbeat {one.heartbeat_age:.1f} s ago{where}")
    return REFUSED if dry_run and blocked else DONE


def _plain(changed: Changed) -> dict[str, Any]:
    return {
        **asdict(changed),
        "gates": {name: [asdict(gate) for gate in found] for name, found in changed.gates.items()},
    }


def _show(changed: Changed) -> None:
    out = console()
    if not changed.moves:
        out.print("nothing to change: all of them are there already")
        return
    tables.moves(out, changed.moves)
    if changed.dry_run:
        tables.gates(out, changed.gates)
        steps = ", ".join(changed.phases) if changed.phases else "at once, in one step"
        out.print(f"nothing was changed; it would go through: {steps}")
        return
    out.print(f"done: epoch {changed.epoch}, generation {changed.generation}")
    if changed.behind:
        out.print(
            f"[yellow]{', '.join(changed.behind)} did not behave by it yet[/yellow]: no harm, reads from PostgreSQL "
            "are refused there until it does"
        )


def _follow() -> Progress:
    """Says on standard error which phase is under way, and for whom it waits; once each."""
    said: set[tuple[Phase, tuple[str, ...]]] = set()

    def step(one: Step) -> None:
        names = tuple(waiting.instance for waiting in one.waiting)
        if one.phase is not Phase.SETTLED and (one.phase, names) not in said:
            said.add((one.phase, names))
            note(f"{one.phase}: " + (f"waiting for {', '.join(names)}" if names else "acknowledged by all"))

    return step


# ---- what the origin has


async def _ask_origin(settings: Settings, names: Sequence[str]) -> dict[str, dict[str, OriginCollection]]:
    """The origin's collections of each database that is named; one that cannot be asked is left out, with a note."""
    found: dict[str, dict[str, OriginCollection]] = {}
    async with OriginClient(str(settings.origin), settings.origin_user, settings.origin_password) as client:
        for database in dict.fromkeys(name.partition("/")[0] for name in names):
            try:
                listed = await client.collections(database)
            except (UpstreamError, ArangoError) as error:
                note(f"ArangoDB could not be asked for the collections of {database} ({error}): going on without")
            else:
                found[database] = {one.name: one for one in listed if not one.system}
    return found


def _mirrored(
    name: str, known: Mapping[str, Standing], there: Mapping[str, Mapping[str, OriginCollection]]
) -> list[Target]:
    """The targets of one name or pattern; what is further already stays where it is."""
    database, _, rest = name.partition("/")
    listed = there.get(database)
    if rest != "*":
        if name not in known and listed is not None and rest not in listed:
            raise RefusedError(
                f"ArangoDB has no collection {name}: for those to come, `crossfade mirror '{database}/*'`"
            )
        edge = listed is not None and rest in listed and listed[rest].edge
        return [Target(name, Stage.MIRROR, edge=edge)] if not _beyond(known.get(name)) else []
    names = {one: None for one in known if one.startswith(f"{database}/")}
    names |= {f"{database}/{one}": None for one in listed or ()}
    targets = [
        Target(one, Stage.MIRROR, edge=bool(listed and (found := listed.get(one.partition("/")[2])) and found.edge))
        for one in names
        if not _beyond(known.get(one))
    ]
    return [*targets, Target(name, Stage.MIRROR)]


def _beyond(standing: Standing | None) -> bool:
    return standing is not None and standing.stage.rank > Stage.MIRROR.rank
