"""Writes with large bodies, part by part in one transaction: only some parts are in memory.

A part is a small write of the same kind (proxy/semantics/large_writes), in a savepoint, so that a part that met another
write is repeated by itself (part_sequence). The transaction is repeated from its beginning after a deadlock. All of the
body is here before it begins: no client keeps rows locked by sending slowly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final

from proxy.base.database import Database, Session
from proxy.base.errors import ArangoError, CommitOutcomeUnknown, DatabaseUnavailable, StatementError
from proxy.base.spool import Spool, SpooledAnswer, SpoolSpace
from proxy.base.sqlstates import may_succeed_on_new_session
from proxy.model.operations import Operation, Outcome, streamed
from proxy.semantics.large_writes import (
    ArrayAnswer,
    ImportAnswer,
    Parse,
    PartSize,
    array_requests,
    body_fault,
    check_target,
    emptying_request,
    import_requests,
    is_import,
)
from proxy.stores.postgres import own_indexes
from proxy.stores.postgres.catalog import Catalog, Relation
from proxy.stores.postgres.writes.interruptions import CollectionChangedError
from proxy.stores.postgres.writes.key_assignment import KeyAssignment, Request
from proxy.stores.postgres.writes.locked_documents import conflict
from proxy.stores.postgres.writes.part_sequence import PartRules, PartSequence, RefusedError
from proxy.stores.postgres.writes.properties import Properties

_ATTEMPTS: Final = 10  # of a write that meets others, before it is a conflict
_CONCURRENT: Final = 4  # large writes of a process; further ones wait, with their bodies on disk
_IN_MEMORY: Final = 1 << 20  # bytes of an answer; a longer one is a stream
_BEFORE_BODY: Final = frozenset({11, 1004, 1203, 1652})  # numbers: an import checks its collection before its body


@dataclass(frozen=True, slots=True)
class Helpers:
    """What the writer of small requests knows of collections, and does if PostgreSQL refuses a statement.

    properties_of: those that were last seen. handle: returns if the write may be attempted again; its last argument:
    whether an index may be dropped that cannot hold a document. forget: what is known of a collection.
    """

    properties_of: Callable[[Session, Relation], Awaitable[Properties]]
    handle: Callable[[StatementError, Relation, bool], Awaitable[None]]
    forget: Callable[[Relation], None]


class PartwiseWriter:
    """Executes writes with large bodies. spools: where long answers wait for their clients."""

    def __init__(
        self,
        database: Database,
        catalog: Catalog,
        keys: KeyAssignment,
        helpers: Helpers,
        *,
        lock_wait: float,
        spools: SpoolSpace,
        size: PartSize,
    ) -> None:
        self._database = database
        self._catalog = catalog
        self._helpers = helpers
        self._keys = keys
        self._lock_wait = lock_wait
        self._spools = spools
        self._size = size
        self._turns = asyncio.Semaphore(_CONCURRENT)

    async def execute(self, operation: Operation, parse: Parse, within: Session | None = None) -> Outcome:
        """Return the answer, after the commit. parse: parses a small request of its kind. within: the session of a
        stream transaction, of which the write becomes a part.

        Raise ArangoError, WriteFenceError, DatabaseError: nothing was written, unless it is CommitOutcomeUnknown.
        """
        try:
            return await self._execute(operation, parse, within)
        except ArangoError as error:
            raise await self.first_error(operation, parse, error) from error

    async def first_error(self, operation: Operation, parse: Parse, error: ArangoError) -> ArangoError:
        """Return the error that a request gets: that of a misplaced one, of a malformed body, or else the given one."""
        try:
            check_target(operation, parse)
        except ArangoError as misplaced:
            return misplaced
        if error.number in _BEFORE_BODY and is_import(operation):
            return error
        return await fault_of(operation, self._size) or error

    async def _execute(self, operation: Operation, parse: Parse, within: Session | None) -> Outcome:
        leaves_out = False
        async with self._turns:
            for _ in range(_ATTEMPTS):
                relation = await self._catalog.find(operation.qualified or "")
                try:
                    return await self._attempt(relation, operation, parse, within, leaves_out=leaves_out)
                except CollectionChangedError:
                    self._helpers.forget(relation)
                except StatementError as error:
                    leaves_out = await self._must_leave_out(error, relation, within) or leaves_out
                except DatabaseUnavailable as error:
                    if (
                        isinstance(error, CommitOutcomeUnknown)
                        or within
                        or not may_succeed_on_new_session(error.sqlstate)
                    ):
                        raise
        raise conflict("", "")

    async def _must_leave_out(self, error: StatementError, relation: Relation, within: Session | None) -> bool:
        """Return True if the documents that are too large for an index must be left out: it cannot be dropped.

        Raise ArangoError, DatabaseError if the write may not be attempted again.
        """
        try:
            await self._helpers.handle(error, relation, within is None)
        except ArangoError:
            if error.sqlstate != own_indexes.TOO_LARGE:
                raise
            return True
        return False

    async def _attempt(
        self, relation: Relation, operation: Operation, parse: Parse, within: Session | None, *, leaves_out: bool
    ) -> Outcome:
        """Write all parts in one transaction. Raise as `_written`."""
        async with self._database.session() as session:
            properties = await self._helpers.properties_of(session, relation)
            if within is None:
                rules = PartRules(relation, properties, leaves_out=leaves_out)
                return await self._written(session, rules, operation, parse)
        rules = PartRules(relation, properties, leaves_out=True, inside=True)
        return await self._written(within, rules, operation, parse)

    async def _written(self, session: Session, rules: PartRules, operation: Operation, parse: Parse) -> Outcome:
        """Write all parts in one transaction of the session, or in a savepoint of the one that is open.

        A part that is refused as a whole undoes the others, but not that the collection was emptied. Raise
        CollectionChangedError, StatementError, if they met another write.
        """
        spool = self._spools.new()
        answer = ImportAnswer(spool) if is_import(operation) else ArrayAnswer(spool)
        parts = PartSequence(self._database, session, rules, self._keys, self._lock_wait)
        async with session.transaction():
            emptying = emptying_request(operation) if isinstance(answer, ImportAnswer) else None
            if emptying is not None:
                emptied = await parts.execute(emptying, await parts.prepared(emptying), empties=True)
                if emptied.status >= 400:  # documents of others stay locked
                    return emptied
            try:
                async with session.transaction():
                    await parts.write_all(self._requests(operation, parse), answer)
            except RefusedError as refused:
                fault = await fault_of(operation, self._size)
                if fault is not None:
                    raise fault from refused
                return refused.outcome
        return _outcome(answer, spool)

    def _requests(self, operation: Operation, parse: Parse) -> Iterator[Request]:
        if is_import(operation):
            return import_requests(operation, self._size)
        return array_requests(operation, parse, self._size)


async def fault_of(operation: Operation, size: PartSize) -> ArangoError | None:
    """Return the error of a malformed body, of which all is read for that."""
    return await asyncio.to_thread(body_fault, operation, size)


def _outcome(answer: ArrayAnswer | ImportAnswer, spool: Spool) -> Outcome:
    size = len(answer.head) + spool.size + len(answer.tail)
    if size <= _IN_MEMORY:
        return Outcome(answer.status, answer.head + spool.read(0, spool.size) + answer.tail, answer.headers)
    return streamed(answer.status, SpooledAnswer(spool, answer.head, answer.tail), answer.headers)
