"""Repair of a key (mirror-protocol): the target gets what the origin has, or a tombstone where it has nothing.

    1. E := a raised era, committed        2. r0 := what the target has
    3. the origin is read                  4. upsert stamped E, or *absent* at r0, E

Right at any moment, beside live writes, the mirror, the backfill and other repairs: an upsert never covers a newer
version, and *absent* never covers one that appeared meanwhile: such keys are repaired again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from backfill.origin_pages import Document, document
from backfill.run_store import SQL, Table
from backfill.target_writer import write
from proxy.base.database import Database
from proxy.base.errors import DatabaseError, RefusedError
from proxy.base.sqlstates import is_a_conflict
from proxy.replication.bisection import ENOUGH
from proxy.replication.target_writer import TargetWriter, Version
from proxy.state import lacking
from sql.loader import queries

BATCH = 50  # keys read at once: their documents are in memory together
ATTEMPTS = 8
_DOCUMENTS = queries("documents")


class Reader(Protocol):
    """Whoever reads documents of the origin as ArangoDB printed them; None: there is none (1202, never 1203)."""

    async def read(self, database: str, collection: str, keys: Sequence[str]) -> Mapping[str, bytes | None]: ...


@dataclass(frozen=True, slots=True)
class RepairResult:
    """What became of the keys.

    replaced: the target took the origin's version. removed: the origin has none, a tombstone was written. unchanged:
    the target had this version or a newer one. refused: PostgreSQL cannot hold the document (it is in the dead-letter
    table). unsettled: they changed at every attempt; a live write is the likely reason, and the mirror applies it.
    """

    replaced: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    unsettled: tuple[str, ...] = ()

    def __add__(self, other: RepairResult) -> RepairResult:
        return RepairResult(
            self.replaced + other.replaced,
            self.removed + other.removed,
            self.unchanged + other.unchanged,
            self.refused + other.refused,
            self.unsettled + other.unsettled,
        )


async def repair_keys(database: Database, source: Reader, collection: str, keys: Sequence[str]) -> RepairResult:
    """Repairs these keys of `database/name`, in batches.

    Raises RefusedError where the collection is unknown, ArangoError 1203 where the origin has no such collection any
    more (that is no reason to remove documents), UpstreamError, DatabaseError.
    """
    row = await database.fetchrow(SQL["collection"], collection)
    if row is None:
        raise RefusedError(f"{collection} is not known: run `crossfade mirror {collection}` first")
    table = Table(row["collection"], row["database"], row["name"], row["relation"], row["stage"])
    result = RepairResult()
    unique = list(dict.fromkeys(keys))
    for at in range(0, len(unique), BATCH):
        result += await _repair_batch(database, source, table, unique[at : at + BATCH])
    return result


async def _repair_batch(database: Database, source: Reader, table: Table, keys: Sequence[str]) -> RepairResult:
    result = RepairResult()
    rest, refusals = list(keys), 0
    for attempt in range(ATTEMPTS):
        if attempt:
            await asyncio.sleep(min(0.02 * 2**attempt, 1.0))
        try:
            once = await _attempt(database, source, table, rest, alone=refusals >= ENOUGH)
        except DatabaseError as error:
            refusals += 1
            if not error.of_statement or (refusals > ENOUGH and not is_a_conflict(error.sqlstate)):
                raise
            continue
        rest = list(once.unsettled)
        result += RepairResult(once.replaced, once.removed, once.unchanged, once.refused)
        if not rest:
            return result
    return result + RepairResult(unsettled=tuple(rest))


async def _attempt(
    database: Database, source: Reader, table: Table, keys: Sequence[str], *, alone: bool
) -> RepairResult:
    """One look at each key. alone: PostgreSQL goes on refusing some of them; each is tried apart from the others."""
    noted = await lacking.letters(database, table.collection, keys)
    era: int = await database.fetchval(SQL["raise_era"])
    stored = await database.fetch(_DOCUMENTS["revisions"].on(table.relation), list(keys))
    before = {row["key"]: row["rev"] for row in stored}
    found = await source.read(table.database, table.name, keys)
    present = [document(raw) for raw in found.values() if raw is not None]
    gone = sorted(key for key, raw in found.items() if raw is None)
    if alone:
        result = await _apart(database, table, present, {key: before.get(key, 0) for key in gone}, era)
        await lacking.agreed(database, table.collection, table.relation, noted, {one.key: one.rev for one in present})
        return result
    async with database.transaction() as session:
        written = await write(session, table, present, era, statement="replace_equal")
        removed: set[str] = set()
        if gone:
            rows = await session.fetch(
                _DOCUMENTS["absent"].on(table.relation),
                table.collection,
                gone,
                [before.get(key, 0) for key in gone],
                [era] * len(gone),
            )
            removed = {row["key"] for row in rows}
    await lacking.agreed(database, table.collection, table.relation, noted, {one.key: one.rev for one in present})
    differing = await _still_different(database, table, present, written.settled)
    return RepairResult(
        replaced=tuple(sorted(written.applied)),
        removed=tuple(sorted(removed)),
        unchanged=tuple(sorted(written.settled - differing)),
        refused=tuple(sorted(refusal.key for refusal in written.refusals)),
        unsettled=tuple(sorted(written.stale | differing | (set(gone) - removed))),
    )


async def _apart(
    database: Database, table: Table, present: Sequence[Document], gone: Mapping[str, int], era: int
) -> RepairResult:
    target = TargetWriter(database, "backfill")
    rows = [Version(one.key, one.rev, one.raw, era) for one in present]
    kept = await target.write(table.collection, rows, equal=True, alone=True)
    ended = await target.absent(table.collection, gone, era, alone=True)
    dead, again = kept.dead | ended.dead, kept.reread | ended.reread
    return RepairResult(
        replaced=tuple(sorted({row.key for row in rows} - dead - again)),
        removed=tuple(sorted(gone.keys() - dead - again)),
        refused=tuple(sorted(dead)),
        unsettled=tuple(sorted(again)),
    )


async def _still_different(
    database: Database, table: Table, present: Sequence[Document], settled: frozenset[str]
) -> set[str]:
    # an equal revision that was not replaced has the same content, unless the horizon rose in between
    if not settled:
        return set()
    rows = await database.fetch(SQL["target_documents"].replace("{relation}", table.relation), sorted(settled))
    stored = {row["key"]: (row["rev"], row["raw"]) for row in rows}
    return {
        one.key
        for one in present
        if one.key in stored and stored[one.key][0] == one.rev and stored[one.key][1].encode() != one.raw
    }
