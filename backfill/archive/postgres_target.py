"""An archive into PostgreSQL: the mapped tables, by the one rule of I4 (sql/queries/documents.sql)."""

from __future__ import annotations

from collections.abc import Sequence

from backfill import run_store
from backfill.archive.bisect import isolated
from backfill.archive.manifest import Entry
from backfill.archive.sources import SQL
from backfill.archive.storage import ArchiveError
from backfill.archive.targets import TargetResult
from backfill.origin_pages import Document
from backfill.run_store import Table
from backfill.target_writer import Prepared, prepare, write
from proxy.base.database import Database
from proxy.base.errors import CrossfadeError, DatabaseUnavailable, StatementError
from proxy.base.sqlstates import of_a_document
from sql.loader import queries

_DOCUMENTS = queries("documents")


class IntoPostgres:
    """PostgreSQL. maintenance: connections whose statements are not limited in time."""

    keeps_revisions: bool | None = True

    def __init__(self, database: Database, maintenance: Database, *, indexes: bool = True) -> None:
        self._database = database
        self._maintenance = maintenance
        self._indexes = indexes
        self._tables: dict[str, Table] = {}

    async def prepare(self, entry: Entry) -> None:
        """Makes the table where there is none."""
        base, _, name = entry.collection.partition("/")
        row = await self._database.fetchrow(SQL["ensure"], base, name, entry.edge)
        assert row is not None
        if entry.edge and not row["edge"]:
            raise ArchiveError(f"{entry.collection} holds edges in the archive, and its table was made for documents")
        self._tables[entry.collection] = Table(entry.collection, base, name, row["relation"], row["stage"])

    async def revisions(self, collection: str, keys: Sequence[str]) -> dict[str, int]:
        table = await self._table(collection)
        if table is None:
            return {}
        rows = await self._database.fetch(_DOCUMENTS["revisions"].on(table.relation), list(keys))
        return {row["key"]: row["rev"] for row in rows}

    async def write(
        self, collection: str, new: Sequence[Document], older: Sequence[tuple[Document, int]]
    ) -> TargetResult:
        table = self._tables[collection]
        documents = [*new, *(document for document, _ in older)]
        era = await self._database.fetchval(run_store.SQL["era"])
        async with self._database.transaction() as session:
            done = await write(session, table, documents, era)
        if done.stale:  # a truncation or a purge came between
            raise DatabaseUnavailable(f"the horizon of {collection} was raised meanwhile")
        return TargetResult(
            len(done.applied), len(done.settled), tuple((refusal.key, refusal.reason) for refusal in done.refusals)
        )

    async def overwrite(self, collection: str, documents: Sequence[Document]) -> TargetResult:
        table = self._tables[collection]
        era = await self._database.fetchval(run_store.SQL["era"])
        rows, refusals = prepare(documents)
        sql = SQL["restore"].replace("{relation}", table.relation)
        refused = [(refusal.key, refusal.reason) for refusal in refusals]
        revs = {document.key: document.rev for document in documents}
        async with self._database.transaction() as session:

            async def attempt(chosen: Sequence[Prepared]) -> None:
                columns = [
                    [row.key for row in chosen],
                    [row.rev for row in chosen],
                    [row.raw for row in chosen],
                    [row.doc for row in chosen],
                ]
                async with session.transaction():
                    found = await session.fetch(sql, collection, *columns, [era] * len(chosen))
                if len(found) < len(chosen):
                    raise DatabaseUnavailable(f"the horizon of {collection} was raised meanwhile")

            refused += [(row.key, reason) for row, reason in await isolated(rows, attempt, _of_a_document)]
            if refused:
                keys = [key for key, _ in refused]
                await session.execute(
                    run_store.SQL["dead_letters"],
                    collection,
                    keys,
                    [revs[key] for key in keys],
                    [why for _, why in refused],
                )
        return TargetResult(len(documents) - len(refused), 0, tuple(refused))

    async def finish(self, entry: Entry) -> list[str]:
        table = self._tables[entry.collection]
        if self._indexes:
            await self._maintenance.execute(
                await self._maintenance.fetchval(run_store.SQL["index_statement"], entry.collection)
            )
        await self._maintenance.execute(run_store.SQL["analyze"].replace("{relation}", table.relation))
        return []

    async def _table(self, collection: str) -> Table | None:
        if collection not in self._tables:
            row = await self._database.fetchrow(SQL["entry"], collection)
            if row is None:
                return None
            base, _, name = collection.partition("/")
            self._tables[collection] = Table(collection, base, name, row["relation"], row["stage"])
        return self._tables[collection]


def _of_a_document(error: CrossfadeError) -> bool:
    return isinstance(error, StatementError) and of_a_document(error.sqlstate)
