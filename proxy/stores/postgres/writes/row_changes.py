"""The rows that a decision changes, and the statements that write them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sql
from proxy.base.database import Session
from proxy.model.documents import to_jsonb
from proxy.stores.postgres.writes.interruptions import KeyInsertedError

_Columns = tuple[list[str], list[int], list[str | None], list[str | None]]


@dataclass(frozen=True, slots=True)
class RowChange:
    """A document to write: `raw` is None for a removal. stored: its key has a row, of a document or a tombstone."""

    key: str
    rev: int
    raw: bytes | None
    stored: bool


async def write_rows(
    session: Session, collection: str, relation: str, changes: Sequence[RowChange], *, noted: bool
) -> None:
    """Write changes, in the order of keys, of rows that this transaction has locked or did not find.

    noted: the outbox gets their keys. Raise KeyInsertedError, DatabaseError.
    """
    stored = [change for change in changes if change.stored]
    if stored:  # first: a new document may claim a value of a unique index that another one releases
        await session.execute(sql.writes.CHANGE.on(relation), *_columns(stored))
    if len(stored) < len(changes):
        new = [change for change in changes if not change.stored]
        written = await session.fetch(sql.writes.INSERT.on(relation), *_columns(new))
        if len(written) < len(new):
            raise KeyInsertedError
    if noted and changes:
        await session.execute(sql.writes.NOTE, collection, [change.key for change in changes])


def _columns(changes: Sequence[RowChange]) -> _Columns:
    return (
        [change.key for change in changes],
        [change.rev for change in changes],
        [None if change.raw is None else change.raw.decode() for change in changes],
        [None if change.raw is None else to_jsonb(change.raw) for change in changes],
    )
