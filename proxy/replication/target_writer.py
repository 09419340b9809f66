"""PostgreSQL as a target of versions, by the rule of I4: used by the mirror, backfill, archives and commands.

Every method raises DatabaseError if nothing is known of any row: callers keep what they have and try again. If the same
rows are refused again and again, they are tried apart from each other (`bisection`), and those that PostgreSQL keeps
refusing become dead letters.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

import structlog

import sql
from proxy.base import failpoints, metrics
from proxy.base.database import Database, Session
from proxy.base.errors import DatabaseError, StatementError, error_label
from proxy.isolation import Lane
from proxy.replication.bisection import RefusalCounts, isolate_refused
from proxy.replication.dead_letters import DeadLetters
from proxy.replication.document_encoding import DocumentEncoder
from proxy.replication.session_writer import (
    ApplyResult,
    ReplaceRule,
    SessionWriter,
    UndoScope,
    VersionBatch,
    stored_revisions,
)
from proxy.replication.tables import TableCache
from proxy.replication.versions import StampedVersion, Stored

log = structlog.get_logger(__name__)


class TargetWriter:
    """PostgreSQL as one instance writes it. instance: named in dead letters and in the audit of flips that they end."""

    def __init__(self, database: Database, instance: str = "command line") -> None:
        self._database = database
        self._instance = instance
        self._encoder = DocumentEncoder()
        self._refusals = RefusalCounts()
        self.tables = TableCache(database)
        self.dead_letters = DeadLetters(database, self.tables)

    def use_encoding_workers(self, lane: Lane) -> None:
        """Encode large documents in these workers from now on."""
        self._encoder.lane = lane

    async def raise_era(self) -> int:
        """Return a new era, committed."""
        return await self._database.fetchval(sql.mirror.RAISE_ERA)

    async def revisions(self, collection: str, keys: Sequence[str]) -> dict[str, Stored]:
        """Return what PostgreSQL has of these keys; a key without a row is left out."""
        relation = await self.tables.relation(collection)
        async with self._database.session() as session:
            return await stored_revisions(session, relation, keys)

    async def write(
        self,
        collection: str,
        rows: Sequence[StampedVersion],
        *,
        rule: ReplaceRule = ReplaceRule.NEWER,
        last: bool = False,
        alone: bool = False,
    ) -> ApplyResult:
        """Apply versions, one a key.

        last: after several attempts. A row that PostgreSQL passes over without an error (a trigger that returns NULL,
        a rule with INSTEAD) is then a dead letter, not one to be read again for ever.
        alone: the caller has tried often enough, and each row is to be tried apart from the others.
        """

        async def once(some: Sequence[StampedVersion]) -> ApplyResult:
            batch = await self.prepare(collection, some)
            with self._known_tables(collection):
                async with self._database.session() as session:
                    written = await self._writer(session, batch).write(rule, last=last)
                    await self._finish(session, batch, written)
            _count(batch, written)
            return written

        return await (self._isolate_refused if alone else self._persistently)(collection, rows, once)

    async def absent(self, collection: str, keys: Mapping[str, int], era: int, *, last: bool = False) -> ApplyResult:
        """Note that the origin has none of these keys; given with the revisions that PostgreSQL had before that read.

        era: raised before that read. `reread`: keys that have a newer row by now, to be repaired again. last: see
        `write`.
        """
        rows = [StampedVersion(key, rev, None, era) for key, rev in keys.items()]

        async def once(some: Sequence[StampedVersion]) -> ApplyResult:
            batch = VersionBatch(collection, await self.tables.relation(collection), some)
            async with self._database.session() as session:
                return await self._finish(session, batch, await self._writer(session, batch).absent(last=last))

        return await self._persistently(collection, rows, once)

    async def prepare(self, collection: str, rows: Sequence[StampedVersion]) -> VersionBatch:
        """Encode versions, one a key, before a connection is taken."""
        return VersionBatch(collection, await self.tables.relation(collection), rows, await self._encoder.encode(rows))

    async def write_in(self, session: Session, batch: VersionBatch) -> ApplyResult:
        """Apply a batch in the caller's transaction; a row that is refused undoes no other.

        Raise StatementError if it is not about one document, or if an index of ours refuses one (`write` drops the
        index); DatabaseUnavailable.
        """
        writer = SessionWriter(session, batch, self._instance, UndoScope.SAVEPOINT)
        with self._known_tables(batch.collection):
            return await self._finish(session, batch, await writer.write(ReplaceRule.NEWER, last=False))

    async def write_together(self, groups: Mapping[str, Sequence[StampedVersion]]) -> frozenset[tuple[str, str]]:
        """Apply versions of several collections, one a key in each, in one transaction: all of them or none.

        Return (collection, key) of those that must be read again. Raise StatementError if a row is refused.
        """
        # in one order, so that two transactions do not block each other
        batches = [await self.prepare(collection, groups[collection]) for collection in sorted(groups)]
        again: set[tuple[str, str]] = set()
        async with self._database.transaction() as session:
            for batch in batches:
                writer = SessionWriter(session, batch, self._instance, UndoScope.TRANSACTION)
                again |= {(batch.collection, key) for key in await writer.all_or_nothing()}
                failpoints.reach("mid-transaction")
        return frozenset(again)

    # ---- rows that are refused again and again

    async def _persistently(
        self,
        collection: str,
        rows: Sequence[StampedVersion],
        once: Callable[[Sequence[StampedVersion]], Awaitable[ApplyResult]],
    ) -> ApplyResult:
        """Apply rows together, or apart if they were refused several times."""
        keys = [row.key for row in rows]
        try:
            written = await once(rows)
        except DatabaseError as error:
            if not (error.of_statement and self._refusals.refused(collection, keys)):
                raise
            log.warning("refused_rows_isolated", collection=collection, error=error_label(error))
            written = await self._isolate_refused(collection, rows, once)
        self._refusals.taken(collection, keys)
        return written

    async def _isolate_refused(
        self,
        collection: str,
        rows: Sequence[StampedVersion],
        once: Callable[[Sequence[StampedVersion]], Awaitable[ApplyResult]],
    ) -> ApplyResult:
        table = _IsolatedRows(self, collection, frozenset(row.key for row in rows), once)
        if rows:
            await isolate_refused(table, rows)
        return table.result

    async def is_healthy(self, collection: str, keys: Collection[str]) -> bool:
        """Check that PostgreSQL takes another row of the table than these, and a dead letter; both are rolled back.

        Return False if there is no such row. Raise DatabaseError.
        """
        others = False
        relation = await self.tables.relation(collection)
        for order in ("ASC", "DESC"):  # the first row may be one that is refused as well
            try:
                async with self._database.transaction() as session:
                    probe = sql.mirror.PROBE.on(relation).fill(order=order)
                    others = await session.fetchval(probe, collection, list(keys))
                    raise _RollbackError
            except _RollbackError:
                break
            except DatabaseError:
                if order == "DESC":
                    raise
        return others

    async def make_dead_letter(self, collection: str, row: StampedVersion, reason: str) -> ApplyResult:
        """Make a version a dead letter; it is in none of the result's sets if PostgreSQL has a newer one."""
        batch = VersionBatch(collection, await self.tables.relation(collection), [row])
        async with self._database.session() as session:
            return await self._finish(session, batch, await self._writer(session, batch).make_dead_letter(row, reason))

    # ---- one session

    def _writer(self, session: Session, batch: VersionBatch) -> SessionWriter:
        return SessionWriter(session, batch, self._instance)

    async def _finish(self, session: Session, batch: VersionBatch, written: ApplyResult) -> ApplyResult:
        keys = [row.key for row in batch.rows]
        await self.dead_letters.after_write(session, batch.collection, batch.relation, keys, dead=bool(written.dead))
        return written

    @contextmanager
    def _known_tables(self, collection: str) -> Iterator[None]:
        """Look the table up again after a statement was refused: it may have been replaced."""
        try:
            yield
        except StatementError:
            self.tables.forget(collection)
            raise


