"""The rows that a decision changes, and the statements that write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

import sql
from proxy.base.database import Session
from proxy.model.documents import queryable, suspected, to_jsonb
from proxy.stores.postgres.writes.interruptions import KeyInsertedError

COPIED: Final = 100  # new documents from which on COPY, which takes one more round trip, is faster than INSERT
_COLUMNS: Final = ("key", "rev", "raw", "doc", "mark")


class RowChange(msgspec.Struct, frozen=True, gc=False):
    """A document to write: `raw` is None for a removal. stored: its key has a row, of a document or a tombstone."""

    key: str
    rev: int
    raw: bytes | None
    stored: bool


async def write_rows(
    session: Session,
    collection: str,
    relation: str,
    changes: Sequence[RowChange],
    *,
    noted: bool,
    era: int | None = None,
) -> None:
    """Write changes, in the order of keys, of rows that this transaction has locked or did not find.

    noted: the outbox gets their keys. era: the mark of new documents if many of them may be copied: a key that was
    inserted meanwhile then is PostgreSQL's error 23505. Raise KeyInsertedError, DatabaseError.
    """
    stored = [change for change in changes if change.stored]
    if stored:  # first: a new document may claim a value of a unique index that another one releases
        await session.execute(sql.writes.CHANGE.on(relation), *columns_of(stored))
    if len(stored) < len(changes):
        new = [change for change in changes if not change.stored] if stored else changes
        if era is not None and len(new) >= COPIED:
            if await session.copy(relation, _COLUMNS, copied_rows(new, era)) < len(new):
                raise KeyInsertedError
        elif await session.affected(sql.writes.INSERT.on(relation), *columns_of(new)) < len(new):
            raise KeyInsertedError
    if noted and changes:
        await session.execute(sql.writes.NOTE, collection, "\n".join(change.key for change in changes))


def columns_of(changes: Sequence[RowChange]) -> tuple[str, str, str, list[str | None] | None]:
    """Return the parameters of the statements: keys, revisions and raw documents, a line each, since the client library
    is slow with long arrays; and the documents that need another queryable form.
    """
    raws = [change.raw or b"" for change in changes]
    lines = _lines(raws)
    docs = [to_jsonb(raw) if raw else None for raw in raws] if suspected(lines) else []
    return (
        "\n".join([change.key for change in changes]),
        "\n".join([str(change.rev) for change in changes]),
        lines.decode(),
        docs if any(docs) else None,
    )


def copied_rows(changes: Sequence[RowChange], era: int) -> list[tuple[str, int, str, str, int]]:
    """Return the rows of new documents. era: their mark.

    Their queryable form is made here: to remove attributes from a jsonb takes PostgreSQL as long as to parse it.
    """
    texts = [change.raw or b"" for change in changes]
    docs = list(map(to_jsonb, texts)) if suspected(b"".join(texts)) else [None] * len(texts)
    return [
        (change.key, change.rev, raw := text.decode(), doc or queryable(raw, change.key), era)
        for change, text, doc in zip(changes, texts, docs, strict=True)
    ]


def _lines(raws: Sequence[bytes]) -> bytes:
    """Return documents, a line each."""
    text = b"\n".join(raws)
    if text.count(b"\n") < len(raws):
        return text
    return b"\n".join([raw.replace(b"\n", b" ") for raw in raws])  # in text values, a line break is escaped
