"""repair: copy documents from ArangoDB again, by key or those of out-of-band writes."""

from __future__ import annotations

from typing import Annotated

import typer

from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import PreconditionFailed
from proxy.cli.naming import require_known
from proxy.cli.registration import bundled
from proxy.cli.repair_keys import has_collection, repair_documents, repair_dropped
from proxy.cli.runtime import (
    DONE,
    REFUSED,
    ChangeOptions,
    CollectionArgument,
    DatabaseOption,
    console,
    execute,
    note,
    plural,
    write_json,
)
from proxy.model.stages import Stage
from proxy.operator import out_of_band, status
from proxy.state import audit


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(repair)


@bundled
def repair(
    collection: CollectionArgument,
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY", help="keys of documents; by default those of all out-of-band writes"),
    ] = None,
    *,
    database: DatabaseOption = "_system",
    how: ChangeOptions,
) -> None:
    """Read documents from ArangoDB again and repair PostgreSQL, never over a newer version.

    Without keys: the documents that `crossfade status` lists as out-of-band writes. A collection that no longer exists
    in ArangoDB is removed from PostgreSQL and from `crossfade status`.

    Examples:
      crossfade repair shop/orders
      crossfade repair shop/orders 4711 4712
    """

    async def go(settings: Settings, connected: Database) -> int:
        (name,) = await require_known(connected, [collection], database)
        if not keys and not await has_collection(settings, name):
            return await _dropped(settings, connected, name, how)
        wanted = list(dict.fromkeys(keys)) if keys else await out_of_band.open_keys(connected, name)
        left: frozenset[str] = frozenset()
        if wanted and not how.dry_run:
            began = await out_of_band.now(connected)
            left = await repair_documents(settings, connected, name, wanted)
            done = [key for key in wanted if key not in left]
            await out_of_band.mark_repaired(connected, name, done, began)
            async with connected.transaction() as session:
                await audit.record(
                    session,
                    actor=how.who,
                    action="repair documents",
                    reason=how.reason,
                    detail={"collection": name, "documents": len(done)},
                )
        if how.as_json:
            write_json({"collection": name, "repaired": wanted, "left": sorted(left), "dry_run": how.dry_run})
        elif not wanted:
            console().print(f"{name}: nothing to repair")
        else:
            verb = "would repair" if how.dry_run else "repaired"
            console().print(f"{name}: {verb} {plural(len(wanted) - len(left), 'document')}")
        if left:
            shown = ", ".join(sorted(left)[:5])
            note(f"not repaired, they keep changing or PostgreSQL refuses them (`crossfade trace`): {shown}")
        return REFUSED if left else DONE

    execute(go, as_json=how.as_json)


async def _dropped(settings: Settings, connected: Database, name: str, how: ChangeOptions) -> int:
    if (await status.collection_states(connected))[name].stage.at_least(Stage.FLIPPED):
        raise PreconditionFailed(
            f"ArangoDB has no collection {name}, and it is flipped: run `crossfade rollback {name}` first"
        )
    if not how.dry_run:
        await repair_dropped(settings, connected, name)
        async with connected.transaction() as session:
            await audit.record(session, actor=how.who, action="forget", reason=how.reason, detail={"collection": name})
    if how.as_json:
        write_json({"collection": name, "dropped": True, "dry_run": how.dry_run})
    else:
        verb = "would be" if how.dry_run else "was"
        console().print(f"{name}: ArangoDB has no such collection: it {verb} removed from PostgreSQL and `status`")
    return DONE
