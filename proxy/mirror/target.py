"""The statements of I4 on PostgreSQL: one row a key, refused keys told apart, documents that it cannot hold put aside.

Every method raises DatabaseError where nothing can be said of any row; callers keep what they have and try again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import structlog

from proxy import metrics
from proxy.database import Database, Session
from proxy.documents import to_jsonb
from proxy.errors import DatabaseRefused
from proxy.mirror import faults
from proxy.sqlstates import of_a_document
from sql.loader import queries

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 50  # documents that are encoded between two other things


class Row(NamedTuple):
    """One version to apply. raw: the document as ArangoDB printed it; None says removed. stamp: an era."""

    key: str
    rev: int
    raw: bytes | None
    stamp: int


class Stored(NamedTuple):
    """What the target has of a key."""

    rev: int
    alive: bool


@dataclass(slots=True)
class Written:
    """upserted, removed, dead: numbers of keys. reread: keys that were refused and must be read again."""

    upserted: int = 0
    removed: int = 0
    dead: int = 0
    reread: frozenset[str] = frozenset()


class _Encoded(NamedTuple):
    row: Row
    raw: str
    doc: str | None


class Target:
    """PostgreSQL as the mirror writes it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._relations: dict[str, str] = {}
        self._lettered: set[str] = set()

    async def relation(self, collection: str) -> str:
        """The table of a collection, which is made where there is none."""
        found = self._relations.get(collection)
        if found is None:
            database, _, name = collection.partition("/")
            found = str(await self._database.fetchval(queries("mirror")["ensure"].text, database, name))
            self._relations[collection] = found
        return found

    async def register(self, collection: str, *, edge: bool) -> None:
        """The table of a collection of which the origin says whether it holds edges."""
        database, _, name = collection.partition("/")
        statements = queries("mirror")
        row = await self._database.fetchrow(statements["register"].text, database, name, edge)
        assert row is not None  # the function gives one row
        if edge and not row["edge"]:
            async with self._database.transaction() as session:
                await session.execute(statements["edge_columns"].on(row["relation"]))
                await session.execute(statements["edge"].text, collection)

    async def raise_era(self) -> int:
        """A new era, committed."""
        return int(await self._database.fetchval(queries("mirror")["raise_era"].text))

    async def revisions(self, collection: str, keys: Sequence[str]) -> dict[str, Stored]:
        """What the target has of these keys; a key without a row is not in it."""
        relation = await self.relation(collection)
        async with self._database.session() as session:
            return await _revisions(session, relation, keys)

    async def write(self, collection: str, rows: Sequence[Row], *, equal: bool = False) -> Written:
        """Applies versions, one a key. `equal`: an equal revision with other content is replaced too (repair).

        A key that is not in `reread` is done: applied, overtaken by what is stored, or in the dead letters.
        """
        relation = await self.relation(collection)
        upserts = [row for row in rows if row.raw is not None]
        removals = [row for row in rows if row.raw is None]
        written = Written()
        try:
            async with self._database.session() as session:
                writer = _Writer(session, collection, relation)
                if upserts:
                    await writer.upsert(upserts, "replace_equal" if equal else "upsert")
                    written.upserted = len(writer.returned)
                faults.reach("mid-batch")
                if removals:
                    await writer.remove(removals)
                    written.removed = len(writer.returned) - written.upserted
                written.reread = await writer.refused(rows)
                written.dead = writer.dead
                if writer.dead:
                    self._lettered.add(collection)
                elif collection in self._lettered:
                    await self._revive(session, collection, relation)
        except DatabaseRefused:
            self._relations.pop(collection, None)  # perhaps its table is not what it was
            raise
        _count(collection, written)
        return written

    async def write_together(self, groups: Mapping[str, Sequence[Row]]) -> frozenset[tuple[str, str]]:
        """Applies versions of several collections, one a key in each, in one transaction: all of them or none.

        Gives (collection, key) of those that must be read again. Raises DatabaseRefused where a row is refused.
        """
        relations = {collection: await self.relation(collection) for collection in sorted(groups)}
        again: set[tuple[str, str]] = set()
        async with self._database.transaction() as session:
            for collection, relation in relations.items():  # in one order, so that two of them do not block each other
                writer, rows = _Writer(session, collection, relation), groups[collection]
                await writer.upsert([row for row in rows if row.raw is not None], "upsert")
                await writer.remove([row for row in rows if row.raw is None])
                again |= {(collection, key) for key in await writer.refused(rows)}
                faults.reach("mid-transaction")
        return frozenset(again)

    async def absent(self, collection: str, keys: Mapping[str, int], era: int) -> frozenset[str]:
        """The origin has none of these; `keys` with the revisions that the target had before the origin was read.

        `era`: raised before that. Gives the keys that have a newer row by now: to be repaired again.
        """
        relation = await self.relation(collection)
        statement = queries("documents")["absent"].on(relation)
        async with self._database.session() as session:
            rows = await session.fetch(statement, collection, list(keys), list(keys.values()), [era] * len(keys))
            if collection in self._lettered:
                await self._revive(session, collection, relation)
        return frozenset(keys) - {row["key"] for row in rows}

    async def revive(self) -> None:
        """Takes back dead letters whose keys were overtaken since, whoever applied them."""
        rows = await self._database.fetch(queries("mirror")["lettered"].text)
        self._lettered = {row["collection"] for row in rows}
        for collection in tuple(self._lettered):
            relation = await self.relation(collection)
            async with self._database.session() as session:
                await self._revive(session, collection, relation)

    async def _revive(self, session: Session, collection: str, relation: str) -> None:
        await session.fetch(queries("mirror")["revived"].on(relation), collection)


