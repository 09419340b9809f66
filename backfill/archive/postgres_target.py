"""Imports an archive into the tables in PostgreSQL, by the rule of I4 (sql/queries/documents.sql)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import sql
from backfill.archive.manifest import CollectionEntry
from backfill.archive.storage import ArchiveError
from backfill.archive.targets import TargetResult
from backfill.origin_pages import Document
from backfill.run_store import CollectionTable
from proxy.base.database import Database
from proxy.base.errors import DatabaseUnavailable
from proxy.replication.session_writer import ApplyResult, ReplaceRule
from proxy.replication.target_writer import TargetWriter

_ATTEMPTS: Final = 3  # with a new write epoch each, before the page is retried later


class IntoPostgres:
    """PostgreSQL as the target. maintenance: connections without a statement timeout."""

    keeps_revisions: bool | None = True

    def __init__(self, database: Database, maintenance: Database, *, indexes: bool = True) -> None:
        self._database = database
        self._target = TargetWriter(database, "archive")
        self._maintenance = maintenance
        self._indexes = indexes
        self._tables: dict[str, CollectionTable] = {}

    async def prepare(self, entry: CollectionEntry) -> None:
        """Create the table if it is missing."""
        base, _, name = entry.collection.partition("/")
        row = await self._database.fetchval(sql.collections.ENSURE, base, name, entry.edge)
        if entry.edge and not row.edge:
            raise ArchiveError(f"{entry.collection} holds edges in the archive, and its table was made for documents")
        self._tables[entry.collection] = CollectionTable(entry.collection, base, name, row.relation, row.stage)

    async def revisions(self, collection: str, keys: Sequence[str]) -> dict[str, int]:
        table = await self._table(collection)
        if table is None:
            return {}
        rows = await self._database.fetch(sql.documents.REVISIONS.on(table.relation), list(keys))
        return {row.key: row.rev for row in rows}

    async def write(
        self, collection: str, new: Sequence[Document], older: Sequence[tuple[Document, int]]
    ) -> TargetResult:
        documents = [*new, *(document for document, _ in older)]
        done = await self._write(collection, documents, ReplaceRule.NEWER)
        kept = len(documents) - len(done.applied) - len(done.reasons)
        return TargetResult(len(done.applied), kept, tuple(done.reasons.items()))

    async def overwrite(self, collection: str, documents: Sequence[Document]) -> TargetResult:
        done = await self._write(collection, documents, ReplaceRule.ALWAYS)
        return TargetResult(len(documents) - len(done.reasons), 0, tuple(done.reasons.items()))

    async def _write(self, collection: str, documents: Sequence[Document], rule: ReplaceRule) -> ApplyResult:
        """Write documents, again with a newer write epoch if a truncation or a purge interfered.

        Raise DatabaseUnavailable if one interferes with every attempt.
        """
        done, left = ApplyResult(), list(documents)
        for number in range(1, _ATTEMPTS + 1):
            era = await self._database.fetchval(sql.backfill.ERA)
            rows = [document.stamped(era) for document in left]
            once = await self._target.write(collection, rows, rule=rule, last=number == _ATTEMPTS)
            done = replace(done + once, reread=once.reread)
            left = [document for document in left if document.key in done.reread]
            if not left:
                return done
        raise DatabaseUnavailable(f"the stamp floor of {collection} was raised meanwhile")

    async def finish(self, entry: CollectionEntry) -> list[str]:
        table = self._tables[entry.collection]
        if self._indexes:
            statement = await self._maintenance.fetchval(sql.indexes.CONTAINMENT_STATEMENT, entry.collection)
            await self._maintenance.execute(sql.indexes.CARRY_OUT.fill(statement=statement))
        await self._maintenance.execute(sql.indexes.ANALYZE.on(table.relation))
        return []

    async def _table(self, collection: str) -> CollectionTable | None:
        if collection not in self._tables:
            row = await self._database.fetchrow(sql.collections.FIND, collection)
            if row is None:
                return None
            base, _, name = collection.partition("/")
            self._tables[collection] = CollectionTable(collection, base, name, row.relation, row.stage)
        return self._tables[collection]
