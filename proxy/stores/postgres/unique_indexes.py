"""Unique indexes in PostgreSQL: created, filled, dropped, and asked who has a value.

Tables of entries and triggers hold them (the migration pre_indexes). A build beside running writes enforces the index
from its beginning on, as ArangoDB does with `inBackground`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Final

import sql
from proxy.base.database import Database, Session
from proxy.model.documents import escape_text, to_jsonb
from proxy.semantics.unique_index import UniqueIndex

_PAGE: Final = 1_000  # documents that a build locks at a time


async def create(session: Session, relation: str, index: UniqueIndex) -> None:
    """Create an index in the running transaction; writes of the table wait until it ends.

    Raise ArangoError 1210 if the documents violate it: the caller rolls back. Raise DatabaseError.
    """
    await _create_empty(session, relation, index)
    after: str | None = ""
    while after is not None:
        after = await _fill_page(session, relation, index, after)
    await session.execute(sql.unique_indexes.FINISH.fill(entries=_entries(index.id)))


async def build(database: Database, relation: str, index: UniqueIndex) -> None:
    """Create an index in several transactions, beside running writes. If it fails, nothing is left of it.

    Raise ArangoError 1210 if the documents violate it. Raise DatabaseError.
    """
    try:
        async with database.transaction() as session:
            await _create_empty(session, relation, index)
        after: str | None = ""
        while after is not None:
            async with database.transaction() as session:
                after = await _fill_page(session, relation, index, after)
        await database.execute(sql.unique_indexes.FINISH.fill(entries=_entries(index.id)))
    except BaseException:
        await asyncio.shield(database.execute(sql.unique_indexes.DROP, index.id))
        raise


async def drop(session: Session, index_id: str) -> None:
    """Drop an index, if there is one of the number: that of a collection that is dropped too, before or after it."""
    await session.execute(sql.unique_indexes.DROP, index_id)


async def drop_unfinished(session: Session, running: Collection[str] = ()) -> None:
    """Drop what builds left that did not end. running: the numbers of those that are running."""
    for index_id in await session.fetch(sql.unique_indexes.UNFINISHED):
        if index_id not in running:
            await drop(session, index_id)


async def holders(session: Session, index_id: str, values: Iterable[bytes]) -> dict[bytes, str | None]:
    """Return the key of the document that has each value, as `UniqueIndex.values` gives them; None for a free one."""
    asked = list(values)
    found: dict[bytes, str | None] = dict.fromkeys(asked)
    for row in await session.fetch(
        sql.unique_indexes.HOLDERS.fill(entries=_entries(index_id)), [_as_jsonb(value) for value in asked]
    ):
        found[asked[row.place - 1]] = row.key
    return found


async def _create_empty(session: Session, relation: str, index: UniqueIndex) -> None:
    paths = [escape_text(path) for path in index.fields]
    await session.execute(sql.unique_indexes.CREATE, relation, index.id, paths, index.sparse, index.deduplicate)


async def _fill_page(session: Session, relation: str, index: UniqueIndex, after: str) -> str | None:
    """Add the entries of some documents. Return the key to continue after; None at the end. Raise ArangoError 1210."""
    row = await session.fetchval(sql.unique_indexes.FILL, relation, index.id, after, _PAGE)
    if row.holder is not None:
        raise index.violation(row.holder)
    return row.last


def _entries(index_id: str) -> str:
    """Return the table of the entries. Raise ValueError if the number is not one."""
    return f'_crossfade."unique/{int(index_id)}"'


def _as_jsonb(value: bytes) -> str:
    text = b'{"v":%s}' % value
    return to_jsonb(text) or text.decode()
