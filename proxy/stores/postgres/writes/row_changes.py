"""The rows that a decision changes, and the statements that write them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

import sql
from proxy.base.database import Session
from proxy.model.documents import queryable, suspected, to_jsonb
from proxy.stores.postgres.writes.interruptions import KeyInsertedError

COPIED: Final = 100  # new documents from which on COPY, which takes one more round trip, is faster than INSERT
_Columns = tuple[str, str, str, list[str | None] | None]
# the binary format of COPY: each value has its length before it
_COPY_COLUMNS: Final = ("key", "rev", "raw", "doc", "mark")
_COPY_BEGIN: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # no flags, no extension
_COPY_KEY: Final = struct.Struct(">hi").pack  # with the number of columns
_COPY_REV: Final = struct.Struct(">iqi").pack  # with the length of `raw`
_COPY_DOC: Final = struct.Struct(">ib").pack  # with the version of jsonb's format
_COPY_MARK: Final = struct.Struct(">iq").pack
_COPY_END: Final = b"\xff\xff"


class RowChange(msgspec.Struct, frozen=True, gc=False):
    """A document to write: `raw` is None for a removal. stored: its key has a row, of a document or a tombstone."""

    key: str
    rev: int
    raw: bytes | None
    stored: bool


@dataclass(frozen=True, slots=True)
class EncodedChanges:
    """Changes as the parameters of statements. stored: of those whose keys have rows. new: of `number` new documents,
    or `copied`, their rows for COPY.
    """

    keys: Sequence[str]
    stored: _Columns | None
    new: _Columns | None
    copied: bytes | None
    number: int


def encoded(changes: Sequence[RowChange], era: int | None = None) -> EncodedChanges:
    """Return changes, in the order of keys, as the parameters of statements.

    era: the mark of new documents if many of them may be copied: a key that was inserted meanwhile then is PostgreSQL's
    error 23505.
    """
    stored = [change for change in changes if change.stored]
    new = [change for change in changes if not change.stored] if stored else changes
    copies = era is not None and len(new) >= COPIED
    return EncodedChanges(
        keys=[change.key for change in changes],
        stored=columns_of(stored) if stored else None,
        new=columns_of(new) if new and not copies else None,
        copied=_copied_rows(new, era) if era is not None and copies else None,
        number=len(new),
    )


async def write_rows(session: Session, collection: str, relation: str, changes: EncodedChanges, *, noted: bool) -> None:
    """Write changes of rows that this transaction has locked or did not find.

    noted: the outbox gets their keys. Raise KeyInsertedError, DatabaseError.
    """
    if changes.stored:  # first: a new document may claim a value of a unique index that another one releases
        await session.execute(sql.writes.CHANGE.on(relation), *changes.stored)
    written = changes.number
    if changes.copied:
        written = await session.copy(relation, _COPY_COLUMNS, changes.copied)
    elif changes.new:
        written = await session.affected(sql.writes.INSERT.on(relation), *changes.new)
    if written < changes.number:
        raise KeyInsertedError
    if noted and changes.keys:
        await session.execute(sql.writes.NOTE, collection, "\n".join(changes.keys))


def columns_of(changes: Sequence[RowChange]) -> _Columns:
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


def _copied_rows(changes: Sequence[RowChange], era: int) -> bytes:
    """Return new documents in the binary format of COPY. era: their mark.

    Their queryable form is made here: to remove attributes from a jsonb takes PostgreSQL as long as to parse it.
    """
    raws = [change.raw or b"" for change in changes]
    docs = list(map(to_jsonb, raws)) if suspected(b"".join(raws)) else [None] * len(raws)
    mark = _COPY_MARK(8, era)
    parts = [_COPY_BEGIN]
    for change, raw, escaped in zip(changes, raws, docs, strict=True):
        key = change.key.encode()
        doc = queryable(raw, change.key) if escaped is None else escaped.encode()
        parts += (
            _COPY_KEY(len(_COPY_COLUMNS), len(key)),
            key,
            _COPY_REV(8, change.rev, len(raw)),
            raw,
            _COPY_DOC(len(doc) + 1, 1),
            doc,
            mark,
        )
    parts.append(_COPY_END)
    return b"".join(parts)


def _lines(raws: Sequence[bytes]) -> bytes:
    """Return documents, a line each."""
    text = b"\n".join(raws)
    if text.count(b"\n") < len(raws):
        return text
    return b"\n".join([raw.replace(b"\n", b" ") for raw in raws])  # in text values, a line break is escaped
