"""Answers whose rows wait on disk: in one piece if they are small, else in pieces with a known length."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import sql
from proxy.base.database import Database, Session
from proxy.base.spool import SpooledAnswer, SpooledRows, SpoolSpace
from proxy.model.operations import Operation, Outcome, streamed
from proxy.stores.postgres import answers, simple

_WHOLE: Final = 1 << 20  # bytes of rows that are not sent in pieces
_FIRST: Final = 50  # keys of the first statement, which shows how large the documents are
_MOST: Final = 1000  # keys of one statement
_BYTES: Final = 1 << 20  # bytes of documents that one statement should return
MANY: Final = 200  # keys from which on documents are read in several statements

Headers = tuple[tuple[bytes, bytes], ...]


def spooled_answer(
    status: int, parts: tuple[bytes, bytes], rows: SpooledRows, begin: int, end: int, headers: Headers = ()
) -> Outcome:
    """Return the rows from `begin` up to `end`, between the two parts."""
    before, after = parts
    first, last = rows.extent(begin, end)
    if last - first <= _WHOLE:
        return Outcome(status, before + rows.text(begin, end) + after, headers)
    return streamed(status, SpooledAnswer(rows.spool, before, after, first, last), headers)


@contextlib.asynccontextmanager
async def snapshot_of(database: Database) -> AsyncIterator[Session]:
    """Yield a session with a transaction of one snapshot, which writes nothing. Raise DatabaseError."""
    async with database.session() as session, session.transaction(isolation="repeatable_read", readonly=True):
        yield session


async def read_many(
    session: Session, relation: str, operation: Operation, items: Sequence[Any], spools: SpoolSpace
) -> Outcome:
    """Return the answer to a read of many documents. session: with a transaction of one snapshot.

    Raise DatabaseError.
    """
    rows, codes = SpooledRows(spools), answers.ErrorCodes()
    begin, number = 0, _FIRST
    while part := items[begin : begin + number]:
        begin += len(part)
        found = await _documents(session, relation, answers.wanted_keys(part))
        for element, error in answers.elements(operation, part, found):
            rows.append(element)
            codes.count(error)
        number = _next_number(found)
    return spooled_answer(200, (b"[", b"]"), rows, 0, len(rows), codes.headers)


async def lookup(session: Session, relation: str, keys: Sequence[str], spools: SpoolSpace) -> Outcome:
    """Return the answer to lookup-by-keys. session: with a transaction of one snapshot. Raise DatabaseError."""
    rows = SpooledRows(spools)
    begin, number = 0, _FIRST
    while part := keys[begin : begin + number]:
        begin += len(part)
        found = await _documents(session, relation, list(part))
        for key in part:
            if key in found:
                rows.append(found[key])
        number = _next_number(found)
    return spooled_answer(200, simple.AROUND_DOCUMENTS, rows, 0, len(rows))


async def edges_answer(session: Session, relation: str, wanted: Sequence[str], spools: SpoolSpace) -> Outcome:
    """Return the edges that contain one of the JSON texts, in the order of keys. session: with a transaction.

    Raise DatabaseError.
    """
    rows = SpooledRows(spools)
    statement = sql.store.PAGES_AMONG.on(relation)
    async for raw in session.cursor(statement, list(wanted), prefetch=_MOST, most=_BYTES):
        rows.append(raw.encode())
    return spooled_answer(200, (simple.AROUND_EDGES, simple.after_edges(len(rows))), rows, 0, len(rows))


async def _documents(session: Session, relation: str, keys: list[str]) -> dict[str, bytes]:
    rows = await session.fetch(sql.store.READ_MANY.on(relation), keys, None)
    return {key: raw.encode() for _, key, raw in rows if key is not None and raw is not None}


def _next_number(found: dict[str, bytes]) -> int:
    """Return how many keys to read next, after these documents."""
    size = sum(map(len, found.values()))
    return max(1, min(_MOST, _BYTES * len(found) // size if size else _MOST))
