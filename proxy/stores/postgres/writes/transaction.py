"""One attempt to execute a prepared write: one transaction, from the fence to the commit."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import sql
from proxy.base import failpoints
from proxy.base.database import Session
from proxy.base.errors import ArangoError
from proxy.model.documents import valid_key
from proxy.model.operations import Operation, Outcome
from proxy.semantics.document_answers import conflict_outcome
from proxy.semantics.write_rules import ConflictError
from proxy.stores.postgres import unique_indexes
from proxy.stores.postgres.catalog import Relation
from proxy.stores.postgres.writes.blocked_values import BlockedValues
from proxy.stores.postgres.writes.index_claims import Holders
from proxy.stores.postgres.writes.interruptions import (
    CollectionChangedError,
    KeyInsertedError,
    NotLoadedError,
    WriteFenceError,
)
from proxy.stores.postgres.writes.key_assignment import Prepared
from proxy.stores.postgres.writes.loaded_collection import LoadedCollection
from proxy.stores.postgres.writes.properties import Properties
from proxy.stores.postgres.writes.row_changes import COPIED, EncodedChanges, RowChange, encoded, write_rows
from proxy.wire.encode import error_outcome

_PASSES: Final = 50  # of one decision
_NOTHING: Final[Holders] = {}
Member = tuple[Operation, Prepared]  # a request, and its documents with their keys


class _NothingToWrite(Exception):
    """Ends a transaction whose writes are all refused, or change nothing."""


class _LocksTooMuch(Exception):
    """Ends a savepoint of a stream transaction which has locked documents that the write leaves as they are."""


@dataclass(frozen=True, slots=True)
class LoadedRows:
    """What a decision needs: the rows of some keys, as `LoadedCollection` has them, and new revisions."""

    keys: frozenset[str]
    rows: Mapping[str, bytes | None]
    revisions: Sequence[int]

    def after(self, changes: Sequence[RowChange]) -> LoadedRows:
        """Return the same when these changes are written, too."""
        written = {change.key: change.raw for change in changes if change.key in self.keys}
        return LoadedRows(self.keys, {**self.rows, **written}, self.revisions) if written else self


class WriteTransaction:
    """Executes a prepared write of one collection. lock_wait: seconds that it waits for a row.

    looks_up: look up in unique indexes all that documents would claim. Otherwise what they have at the end is assumed
    to be free, and PostgreSQL refuses the statement if it is not (23505); so it may if a key is inserted meanwhile.
    inside: it is a savepoint of a stream transaction, which must not keep documents locked that it has not changed.
    blocked: values of unique indexes that the write cannot have; it notes there what it claims.
    """

    def __init__(
        self,
        session: Session,
        relation: Relation,
        properties: Properties,
        lock_wait: float,
        *,
        looks_up: bool = False,
        inside: bool = False,
        blocked: BlockedValues | None = None,
    ) -> None:
        self._blocked = blocked or BlockedValues()
        self._looks_up = looks_up
        self._inside = inside
        self._rows: dict[str, bytes | None] = {}
        self._loaded = frozenset[str]()
        self._locks: frozenset[str] | None = None  # the keys to lock; None: all that are loaded
        self._session = session
        self._relation = relation
        self._properties = properties
        self._lock_wait = f"{int(lock_wait * 1000)}ms"
        self._noted = True  # the outbox must have the keys
        self._era: int | None = None  # with which documents are copied

    async def execute(self, operation: Operation, prepared: Prepared, *, empties: bool) -> Outcome:
        """Return the answer, after the commit. empties: remove all documents first.

        Raise WriteFenceError, CollectionChangedError, KeyInsertedError (nothing was written), DatabaseError;
        CommitOutcomeUnknown if the answer to the commit was lost.
        """
        (outcome,) = await self.execute_all([(operation, prepared)], empties=empties)
        return outcome

    async def execute_all(
        self, members: Sequence[Member], *, empties: bool = False, written: Callable[[], None] | None = None
    ) -> list[Outcome]:
        """Return the answers to writes that follow each other in one transaction: of one document each if there are
        several, since such a one that is refused has changed nothing. Raise as `execute`.

        written: called before the commit.
        """
        try:
            return await self._execute_all(members, empties=empties, written=written)
        except _LocksTooMuch:  # the snapshot stays the same, and so does the decision
            return await self._execute_all(members, empties=empties, written=written)

    async def _execute_all(
        self, members: Sequence[Member], *, empties: bool, written: Callable[[], None] | None
    ) -> list[Outcome]:
        outcomes: list[Outcome] = []
        self._blocked.begin_writing()
        with contextlib.suppress(_NothingToWrite):
            async with self._session.transaction():
                outcomes, changes = await self._decide(members, empties=empties)
                self._check_locked(changes)
                self._blocked.note(self._properties.uniques, changes)
                failpoints.reach("write-fenced")
                if changes:
                    await self._learn_era(len(changes))
                    await self.write(self.encoded(changes))
                if written is not None:
                    written()
                if not changes and not empties:
                    raise _NothingToWrite  # which releases the locks, within a stream transaction too
                failpoints.reach("write-made")
            failpoints.reach("write-committed")
        return outcomes

    def _check_locked(self, changes: Sequence[RowChange]) -> None:
        """Raise _LocksTooMuch if a stream transaction would keep documents locked that it does not change."""
        changed = {change.key for change in changes}
        if self._inside and changes and self._locks is None and not self._rows.keys() <= changed:
            self._locks = frozenset(changed)
            raise _LocksTooMuch

    async def load(self, prepared: Prepared) -> LoadedRows:
        """Lock and return the rows of a write that will be decided later in the transaction that is open.

        Raise WriteFenceError, CollectionChangedError, DatabaseError.
        """
        rows, revisions = await self._load(prepared.keys, prepared.writes, empties=False)
        await self._learn_era(prepared.writes)
        return LoadedRows(prepared.keys, rows, revisions)

    def decide(
        self, operation: Operation, prepared: Prepared, loaded: LoadedRows
    ) -> tuple[Outcome, Sequence[RowChange]] | None:
        """Return the answer to a write, and the changes that make it true; None if more must be loaded for that."""
        try:
            return self._carry_out(operation, prepared, self._collection(loaded.rows, loaded.keys, loaded.revisions))
        except NotLoadedError:
            return None

    async def _learn_era(self, number: int) -> None:
        """Take note of the present era, if so many documents may be copied."""
        if self._era is None and not self._looks_up and number >= COPIED:
            self._era = await self._session.fetchval(sql.backfill.ERA)

    def encoded(self, changes: Sequence[RowChange]) -> EncodedChanges:
        """Return changes as `write` takes them. If documents are to be copied, the write is loaded already."""
        return encoded(changes, self._era)

    async def write(self, changes: EncodedChanges) -> None:
        """Write changes in the transaction that is open. Raise KeyInsertedError, DatabaseError."""
        name, relation = self._relation.collection, self._relation.relation
        await write_rows(self._session, name, relation, changes, noted=self._noted)

    async def _decide(self, members: Sequence[Member], *, empties: bool) -> tuple[list[Outcome], Sequence[RowChange]]:
        """Return the answers, and the changes that make them true. A request that is refused as a whole changes
        nothing.

        The decision is repeated until every key that it needs is loaded.
        """
        rows = self._rows
        wanted = self._locks
        if wanted is None:
            wanted = frozenset[str]().union(*(prepared.keys for _, prepared in members))
        writes = sum(prepared.writes for _, prepared in members)
        holders: dict[str, dict[bytes, str | None]] = {index.id: {} for index in self._properties.uniques}
        revisions: list[int] = []
        for number in range(_PASSES):
            if wanted or not number:  # values may contain revisions: a pass that only looks values up must not differ
                found, revisions = await self._load(wanted, writes, empties=empties)
                self._loaded |= wanted
                rows |= found
            collection = self._collection(rows, self._loaded, revisions, holders)
            try:
                if len(members) == 1:
                    outcome, changes = self._carry_out(*members[0], collection)
                    return [outcome], changes
                outcomes = [_answer(*member, collection) for member in members]
                collection.check_complete(written=not self._looks_up)
                return outcomes, collection.changes()
            except NotLoadedError as missing:
                wanted, empties = missing.keys, False
                for index, values in missing.values.items():
                    holders[index] |= await unique_indexes.holders(self._session, index, values)
        raise KeyInsertedError  # its values are others in each pass: computed by chance

    def _collection(
        self,
        rows: Mapping[str, bytes | None],
        loaded: frozenset[str],
        revisions: Sequence[int],
        holders: Holders = _NOTHING,
    ) -> LoadedCollection:
        return LoadedCollection(
            self._relation.name,
            edge=self._relation.edge,
            properties=self._properties,
            rows=rows,
            loaded=loaded,
            revisions=revisions,
            holders=holders,
            blocked=self._blocked.known,
        )

    def _carry_out(
        self, operation: Operation, prepared: Prepared, collection: LoadedCollection
    ) -> tuple[Outcome, Sequence[RowChange]]:
        """Return the answer and the changes of one pass. Raise NotLoadedError if it is not decided yet."""
        try:
            outcome, refused = prepared.carry_out(collection), False
        except ArangoError as error:
            outcome, refused = refusal(operation, error), True
        collection.check_complete(written=not refused and not self._looks_up)
        return outcome, () if refused else collection.changes()

    async def _load(
        self, keys: frozenset[str], writes: int, *, empties: bool
    ) -> tuple[dict[str, bytes | None], list[int]]:
        """Return the rows of the keys, locked until this transaction ends, and revisions drawn after that.

        Nobody but PostgreSQL takes the writes until then.
        """
        valid = [key for key in keys if valid_key(key)]
        row = await self._session.fetchrow(
            sql.writes.BEGIN, self._relation.collection, valid, writes, self._lock_wait, empties
        )
        if row is None:
            raise WriteFenceError
        known = self._relation.relation, self._relation.edge, self._properties.text
        if (row.relation, row.edge, row.properties) != known:
            raise CollectionChangedError
        self._noted = row.noted
        raws = (None if raw is None else raw.encode() for raw in row.raws or ())
        return dict(zip(row.keys or (), raws, strict=True)), sorted(row.revisions or ())


def _answer(operation: Operation, prepared: Prepared, collection: LoadedCollection) -> Outcome:
    """Return the answer to one of several writes, whose changes the collection keeps. Raise NotLoadedError."""
    try:
        return prepared.carry_out(collection)
    except ArangoError as error:
        return refusal(operation, error)


def refusal(operation: Operation, error: ArangoError) -> Outcome:
    """Return the answer to a request that is refused as a whole: a conflict of one document shows its revision."""
    if isinstance(error, ConflictError) and operation.key is not None:
        return conflict_outcome(operation.collection or "", error)
    return error_outcome(error)
