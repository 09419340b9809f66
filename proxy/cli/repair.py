"""repair: named documents, or those that were written around the proxies, are what ArangoDB has."""

from __future__ import annotations

from typing import Annotated

import typer

from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import RefusedError
from proxy.cli.naming import require_known
from proxy.cli.repair_keys import has_collection, repair_documents, repair_dropped
from proxy.cli.runtime import (
    DONE,
    REFUSED,
    ActorOption,
    DatabaseOption,
    DryRunOption,
    JsonOption,
    ReasonOption,
    actor_or_me,
    console,
    execute,
    note,
    write_json,
)
from proxy.model.stages import Stage
from proxy.operator import out_of_band, status
from proxy.state import audit


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(repair)


def repair(
    collection: Annotated[str, typer.Argument(metavar="COLLECTION", help="database/name, or name with --database")],
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY]...", help="keys; none: all that was written around the proxies"),
    ] = None,
    *,
    database: DatabaseOption = "_system",
    dry_run: DryRunOption = False,
    reason: ReasonOption = None,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read documents from ArangoDB again and put PostgreSQL right, never over a newer version.

    Without keys: the documents that `crossfade status` names as written around the proxies. A collection that ArangoDB
    has no more is taken out of PostgreSQL, and out of `crossfade status`.

    Example: crossfade repair shop/orders; crossfade repair shop/orders 4711 4712
    """

    async def go(settings: Settings, connected: Database) -> int:
        (name,) = await require_known(connected, [collection], database)
        if not keys and not await has_collection(settings, name):
            return await _dropped(settings, connected, name, actor, reason, dry_run=dry_run, as_json=as_json)
        wanted = list(dict.fromkeys(keys)) if keys else await out_of_band.open_keys(connected, name)
        left: frozenset[str] = frozenset()
        if wanted and not dry_run:
            began = await out_of_band.now(connected)
            left = await repair_documents(settings, connected, name, wanted)
            done = [key for key in wanted if key not in left]
            await out_of_band.mark_repaired(connected, name, done, began)
            async with connected.transaction() as session:
                await audit.record(
                    session,
                    actor=actor_or_me(actor),
                    action="repair documents",
                    reason=reason,
                    detail={"collection": name, "documents": len(done)},
                )
        if as_json:
            write_json({"collection": name, "repaired": wanted, "left": sorted(left), "dry_run": dry_run})
        elif not wanted:
            console().print(f"{name}: nothing to repair")
        else:
            console().print(f"{name}: {len(wanted)} documents {'would be read again' if dry_run else 'read again'}")
        if left:
            note(f"{len(left)} documents change, or are refused (`crossfade trace`): {', '.join(sorted(left)[:5])}")
        return REFUSED if left else DONE

    execute(go, as_json=as_json)


async def _dropped(
    settings: Settings,
    connected: Database,
    name: str,
    actor: str | None,
    reason: str | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> int:
    if (await status.standings(connected))[name].stage.at_least(Stage.FLIPPED):
        raise RefusedError(f"ArangoDB has no collection {name}, and it is flipped: `crossfade rollback {name}` first")
    if not dry_run:
        await repair_dropped(settings, connected, name)
        async with connected.transaction() as session:
            await audit.record(
                session, actor=actor_or_me(actor), action="forget", reason=reason, detail={"collection": name}
            )
    if as_json:
        write_json({"collection": name, "dropped": True, "dry_run": dry_run})
    else:
        would = "would be" if dry_run else "is"
        console().print(f"{name}: ArangoDB has no such collection: it {would} taken out of PostgreSQL and of `status`")
    return DONE
