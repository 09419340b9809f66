"""The parts of a large write, one after the other in one transaction.

Up to three parts are in memory. While PostgreSQL writes one, the next one, whose rows are loaded already, is decided,
and the one after it is parsed:

    connection      load 2, write 1       load 3, write 2       …
    this process    decide 2, parse 3     decide 3, parse 4     …

What a part changes is known to the next one without being loaded again. A part that meets another write, or of which
PostgreSQL refuses a document, is executed by itself, as a small request is; then the sequence begins again with the
next part.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from proxy.base.database import Database, Session
from proxy.base.errors import ArangoError, DatabaseUnavailable, StatementError
from proxy.base.sqlstates import of_a_document
from proxy.model.operations import Outcome
from proxy.semantics.large_writes import ArrayAnswer, ImportAnswer
from proxy.stores.postgres import own_indexes
from proxy.stores.postgres.catalog import Relation
from proxy.stores.postgres.writes.blocked_values import BlockedValues
from proxy.stores.postgres.writes.interruptions import KeyInsertedError
from proxy.stores.postgres.writes.key_assignment import KeyAssignment, Prepared, Request
from proxy.stores.postgres.writes.locked_documents import LOCK_TIMEOUT, conflict, is_blocked, without_locked
from proxy.stores.postgres.writes.properties import Properties
from proxy.stores.postgres.writes.refused_documents import refusal_of_trial, without_refused
from proxy.stores.postgres.writes.row_changes import EncodedChanges, RowChange
from proxy.stores.postgres.writes.transaction import LoadedRows, WriteTransaction, refusal

_ATTEMPTS: Final = 10  # of a part that meets other writes, before it is a conflict
_SHORT_WAIT: Final = 0.02  # seconds for a lock within the sequence; a part by itself waits longer
_TURNS: Final = 3  # of the event loop, in which a statement with its rows gets to the socket
_UNIQUE_VIOLATION: Final = "23505"


class RefusedError(Exception):
    """The request is refused as a whole: what its parts wrote is undone."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.status)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class _Part:
    """A part with the keys of its documents."""

    request: Request
    prepared: Prepared


@dataclass(frozen=True, slots=True)
class _Decided:
    """The answer to a part, and the changes that make it true, also as they are written."""

    outcome: Outcome
    changes: Sequence[RowChange]
    encoded: EncodedChanges


@dataclass(frozen=True, slots=True)
class PartRules:
    """A collection, with the properties that were last seen, and how to write to it.

    leaves_out: documents that are too large for an index are refused; otherwise the caller drops the index first.
    inside: within a stream transaction, for whose snapshot documents stay blocked that others have changed since.
    """

    relation: Relation
    properties: Properties
    leaves_out: bool
    inside: bool = False


