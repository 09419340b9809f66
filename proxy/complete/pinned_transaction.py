"""One stream transaction: a PostgreSQL session that it keeps, with an open transaction of one snapshot.

Its locks are those of PostgreSQL: a table that is declared for writing is locked against the exclusive lock of other
stream transactions, and against no other request; one that is declared exclusive is locked against every writer. They
are taken before the snapshot, which so shows what was committed while it waited.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import sql
from proxy.base import failpoints
from proxy.base.database import Database, Session
from proxy.base.errors import DatabaseUnavailable
from proxy.devserver.store.handlers.transactions import Declaration
from proxy.devserver.store.state.collection import Collection
from proxy.devserver.store.state.database import ServerDatabase
from proxy.devserver.store.state.locks import exclusive_error
from proxy.devserver.store.state.transaction import Transaction, TransactionStatus
from proxy.stores.postgres.writes.interruptions import WriteFenceError

_LOCK_TIMEOUT: Final = "55P03"
_LONGEST_WAIT: Final = 50.0  # seconds for a lock: below the time limit of a statement


class BoundTransaction(Transaction):
    """A stream transaction as the handlers see it in one pass: it checks declarations, and has no copies."""

    def collection(self, name: str, *, write: bool) -> Collection:
        """Return the collection. Raise ArangoError 1203, 1652."""
        shared = self.database.find(name)
        self.check_declared(shared.name, write=write)
        return shared

    def end(self, status: TransactionStatus) -> None:
        """Leave it as it is: its owner ends it."""


class PinnedTransaction:
    """A transaction that has begun. began, used: seconds since the epoch. written: bytes that its requests have sent.

    turn: its requests are carried out one after the other. lost: PostgreSQL has ended its connection.
    """

    def __init__(self, number: str, database: str, declared: Declaration, user: str, now: float) -> None:
        self.id = number
        self.database = database
        self.declared = declared
        self.user = user
        self.began = self.used = now
        self.written = 0
        self.status = TransactionStatus.RUNNING
        self.lost = False
        self.turn = asyncio.Lock()
        self._stack = contextlib.AsyncExitStack()
        self._session: Session | None = None

    @property
    def running(self) -> bool:
        return self.status is TransactionStatus.RUNNING

    @property
    def ended_by_server(self) -> bool:
        """Return True if it is running, and its connection has ended."""
        return self.running and self._session is not None and self._session.ended

    @property
    def session(self) -> Session:
        """The session of a running transaction."""
        assert self._session is not None
        return self._session

    def bound(self, database: ServerDatabase, released: Callable[[], None]) -> BoundTransaction:
        """Return the transaction as the handlers see it."""
        declared = self.declared
        return BoundTransaction(
            self.id,
            database,
            declared.read,
            declared.write | declared.exclusive,
            declared.exclusive,
            declared.implicit,
            self.used,
            self.user,
            released,
            self.status,
        )

    async def begin(self, pool: Database, relations: Mapping[str, str], idle: float, fence: Sequence[str] = ()) -> None:
        """Take the session, the locks and the snapshot. relations: tables by the names of the declared collections.

        idle: seconds after which PostgreSQL ends an idle session: longer than the owner's own limit. fence: collections
        (`database/name`) whose writes ArangoDB must not take. Raise LockedError, WriteFenceError, DatabaseError.
        """
        declared = self.declared
        wait = min(declared.lock_seconds, _LONGEST_WAIT)
        try:
            self._session = session = await self._stack.enter_async_context(pool.session())
            await self._stack.enter_async_context(session.transaction(isolation="repeatable_read"))
            await session.run_script(
                f"SET LOCAL lock_timeout = {int(wait * 1000)}; "
                f"SET LOCAL idle_in_transaction_session_timeout = {int(idle * 1000)}"
            )
            for name in sorted(declared.write | declared.exclusive):
                await self._lock(session, name, relations[name], wait)
            writers = sorted(f"{self.database}/{name}" for name in declared.write | declared.exclusive)
            if len(await session.fetch(sql.stream_transactions.LOCK_WRITERS, writers)) < len(writers):
                raise WriteFenceError
            if fence:
                row = await session.fetchrow(sql.complete.FENCE, list(fence))
                if row is None or not row.reads:
                    raise WriteFenceError
        except BaseException:
            await self.end(TransactionStatus.ABORTED)
            raise

    async def _lock(self, session: Session, name: str, relation: str, wait: float) -> None:
        exclusive = name in self.declared.exclusive
        lock = sql.stream_transactions.LOCK_EXCLUSIVELY if exclusive else sql.stream_transactions.LOCK_TO_WRITE
        try:
            await session.execute(lock.on(relation))
        except DatabaseUnavailable as error:
            if error.sqlstate == _LOCK_TIMEOUT:
                raise exclusive_error(name, wait) from error
            raise

    async def commit(self) -> None:
        """Commit, and give the session back. Raise DatabaseError: CommitOutcomeUnknown if the answer was lost."""
        stack, self._session = self._stack.pop_all(), None
        self.status = TransactionStatus.ABORTED  # if it fails
        failpoints.reach("stream-committing")
        await stack.aclose()
        failpoints.reach("stream-committed")
        self.status = TransactionStatus.COMMITTED

    async def end(self, status: TransactionStatus) -> None:
        """Roll back, and give the session back."""
        self.status = status
        stack, self._session = self._stack.pop_all(), None
        with contextlib.suppress(RolledBack):
            await stack.__aexit__(RolledBack, RolledBack(), None)


class RolledBack(Exception):
    """Leaves the context of a transaction that is not committed."""