class _Writer:
    """One batch on one connection: what came back, and what cannot be held."""

    def __init__(self, session: Session, collection: str, relation: str) -> None:
        self._session = session
        self._collection = collection
        self._relation = relation
        self.returned: set[str] = set()
        self._lost: set[str] = set()

    @property
    def dead(self) -> int:
        return len(self._lost)

    async def upsert(self, rows: Sequence[Row], statement: str) -> None:
        """Applies documents; one that cannot be held goes to the dead letters and never stops the others."""
        encoded = []
        for number, row in enumerate(rows, 1):
            assert row.raw is not None
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            try:
                encoded.append(_Encoded(row, row.raw.decode(), to_jsonb(row.raw)))
            except ValueError as error:
                await self._bury(row, f"the document cannot be read: {error}")
        await self._halve(encoded, queries("documents")[statement].on(self._relation))

    async def _halve(self, rows: Sequence[_Encoded], statement: str) -> None:
        if not rows:
            return
        try:
            found = await self._session.fetch(
                statement,
                self._collection,
                [item.row.key for item in rows],
                [item.row.rev for item in rows],
                [item.raw for item in rows],
                [item.doc for item in rows],
                [item.row.stamp for item in rows],
            )
        except DatabaseRefused as error:
            if not of_a_document(error.sqlstate):  # all rows are concerned: rights, the schema
                raise
            if len(rows) == 1:
                await self._bury(rows[0].row, f"{error.sqlstate}: {error}")
                return
            middle = len(rows) // 2
            await self._halve(rows[:middle], statement)
            await self._halve(rows[middle:], statement)
            return
        self.returned.update(row["key"] for row in found)

    async def remove(self, rows: Sequence[Row]) -> None:
        """Leaves tombstones."""
        found = await self._session.fetch(
            queries("documents")["remove"].on(self._relation),
            self._collection,
            [row.key for row in rows],
            [row.rev for row in rows],
            [row.stamp for row in rows],
        )
        self.returned.update(row["key"] for row in found)

    async def refused(self, rows: Iterable[Row]) -> frozenset[str]:
        """Keys that were refused and are not overtaken by what is stored (mirror-protocol: re-read, never settled)."""
        open_rows = [row for row in rows if row.key not in self.returned and row.key not in self._lost]
        if not open_rows:
            return frozenset()
        stored = await _revisions(self._session, self._relation, [row.key for row in open_rows])
        return frozenset(row.key for row in open_rows if not overtaken(row, stored.get(row.key)))

    async def _bury(self, row: Row, reason: str) -> None:
        """The first line of the reason, as text that PostgreSQL can hold."""
        line = storable_text(reason.partition("\n")[0])[:500]
        statement = queries("mirror")["dead_letter"].on(self._relation)
        found = await self._session.fetch(statement, self._collection, row.key, row.rev, line)
        self._lost.add(row.key)
        if found:
            metrics.DEAD_LETTERS.labels(self._collection).inc()
            log.warning("PostgreSQL cannot hold a document", collection=self._collection, reason=line.split(":")[0])


async def _revisions(session: Session, relation: str, keys: Sequence[str]) -> dict[str, Stored]:
    rows = await session.fetch(queries("documents")["revisions"].on(relation), list(keys))
    return {row["key"]: Stored(row["rev"], row["alive"]) for row in rows}


def overtaken(row: Row, stored: Stored | None) -> bool:
    """Whether what is stored already says all that this version says: the join of I4 on (revision, removed)."""
    if stored is None:
        return False
    if row.raw is None:
        return stored.rev > row.rev or (stored.rev == row.rev and not stored.alive)
    return stored.rev >= row.rev


def newest(rows: Iterable[Row]) -> list[Row]:
    """One row a key: the greatest by (revision, removed), the join of I4."""
    best: dict[str, Row] = {}
    for row in rows:
        known = best.get(row.key)
        if known is None or (row.rev, row.raw is None) >= (known.rev, known.raw is None):
            best[row.key] = row
    return list(best.values())


def storable_text(text: str) -> str:
    """The text without what PostgreSQL's `text` cannot hold."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def _count(collection: str, written: Written) -> None:
    if written.upserted:
        metrics.MIRRORED.labels(collection, "upsert").inc(written.upserted)
    if written.removed:
        metrics.MIRRORED.labels(collection, "remove").inc(written.removed)
    if written.reread:
        metrics.REFUSED.labels(collection).inc(len(written.reread))
