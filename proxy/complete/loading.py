"""Read what a pass missed of a collection; lock what it writes, and draw its revisions."""

from __future__ import annotations

import asyncio
from typing import Final

import sql
from proxy.base.database import Database, Session
from proxy.complete.collection_view import CollectionView
from proxy.complete.loaded_part import LoadedPart, Missing
from proxy.devserver.store.state.checksum import document_checksum
from proxy.model import json_reader
from proxy.model.documents import escape_text
from proxy.model.json_values import dump
from proxy.stores.postgres import unique_indexes
from proxy.stores.postgres.writes.interruptions import WriteFenceError

_ROWS: Final = 1000  # of one round trip, at most
_PAGE: Final = 1 << 20  # bytes of documents that one round trip should bring
_PIECE: Final = 32 << 10  # bytes of documents that are read between two turns of the event loop


async def load(session: Session, view: CollectionView, missing: Missing, numbers: Session | Database) -> None:
    """Add what is missing to the view's part, without locks. What is locked already stays. Raise DatabaseError.

    numbers: as for `take_numbers`.
    """
    part, relation = view.part, view.stored.relation
    if missing.documents:
        _add(part, await session.fetch(sql.complete.ALL_DOCUMENTS.on(relation)))
        part.complete = True
    elif missing.keys:
        _add(part, await session.fetch(sql.complete.DOCUMENTS.on(relation), sorted(missing.keys)))
        for key in missing.keys:
            part.documents.setdefault(key, None)
    if missing.vertices and not part.complete:
        ends = [wanted for vertex in sorted(missing.vertices) for wanted in _ends(vertex)]
        _add(part, await session.fetch(sql.complete.EDGES.on(relation), ends))
        part.vertices |= missing.vertices
    if missing.count:
        part.count = await session.fetchval(sql.complete.COUNT, relation)
    if missing.size:
        part.size = await session.fetchval(sql.complete.SIZE.on(relation))
    for revisions, data in missing.checksums:
        part.checksums[revisions, data] = await _checksum(session, relation, revisions=revisions, data=data)
    if missing.state:
        await _load_state(numbers, view)
    for index_id, values in missing.values.items():
        if values:
            found = await unique_indexes.holders(session, index_id, values)
            part.holders.setdefault(index_id, {}).update(found)


async def _checksum(session: Session, relation: str, *, revisions: bool, data: bool) -> int:
    """Return the checksum of a table, of which one page at a time is in memory."""
    total = size = 0
    async with session.transaction():
        rows = session.cursor(sql.store.PAGES.on(relation), prefetch=_ROWS, most=_PAGE)
        async for raw in rows:
            total ^= document_checksum(json_reader.load(raw.encode()), revisions=revisions, data=data)
            size += len(raw)
            if size > _PIECE:
                size = 0
                await asyncio.sleep(0)
    return total


async def lock(session: Session, view: CollectionView, keys: set[str], revisions: int, *, wait: str) -> None:
    """Lock the rows of keys until the transaction ends, read them, and then draw revisions.

    Empties the collection first if the view is emptied, once. wait: how long for a row. Raise WriteFenceError if the
    collection is gone, DatabaseError.
    """
    part = view.part
    empties = view.documents.emptied and not part.emptied
    row = await session.fetchrow(sql.writes.BEGIN, view.stored.qualified, sorted(keys), revisions, wait, empties)
    if row is None:
        raise WriteFenceError
    part.emptied |= empties
    part.noted = row.noted
    part.holders.clear()  # they may have changed
    found = dict(zip(row.keys or (), row.raws or (), strict=True))
    for key in keys:
        raw = found.get(key)
        part.documents[key] = None if raw is None else raw.encode()
    part.locked |= keys
    part.rows |= found.keys()
    part.revisions = sorted(row.revisions or ())


async def take_numbers(numbers: Session | Database, view: CollectionView) -> bool:
    """Take the numbers that the view's key generator has used, so that no other request makes those keys.

    numbers: not the session of a stream transaction, for whose end other inserts would wait, and whose snapshot would
    show old numbers. Return False if others have taken some meanwhile: the pass must be repeated above those. Numbers
    of a request that fails later are lost, as in ArangoDB.
    """
    part, last = view.part, view.numbers_to_take
    if await numbers.fetchrow(sql.writes.TAKE_KEYS, view.stored.qualified, str(part.taken), str(last), None):
        part.taken = last or part.taken
        return True
    await _load_state(numbers, view)
    return False


async def _load_state(numbers: Session | Database, view: CollectionView) -> None:
    row = await numbers.fetchrow(sql.complete.STATE, view.stored.qualified)
    if row is None:
        raise WriteFenceError
    view.part.newest, view.part.last_key = row.newest, int(row.last_key)
    view.part.taken = int(row.last_key)


def _ends(vertex: str) -> list[str]:
    """Return JSON texts, of which every edge of a vertex contains at least one."""
    return [dump({side: escape_text(vertex)}).decode() for side in ("_from", "_to")]


def _add(part: LoadedPart, rows: list[sql.complete.DocumentRow]) -> None:
    for key, raw in rows:
        if key not in part.locked:
            part.documents[key] = raw.encode()
