"""Documents into a table of the target, by the one rule of I4; those that PostgreSQL refuses are set aside.

Statements are those of sql/queries/documents.sql. One that PostgreSQL refuses because of a document is run again in
halves until the document is found (each attempt in a savepoint), so that one odd document never stops the others. One
that it goes on refusing with an error of another kind is found outside of that transaction (`set_aside`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from backfill.origin_pages import Document
from backfill.run_store import SQL, Table
from proxy.base.database import Database, Session
from proxy.base.errors import DatabaseError, DatabaseTimedOut, StatementError
from proxy.base.sqlstates import of_a_document
from proxy.model.documents import to_jsonb
from proxy.replication.target_writer import TargetWriter, Version
from proxy.state import lacking
from sql.loader import queries

_DOCUMENTS = queries("documents")
_REASON_LENGTH: Final = 500
_REFUSED: Final = "PostgreSQL refused a document of {}"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document as the statements take it: raw JSON text, and the queryable form where `raw` does not give it."""

    key: str
    rev: int
    raw: str
    doc: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A document that PostgreSQL cannot hold, and why."""

    key: str
    rev: int
    reason: str


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """What became of a batch. stale: the horizon or a younger tombstone refused them, they must be read again."""

    applied: frozenset[str]
    settled: frozenset[str]  # the target has this version or a newer one
    stale: frozenset[str]
    refusals: tuple[Refusal, ...]


def prepare(documents: Iterable[Document]) -> tuple[list[Prepared], list[Refusal]]:
    """Documents as parameters; those that no PostgreSQL text can hold are refused here."""
    prepared: list[Prepared] = []
    refused: list[Refusal] = []
    for document in documents:
        try:
            text = document.raw.decode("utf-8")
            prepared.append(Prepared(document.key, document.rev, text, to_jsonb(document.raw)))
        except ValueError as error:  # UnicodeDecodeError is one
            refused.append(Refusal(document.key, document.rev, f"not UTF-8: {error}"[:_REASON_LENGTH]))
    return prepared, refused


async def write(
    session: Session,
    table: Table,
    documents: Sequence[Document],
    stamp: int,
    *,
    statement: Literal["upsert", "replace_equal"] = "upsert",
) -> ApplyResult:
    """Applies the documents in the caller's transaction, and keeps the dead-letter table right.

    stamp: the era known before the documents were read. Raises DatabaseRefused where it is not a document's fault
    (SQLSTATE class 40: try the transaction again), DatabaseUnavailable.
    """
    rows, refusals = prepare(documents)
    sql = _DOCUMENTS[statement].on(table.relation)

    async def run(part: Sequence[Prepared]) -> set[str]:
        columns = ([r.key for r in part], [r.rev for r in part], [r.raw for r in part], [r.doc for r in part])
        async with session.transaction():  # a savepoint: the caller's transaction is open
            found = await session.fetch(sql, table.collection, *columns, [stamp] * len(part))
        return {row["key"] for row in found}

    applied = await _isolated(run, rows, refusals)
    refused = {refusal.key for refusal in refusals}
    rest = {row.key: row.rev for row in rows if row.key not in applied and row.key not in refused}
    settled: set[str] = set()
    if rest:
        stored = await session.fetch(_DOCUMENTS["revisions"].on(table.relation), list(rest))
        settled = {row["key"] for row in stored if row["rev"] >= rest[row["key"]]}
    await _dead_letters(session, table, rows, applied | settled, refusals)
    return ApplyResult(frozenset(applied), frozenset(settled), frozenset(rest.keys() - settled), tuple(refusals))


async def set_aside(database: Database, table: Table, documents: Iterable[Document], stamp: int) -> frozenset[str]:
    """Tries documents apart that PostgreSQL goes on refusing, whatever it calls that (proxy.replication.bisection).

    Gives the keys of those that are dead letters now; the others are applied, or must be read again. Raises
    DatabaseError where PostgreSQL is not sound.
    """
    rows = [Version(one.key, one.rev, one.raw, stamp) for one in documents]
    return (await TargetWriter(database, "backfill").write(table.collection, rows, alone=True)).dead


def cancelled(error: DatabaseError) -> bool:
    """Whether the statement took longer than somebody allows: less of it at a time may do."""
    return isinstance(error, DatabaseTimedOut) or error.sqlstate == "57014"


async def _isolated(
    run: Callable[[Sequence[Prepared]], Awaitable[set[str]]], rows: Sequence[Prepared], refusals: list[Refusal]
) -> set[str]:
    if not rows:
        return set()
    try:
        return await run(rows)
    except StatementError as error:
        if not of_a_document(error.sqlstate):
            raise
        if len(rows) == 1:
            refusals.append(Refusal(rows[0].key, rows[0].rev, f"{error.sqlstate}: {error}"[:_REASON_LENGTH]))
            return set()
    half = len(rows) // 2
    return await _isolated(run, rows[:half], refusals) | await _isolated(run, rows[half:], refusals)


async def _dead_letters(
    session: Session, table: Table, rows: Sequence[Prepared], held: set[str], refusals: Sequence[Refusal]
) -> None:
    kept = [row for row in rows if row.key in held]
    if kept:
        await session.execute(
            SQL["forget_dead_letters"], table.collection, [row.key for row in kept], [row.rev for row in kept]
        )
    if refusals:
        # a flip does not stand beside a dead letter of its collection (I7)
        await lacking.give_way(session, (table.collection,), actor="backfill", reason=_REFUSED.format(table.collection))
        await session.execute(
            SQL["dead_letters"],
            table.collection,
            [refusal.key for refusal in refusals],
            [refusal.rev for refusal in refusals],
            [refusal.reason.replace("\x00", "\ufffd") for refusal in refusals],
        )
