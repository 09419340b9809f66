"""Read of both databases what a collection's handover needs, find what PostgreSQL would refuse, and carry it out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sql
from proxy.base.arango_client import OriginClient
from proxy.base.database import Session
from proxy.base.errors import PreconditionFailed
from proxy.carryover.collection_handover import Handover, OriginCollectionState, TargetCollectionState
from proxy.model.documents import escape_text
from proxy.semantics.unique_index import uniques_of

_NAMED: Final = 5  # values of an index that several documents have


async def read_origin_state(origin: OriginClient, collection: str) -> OriginCollectionState:
    """Return what ArangoDB shows of a collection (`database/name`). Raise UpstreamError, ArangoError."""
    database, _, name = collection.partition("/")
    return OriginCollectionState(await origin.properties(database, name), tuple(await origin.indexes(database, name)))


async def read_target_state(session: Session, collection: str) -> TargetCollectionState:
    """Return what PostgreSQL has of a collection. It reads every key: do so before writes are held.

    Raise PreconditionFailed if it is not mirrored; DatabaseError.
    """
    entry = await session.fetchrow(sql.collections.FIND, collection)
    if entry is None:
        raise PreconditionFailed(f"{collection} is not mirrored")
    found = await session.fetchval(sql.carryover.NEWEST.on(entry.relation))
    return TargetCollectionState(entry.edge, found.revision or 0, int(found.decimal or 0), int(found.padded or "0", 16))


async def find_duplicates(session: Session, handover: Handover) -> tuple[str, ...]:
    """Return, in words, which documents violate the unique indexes of a collection. It reads every document for each.

    Raise PreconditionFailed if it is not mirrored; DatabaseError.
    """
    entry = await session.fetchrow(sql.collections.FIND, handover.collection)
    if entry is None:
        raise PreconditionFailed(f"{handover.collection} is not mirrored")
    sentences: list[str] = []
    for index in uniques_of(handover.indexes):
        paths = [escape_text(path) for path in index.fields]
        keys = await session.fetch(
            sql.carryover.DUPLICATES.on(entry.relation), paths, index.sparse, index.deduplicate, _NAMED
        )
        sentences += [f"unique index {index.name}: {' and '.join(found)} have the same value" for found in keys]
    return tuple(sentences)


async def take_writes(session: Session, handover: Handover) -> None:
    """Let PostgreSQL take the writes from the commit of the running transaction on.

    Raise PreconditionFailed if the handover is refused; DatabaseError.
    """
    if handover.refused:
        raise PreconditionFailed(f"{handover.collection}: {'; '.join(handover.refused)}")
    await session.fetchval(
        sql.carryover.TAKE_WRITES,
        handover.collection,
        handover.revision,
        handover.properties.decode(),
        str(handover.last),
    )


async def take_writes_together(session: Session, handovers: Sequence[Handover]) -> None:
    """Let PostgreSQL take the writes of collections that ArangoDB has taken until now, as `take_writes` does.

    Their rows are locked in the order in which every transaction locks them, and versions from before are refused.
    Raise PreconditionFailed if a handover is refused; StatementError if ArangoDB does not take the writes of all of
    them; DatabaseUnavailable if a limit of the transaction ends the wait for writes under way.
    """
    ordered = sorted(handovers, key=lambda handover: handover.collection)
    await session.fetchval(sql.promotion.BEGIN_TAKING, [handover.collection for handover in ordered])
    for handover in ordered:
        await take_writes(session, handover)
