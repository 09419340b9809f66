"""Unique indexes in PostgreSQL: created, filled, dropped, and asked who has a value.

Tables of entries and triggers hold them (the migration pre_indexes). A build beside running writes enforces the index
from its beginning on, as ArangoDB does with `inBackground`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import sql
from proxy.base.database import Session
from proxy.base.errors import CommitOutcomeUnknown, DatabaseUnavailable, StatementError
from proxy.base.sqlstates import is_a_conflict
from proxy.model.documents import escape_text, to_jsonb
from proxy.semantics.unique_index import UniqueIndex

_PAGE: Final = 1_000  # documents that a build locks at a time
_TRIAL_WAIT: Final = "5ms"
_LOCK_TIMEOUT: Final = "55P03"


@dataclass(frozen=True, slots=True)
class NewIndex:
    """An index to create on a table. definition: as clients see it, JSON; others see it while it is built."""

    relation: str
    index: UniqueIndex
    definition: bytes = b"{}"


async def create(session: Session, made: NewIndex) -> None:
    """Create an index in the running transaction, unless it is built already; writes of the table wait until it ends.

    Raise ArangoError 1210 if the documents violate it: the caller rolls back. Raise DatabaseError.
    """
    after: str | None = None
    if not await session.fetchval(sql.unique_indexes.EXISTS, made.index.id):
        await _create_empty(session, made)
        after = ""
    while after is not None:
        after = await _fill_page(session, made, after)
    await session.execute(sql.unique_indexes.FINISH.fill(entries=_entries(made.index.id)))


@contextlib.asynccontextmanager
async def built(session: Session, indexes: Sequence[NewIndex], lock_wait: str) -> AsyncIterator[None]:
    """Build indexes in several transactions, beside running writes; `create` takes them over in that of the body.

    If the body fails, or a build, nothing is left of them. lock_wait: how long to wait for running writes of the table,
    before which others queue. Raise ArangoError 1210 if the documents violate an index. Raise DatabaseError.
    """
    try:
        for made in indexes:
            await session.fetchval(sql.unique_indexes.MARK_BUILD, made.index.id)
            await _build(session, made, lock_wait)
        yield
    except CommitOutcomeUnknown:
        raise  # if it is not committed, the index is unfinished
    except BaseException:
        for made in indexes:
            await asyncio.shield(session.execute(sql.unique_indexes.DROP, made.index.id))
        raise
    finally:
        for made in indexes:
            await asyncio.shield(session.execute(sql.unique_indexes.FORGET_BUILD, made.index.id))
            await asyncio.shield(session.fetchval(sql.unique_indexes.UNMARK_BUILD, made.index.id))


async def _build(session: Session, made: NewIndex, lock_wait: str) -> None:
    async with session.transaction():
        await session.fetchval(sql.complete.LOCK_WAIT, lock_wait)
        await _create_empty(session, made)
    documents = await session.fetchval(sql.complete.COUNT, made.relation)
    after: str | None = ""
    done = 0
    while after is not None:
        share = min(100.0, 100.0 * done / documents) if documents else 0.0
        async with session.transaction():
            await session.execute(
                sql.unique_indexes.NOTE_BUILD, made.index.id, made.relation, share, made.definition.decode()
            )
        async with session.transaction():
            after = await _fill_page(session, made, after)
        done += _PAGE


async def drop(session: Session, index_id: str) -> None:
    """Drop an index, if there is one of the number: that of a collection that is dropped too, before or after it."""
    await session.execute(sql.unique_indexes.DROP, index_id)


async def drop_unfinished(session: Session) -> None:
    """Drop, in the running transaction, what builds left whose process died."""
    for index_id in await session.fetch(sql.unique_indexes.UNFINISHED):
        await drop(session, index_id)
        await session.execute(sql.unique_indexes.FORGET_BUILD, index_id)


async def holders(session: Session, index_id: str, values: Iterable[bytes]) -> dict[bytes, str | None]:
    """Return the key of the document that has each value, as `UniqueIndex.values` gives them; None for a free one."""
    asked = list(values)
    found: dict[bytes, str | None] = dict.fromkeys(asked)
    for row in await session.fetch(
        sql.unique_indexes.HOLDERS.fill(entries=_entries(index_id)), [_as_jsonb(value) for value in asked]
    ):
        found[asked[row.place - 1]] = row.key
    return found


async def blocked(session: Session, index_id: str, values: Sequence[bytes]) -> list[bytes]:
    """Return the values for which other transactions would let a write wait, or have changed since the snapshot.

    Raise DatabaseError.
    """
    if not values or not await _is_blocked(session, index_id, values):
        return []
    if len(values) == 1:
        return list(values)
    half = len(values) // 2
    return await blocked(session, index_id, values[:half]) + await blocked(session, index_id, values[half:])


class _Undone(Exception):
    """Ends a savepoint in which values were only tried."""


async def _is_blocked(session: Session, index_id: str, values: Sequence[bytes]) -> bool:
    try:
        with contextlib.suppress(_Undone):
            async with session.transaction():
                await session.fetchval(sql.complete.LOCK_WAIT, _TRIAL_WAIT)
                claim = sql.unique_indexes.TRY_CLAIM.fill(entries=_entries(index_id))
                await session.execute(claim, [_as_jsonb(value) for value in values])
                raise _Undone
    except (StatementError, DatabaseUnavailable) as error:
        if error.sqlstate == _LOCK_TIMEOUT or is_a_conflict(error.sqlstate):
            return True
        raise
    return False


async def _create_empty(session: Session, made: NewIndex) -> None:
    index, paths = made.index, [escape_text(path) for path in made.index.fields]
    await session.execute(sql.unique_indexes.CREATE, made.relation, index.id, paths, index.sparse, index.deduplicate)


async def _fill_page(session: Session, made: NewIndex, after: str) -> str | None:
    """Add the entries of some documents. Return the key to continue after; None at the end. Raise ArangoError 1210."""
    row = await session.fetchval(sql.unique_indexes.FILL, made.relation, made.index.id, after, _PAGE)
    if row.holder is not None:
        raise made.index.violation(row.holder)
    return row.last


def _entries(index_id: str) -> str:
    """Return the table of the entries. Raise ValueError if the number is not one."""
    return f'_crossfade."unique/{int(index_id)}"'


def _as_jsonb(value: bytes) -> str:
    text = b'{"v":%s}' % value
    return to_jsonb(text) or text.decode()