class _RollbackError(Exception):
    """Rolls back a transaction that was only tried."""


class _IsolatedRows:
    """Rows of one collection, for `bisection.apart`. result: what became of all of them."""

    def __init__(
        self,
        target: TargetWriter,
        collection: str,
        keys: frozenset[str],
        once: Callable[[Sequence[StampedVersion]], Awaitable[ApplyResult]],
    ) -> None:
        self._target = target
        self._collection = collection
        self._keys = keys
        self._once = once
        self.result = ApplyResult()

    async def write(self, rows: Sequence[StampedVersion]) -> None:
        self.result += await self._once(rows)

    async def is_healthy(self) -> bool:
        return await self._target.is_healthy(self._collection, self._keys)

    async def make_dead_letter(self, row: StampedVersion, reason: str) -> None:
        self.result += await self._target.make_dead_letter(self._collection, row, reason)


def _count(batch: VersionBatch, written: ApplyResult) -> None:
    removed = sum(1 for row in batch.rows if row.removed and row.key in written.applied)
    if upserted := len(written.applied) - removed:
        metrics.CHANGES_APPLIED.labels(batch.collection, "upsert").inc(upserted)
    if removed:
        metrics.CHANGES_APPLIED.labels(batch.collection, "remove").inc(removed)
    if written.reread:
        metrics.STALE_REJECTS.labels(batch.collection).inc(len(written.reread))