class PartSequence:
    """The parts of one write, in the running transaction of `session`."""

    def __init__(
        self, database: Database, session: Session, rules: PartRules, keys: KeyAssignment, lock_wait: float
    ) -> None:
        self._rules = rules
        self._database = database
        self._session = session
        self._relation = rules.relation
        self._properties = rules.properties
        self._keys = keys
        self._lock_wait = lock_wait
        self._looks_up = False  # parts assume that no other document has a value of a unique index, until one has
        self._transaction = WriteTransaction(session, rules.relation, rules.properties, min(lock_wait, _SHORT_WAIT))
        self._parts: deque[_Part] = deque()  # parsed, and not written

    async def write_all(self, requests: Iterator[Request], answer: ArrayAnswer | ImportAnswer) -> None:
        """Write the parts, and add their answers.

        Raise RefusedError for a part that is refused as a whole; CollectionChangedError, WriteFenceError,
        DatabaseError.
        """
        decided = await self._decided(await self._part(0, requests))
        while (part := await self._part(0, requests)) is not None:
            following = await self._part(1, requests)
            written = decided is not None
            if decided is not None:
                outcome = decided.outcome
                written, decided = await self._written(decided, following, requests)
            if not written:
                outcome = _accepted(await self.execute(part.request, part.prepared))
                decided = await self._decided(following)
            answer.add(outcome)
            self._parts.popleft()

    async def _written(
        self, decided: _Decided, following: _Part | None, requests: Iterator[Request]
    ) -> tuple[bool, _Decided | None]:
        """Write a part. Return whether it is written, and the decision of the next one, if it has one."""
        _accepted(decided.outcome)
        written, ahead = True, None
        try:
            async with self._session.transaction():
                loaded = None if following is None else await self._transaction.load(following.prepared)
                # both end before an error is raised: the connection must be free then
                failure, ahead = await asyncio.gather(
                    self._transaction.write(decided.encoded),
                    self._work_ahead(decided, following, loaded, requests),
                    return_exceptions=True,
                )
                if failure is not None:
                    raise failure
        except (KeyInsertedError, StatementError, DatabaseUnavailable) as error:
            if not _of_a_part(error):
                raise
            written = False
        if isinstance(ahead, BaseException):
            raise ahead
        return written, ahead if written else None

    async def _work_ahead(
        self, decided: _Decided, following: _Part | None, loaded: LoadedRows | None, requests: Iterator[Request]
    ) -> _Decided | None:
        """Decide the next part, and parse the one after it, while PostgreSQL writes."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        ahead = None
        if following is not None and loaded is not None:
            ahead = self._decide(following, loaded.after(decided.changes))
            await asyncio.sleep(0)
        await self._part(2, requests)
        return ahead

    async def _decided(self, part: _Part | None) -> _Decided | None:
        """Load and decide a part; None if it must be executed by itself, as within a stream transaction."""
        if part is None or self._looks_up or self._rules.inside:
            return None
        try:
            async with self._session.transaction():
                loaded = await self._transaction.load(part.prepared)
        except (StatementError, DatabaseUnavailable) as error:
            if not _of_a_part(error):
                raise
            return None
        return self._decide(part, loaded)

    def _decide(self, part: _Part, loaded: LoadedRows) -> _Decided | None:
        found = self._transaction.decide(part.request.operation, part.prepared, loaded)
        return None if found is None else _Decided(*found, self._transaction.encoded(found[1]))

    async def _part(self, place: int, requests: Iterator[Request]) -> _Part | None:
        """Return the part at a place among those that are not written; None if there is none."""
        while len(self._parts) <= place:
            request = next(requests, None)
            if request is None:
                return None
            self._parts.append(_Part(request, await self.prepared(request)))
        return self._parts[place]

    async def execute(self, request: Request, prepared: Prepared, *, empties: bool = False) -> Outcome:
        """Return the answer to a part, when it is written. Raise StatementError, ArangoError 1200 if it meets others
        for too long.
        """
        blocked = BlockedValues()
        for _ in range(_ATTEMPTS):
            part = WriteTransaction(
                self._session,
                self._relation,
                self._properties,
                self._lock_wait,
                looks_up=self._looks_up,
                blocked=blocked,
            )
            try:
                return await part.execute(request.operation, prepared, empties=empties)
            except KeyInsertedError:
                continue
            except (StatementError, DatabaseUnavailable) as error:
                if is_blocked(error, inside=self._rules.inside, looked_up=self._looks_up):
                    apart = await without_locked(self._session, self._relation.relation, prepared)
                    if apart is None and not await blocked.find(self._session):
                        break
                    prepared = apart or prepared
                elif isinstance(error, DatabaseUnavailable):
                    raise
                elif error.sqlstate != _UNIQUE_VIOLATION:
                    prepared = await self._without_refused(error, request, prepared)
                elif not self._looks_up:
                    self._looks_up = True
                else:  # of an index that the properties do not have
                    raise ArangoError(1210, f"unique constraint violated - {error}") from error
        return refusal(request.operation, conflict(min(prepared.keys, default=""), ""))

    async def _without_refused(self, error: StatementError, request: Request, prepared: Prepared) -> Prepared:
        """Return a part without the documents that PostgreSQL cannot hold. Raise the error if it is another one."""
        too_large = error.sqlstate == own_indexes.TOO_LARGE and not self._rules.leaves_out
        if too_large or not of_a_document(error.sqlstate):
            raise error

        async def refuses(trial: Prepared) -> StatementError | None:
            part = WriteTransaction(self._session, self._relation, self._properties, self._lock_wait, looks_up=True)
            return await refusal_of_trial(self._session, part, request.operation, trial, empties=False)

        apart = await without_refused(prepared, refuses)
        if apart is None:
            raise error
        return apart

    async def prepared(self, request: Request) -> Prepared:
        """Return the part with the keys of its documents, whose numbers are taken outside of its transaction."""
        async with self._database.session() as session:
            return await self._keys.prepare(
                session, self._relation.collection, request, self._properties, edge=self._relation.edge
            )


def _accepted(outcome: Outcome) -> Outcome:
    """Return the answer to a part. Raise RefusedError if it is refused as a whole."""
    if outcome.status >= 400:
        raise RefusedError(outcome)
    return outcome


def _of_a_part(error: Exception) -> bool:
    """Return True if the part on which an error came may succeed by itself, or without one of its documents."""
    if isinstance(error, StatementError):
        return of_a_document(error.sqlstate)
    return isinstance(error, KeyInsertedError) or getattr(error, "sqlstate", "") == LOCK_TIMEOUT
