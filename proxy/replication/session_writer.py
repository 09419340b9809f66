"""The statements of I4 for one batch on one session: what PostgreSQL took of it, and what became of the other rows.

A row that PostgreSQL refuses because of what it holds is found by bisection and becomes a dead letter, so that it never
stops the others. If an index that Crossfade made refuses a document for its size, the index is dropped instead.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

import structlog

import sql
from proxy.base import failpoints, metrics
from proxy.base.database import Session
from proxy.base.errors import CrossfadeError, StatementError, error_label
from proxy.base.sql_values import storable
from proxy.replication.bisection import RefusedItem, bisect, is_of_a_document
from proxy.replication.document_encoding import EncodedVersion, statement_parts
from proxy.replication.versions import StampedVersion, Stored, is_superseded
from proxy.state import missing_writes
from proxy.stores.postgres import own_indexes
from sql.statement import Statement

log = structlog.get_logger(__name__)

_REASON: Final = 500  # characters of a reason

Item = TypeVar("Item")


class ReplaceRule(enum.Enum):
    """The condition under which a document replaces the stored one."""

    NEWER = enum.auto()
    NEWER_OR_DIFFERENT = enum.auto()  # an equal revision with other content too: repairs
    ALWAYS = enum.auto()  # on the operator's word: an archive over newer versions


_STATEMENTS: Final = {
    ReplaceRule.NEWER: sql.documents.UPSERT,
    ReplaceRule.NEWER_OR_DIFFERENT: sql.documents.REPLACE_EQUAL,
    ReplaceRule.ALWAYS: sql.documents.RESTORE,
}


class UndoScope(enum.Enum):
    """The extent of what the refusal of a row undoes."""

    STATEMENT = enum.auto()  # each statement is a transaction
    SAVEPOINT = enum.auto()  # likewise a part of the caller's transaction
    TRANSACTION = enum.auto()  # the caller's transaction: all rows or none, no dead letters


class VersionBatch(NamedTuple):
    """Versions of one collection, one a key, ready to be written. encoded: those that are documents."""

    collection: str
    relation: str
    rows: Sequence[StampedVersion]
    encoded: Sequence[EncodedVersion] = ()


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """The result of a batch. A key that is in none of the three sets is done: PostgreSQL has something newer.

    applied: PostgreSQL took this version. dead: it refused this version, which is a dead letter now; no flip of the
    collection outlives that. reread: the version was stamped too early, and the key must be read from ArangoDB again.
    reasons: why rows were refused, those included that PostgreSQL has a newer version of.
    """

    applied: frozenset[str] = frozenset()
    dead: frozenset[str] = frozenset()
    reread: frozenset[str] = frozenset()
    reasons: Mapping[str, str] = field(default_factory=dict)

    def __add__(self, other: ApplyResult) -> ApplyResult:
        """Combine the results of different rows."""
        return ApplyResult(
            self.applied | other.applied,
            self.dead | other.dead,
            self.reread | other.reread,
            {**self.reasons, **other.reasons},
        )


class SessionWriter:
    """Writes one batch on one session."""

    def __init__(
        self, session: Session, batch: VersionBatch, instance: str, scope: UndoScope = UndoScope.STATEMENT
    ) -> None:
        self._session = session
        self._batch = batch
        self._collection = batch.collection
        self._relation = batch.relation
        self._instance = instance
        self._scope = scope
        self._applied: set[str] = set()
        self._dead: set[str] = set()
        self._reasons: dict[str, str] = {}
        self._dropped: set[str] = set()  # indexes that gave way to a document of this batch

    async def write(self, rule: ReplaceRule, *, last: bool) -> ApplyResult:
        """Apply the batch, documents first. last: see `TargetWriter.write`."""
        await self.upsert(rule)
        failpoints.reach("mid-batch")
        await self.remove()
        return self._result(await self._finish(rule, last=last))

    async def absent(self, *, last: bool) -> ApplyResult:
        """Leave tombstones: the origin has none of the batch's keys. `reread`: keys that have a newer row."""
        await self._run_in_halves(self._batch.rows, self._marker(sql.documents.ABSENT), lambda row: row)
        again = await self._unless_promoted({row.key for row in self._batch.rows} - self._applied - self._dead)
        return self._result(await self._without_passed_over(again) if last else again)

    async def all_or_nothing(self) -> frozenset[str]:
        """Apply the batch as a part of the caller's transaction. Return the keys that must be read again."""
        await self.upsert(ReplaceRule.NEWER)
        await self.remove()
        return frozenset(await self._to_reread(ReplaceRule.NEWER))

    async def make_dead_letter(self, row: StampedVersion, reason: str) -> ApplyResult:
        """Make a row a dead letter unless PostgreSQL has a newer version. Its collection is no longer flipped then."""
        await self._bury(row, reason)
        return self._result(set())

    # ---- statements

    async def upsert(self, rule: ReplaceRule) -> None:
        """Apply the documents of the batch."""
        for item in self._batch.encoded:
            if item.wrong:
                if self._scope is UndoScope.TRANSACTION:
                    raise StatementError("a document cannot be read", "22000")
                await self._bury(item.row, item.wrong)
        statement = _STATEMENTS[rule].on(self._relation)

        async def run(part: Sequence[EncodedVersion]) -> None:
            found = await self._session.fetch(
                statement,
                self._collection,
                [item.row.key for item in part],
                [item.row.rev for item in part],
                [item.raw for item in part],
                [item.doc for item in part],
                [item.row.stamp for item in part],
            )
            self._applied.update(found)

        for part in statement_parts([item for item in self._batch.encoded if not item.wrong]):
            await self._run_in_halves(part, run, lambda item: item.row)

    async def remove(self) -> None:
        """Leave tombstones for the removals of the batch."""
        removals = [row for row in self._batch.rows if row.removed]
        await self._run_in_halves(removals, self._marker(sql.documents.REMOVE), lambda row: row)

    def _marker(self, statement: Statement[str]) -> Callable[[Sequence[StampedVersion]], Awaitable[None]]:
        on_table = statement.on(self._relation)

        async def run(part: Sequence[StampedVersion]) -> None:
            found = await self._session.fetch(
                on_table,
                self._collection,
                [row.key for row in part],
                [row.rev for row in part],
                [row.stamp for row in part],
            )
            self._applied.update(found)

        return run

    # ---- rows that PostgreSQL refuses

    async def _run_in_halves(
        self,
        items: Sequence[Item],
        run: Callable[[Sequence[Item]], Awaitable[None]],
        row_of: Callable[[Item], StampedVersion],
    ) -> None:
        """Run a statement for the rows. Those that are refused alone become dead letters."""
        if self._scope is UndoScope.TRANSACTION:
            if items:
                await run(items)
            return

        async def attempt(part: Sequence[Item]) -> None:
            if self._scope is UndoScope.STATEMENT:
                await run(part)
                return
            async with self._session.transaction():
                await run(part)

        for refusal in await bisect(items, attempt, is_of_a_document):
            left: list[RefusedItem[Item]] = [refusal]
            while left and await self._drop_indexes_for(left[0].error, left[0].item):
                left = await bisect([refusal.item], attempt, is_of_a_document)
            for one in left:
                await self._bury(row_of(one.item), one.reason)

    async def _drop_indexes_for(self, error: CrossfadeError, item: object) -> bool:
        """Drop indexes of Crossfade that refused the document for its size. Return False if there are none.

        An index cannot be dropped within a transaction without a lock on the whole table: the refusal is raised there,
        so that the caller tries the document apart.
        """
        if (
            not isinstance(error, StatementError)
            or error.sqlstate != own_indexes.TOO_LARGE
            or not isinstance(item, EncodedVersion)
        ):
            return False
        names = [name for name in await self._too_small(error, item) if name not in self._dropped]
        if names and self._scope is UndoScope.SAVEPOINT:
            raise error
        gone = False
        for name in names:
            self._dropped.add(name)
            try:
                await self._session.execute(own_indexes.drop(self._relation, name))
            except StatementError as refused:  # this role may not
                log.warning("index_not_dropped", index=name, error=error_label(refused))
                continue
            gone = True
            log.warning("index_dropped", index=name, collection=self._collection)
        return gone

    async def _too_small(self, error: StatementError, item: EncodedVersion) -> list[str]:
        name = own_indexes.named_in(error)
        if name is not None:
            return [name]
        found = []
        for row in await self._session.fetch(sql.mirror.OWN_INDEXES, self._relation):
            measured = await self._session.fetchval(
                own_indexes.measure(row.columns), item.doc or item.raw, item.row.key
            )
            if measured.longest is not None and measured.longest > own_indexes.LARGE:
                found.append(row.name)
        return found

    async def _bury(self, row: StampedVersion, reason: str) -> None:
        """Only the first line of the reason is kept: the others may quote the document."""
        line = storable(reason.partition("\n")[0])[:_REASON]
        lacks, new = await missing_writes.add_dead_letter(
            self._session,
            self._collection,
            self._relation,
            row.key,
            row.rev,
            removed=row.removed,
            reason=line,
            instance=self._instance,
        )
        self._reasons[row.key] = line
        if lacks:
            self._dead.add(row.key)
        if new:
            metrics.DEAD_LETTERS.labels(self._collection).inc()
            log.warning("document_refused", collection=self._collection, reason=line.split(":")[0])

    # ---- rows that no statement returned

    async def _finish(self, rule: ReplaceRule, *, last: bool) -> set[str]:
        again = await self._to_reread(rule)
        return await self._without_passed_over(again) if last else again

    async def _to_reread(self, rule: ReplaceRule) -> set[str]:
        """Return keys of versions that were refused and are not superseded by what is stored (mirror-protocol)."""
        open_rows = [row for row in self._batch.rows if row.key not in self._applied and row.key not in self._reasons]
        if not open_rows:
            return set()
        if rule is ReplaceRule.ALWAYS:
            return {row.key for row in open_rows}
        stored = await stored_revisions(self._session, self._relation, [row.key for row in open_rows])
        again = {row.key for row in open_rows if not is_superseded(row, stored.get(row.key))}
        if rule is ReplaceRule.NEWER_OR_DIFFERENT:
            again |= await self._uncompared([row for row in open_rows if row.key not in again])
        return await self._unless_promoted(again)

    async def _unless_promoted(self, again: set[str]) -> set[str]:
        """Leave out all keys if ArangoDB does not take the writes: what PostgreSQL has is newer than what it has.

        The fence refuses them, and always will: an intent that was left over is dropped (promotion-protocol, answer 9).
        """
        if again and await self._session.fetchrow(sql.promotion.TAKEN_OVER, self._collection) is not None:
            log.warning("versions_of_promoted_dropped", collection=self._collection, number=len(again))
            return set()
        return again

    async def _uncompared(self, rows: Iterable[StampedVersion]) -> set[str]:
        """Return keys that have this revision already, of which the stamp was refused: their content may differ."""
        same = [row for row in rows if not row.removed]
        if not same:
            return set()
        found = await self._session.fetch(
            sql.documents.UNCOMPARED.on(self._relation),
            self._collection,
            [row.key for row in same],
            [row.rev for row in same],
            [row.stamp for row in same],
        )
        return set(found)

    async def _without_passed_over(self, again: set[str]) -> set[str]:
        """Leave out rows that PostgreSQL had to apply and did not, without an error: a trigger or a rule of the table.

        They would be read again for ever. What PostgreSQL lacks of them becomes a dead letter.
        """
        rows = [row for row in self._batch.rows if row.key in again]
        if not rows:
            return again
        found = await self._session.fetch(
            sql.documents.PASSED_OVER.on(self._relation),
            self._collection,
            [row.key for row in rows],
            [row.rev for row in rows],
            [row.stamp for row in rows],
            [row.removed for row in rows],
        )
        lacks = {row.key: row.lacks for row in found}
        for row in rows:
            if lacks.get(row.key):
                await self._bury(row, "PostgreSQL passes it over: a trigger or a rule of the table")
        return again - lacks.keys()

    def _result(self, again: set[str]) -> ApplyResult:
        return ApplyResult(frozenset(self._applied), frozenset(self._dead), frozenset(again), dict(self._reasons))


async def stored_revisions(session: Session, relation: str, keys: Sequence[str]) -> dict[str, Stored]:
    """Return what PostgreSQL has of these keys; a key without a row is left out."""
    rows = await session.fetch(sql.documents.REVISIONS.on(relation), list(keys))
    return {row.key: Stored(row.rev, row.alive) for row in rows}
