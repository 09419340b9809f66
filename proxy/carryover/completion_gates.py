"""What the gates of a completion look at, but for the archive and the documents of both databases."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import sql
from proxy.base.arango_client import OriginClient
from proxy.base.database import Database
from proxy.base.errors import ArangoError, UpstreamError
from proxy.carryover.left_behind import left_behind, read_contents
from proxy.carryover.shape_support import needs_arangodb
from proxy.control.gates.completion_evidence import (
    CarriedFact,
    CompletionEvidence,
    LostFact,
    NeededFact,
    PromotedFact,
)
from proxy.model.stages import Stage
from sql.statements.promotion_gates import PassedRequestRow

_REFUSED: Final = 20  # documents that ArangoDB refuses and that a gate names


async def read_completion(
    database: Database, origin: OriginClient, collections: Sequence[str]
) -> dict[str, CompletionEvidence]:
    """Return what is known of collections (`database/name`). Raise DatabaseError."""
    states = await database.fetch(sql.control.PRESENT)
    moved = {row.collection for row in states if Stage(row.stage).at_least(Stage.PROMOTED)}
    last = all(Stage(row.stage) is Stage.COMPLETE or row.collection in collections for row in states)
    lost = {
        name: await _lost(origin, name, moved, last=last)
        for name in dict.fromkeys(one.partition("/")[0] for one in collections)
    }
    found: dict[str, CompletionEvidence] = {}
    for collection in collections:
        stage = await database.fetchrow(sql.promotion_gates.FLIPPED, collection)
        carried = await database.fetchval(sql.promotion_gates.NOT_CARRIED, collection)
        refused = await database.fetch(sql.promotion_gates.REFUSED_OF, collection, _REFUSED)
        found[collection] = CompletionEvidence(
            promoted=None if stage is None else PromotedFact(stage.stage, stage.seconds),
            needed=needed_fact(await database.fetch(sql.promotion_gates.PASSED_SINCE, collection)),
            carried=CarriedFact(
                carried.rows, carried.age, tuple(f"{row.key or 'the collection'}: {row.reason}" for row in refused)
            ),
            lost=lost[collection.partition("/")[0]],
        )
    return found


def needed_fact(rows: Sequence[PassedRequestRow]) -> NeededFact:
    """Return which of these requests PostgreSQL alone does not answer, in words. Pure."""
    texts = [f"{row.endpoint}: {row.reason} ({row.seen} times)" for row in rows if needs_arangodb(row.endpoint)]
    return NeededFact(len(rows), tuple(dict.fromkeys(texts)))


async def _lost(origin: OriginClient, database: str, moved: Collection[str], *, last: bool) -> LostFact:
    """Return what PostgreSQL does not get of a database of ArangoDB. last: proxies ask ArangoDB for nothing then."""
    try:
        contents = await read_contents(origin, database)
        apart = await _not_moved(origin, database, moved)
        databases = await origin.all_databases() if last else ()
        cut_off = [name for one in databases for name in await _not_moved(origin, one, moved)]
    except (UpstreamError, ArangoError) as error:
        return LostFact(trouble=f"ArangoDB does not show what it has in {database} ({error})")
    kept = (f"collections that are not promoted: {', '.join(apart)}",) if apart else ()
    return LostFact((*kept, *left_behind(contents, moved)), cut_off=tuple(cut_off))


async def _not_moved(origin: OriginClient, database: str, moved: Collection[str]) -> list[str]:
    """Return the collections of clients in a database that are not promoted. Raise UpstreamError, ArangoError."""
    listed = await origin.collections(database)
    names = sorted(f"{database}/{one.name}" for one in listed if not one.system and not one.name.startswith("_"))
    return [name for name in names if name not in moved]
