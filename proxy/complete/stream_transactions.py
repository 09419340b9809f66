"""Stream transactions: begin, status, commit, abort, list, and the requests that are a part of one.

Each keeps a PostgreSQL session of a separate, limited pool. A transaction is known to the process that began it alone.
A request within it is carried out in a savepoint, so that its error does not end the transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

import sql
from proxy.base.database import Database
from proxy.base.errors import ArangoError, CommitOutcomeUnknown, DatabaseBusy, DatabaseError, StatementError
from proxy.base.periodic import Periodic
from proxy.base.sqlstates import is_a_conflict
from proxy.complete.catalog import ServerCatalog
from proxy.complete.pinned_transaction import PinnedTransaction
from proxy.complete.server_view import ServerView
from proxy.devserver.store import access
from proxy.devserver.store.collection_lookup import belongs, transaction_of
from proxy.devserver.store.handlers import transactions as handlers
from proxy.devserver.store.state.server import ServerState
from proxy.devserver.store.state.transaction import TransactionStatus
from proxy.model.endpoint import Verb
from proxy.model.operations import Operation, Outcome
from proxy.stores.postgres.writes.interruptions import WriteFenceError
from proxy.wire.encode import json_outcome

log = structlog.get_logger(__name__)

_KEEP_FINISHED: Final = 1000
_SWEEP: Final = 1.0  # seconds between two checks of the time limits
_CLOSING: Final = 0.05  # seconds between two checks whether who takes the writes changes, while one is open
_STATEMENT: Final = 60.0  # seconds that a statement of a transaction may take
_BEGINS: Final = 5  # attempts to begin beside others that change who takes the writes
_ABORTED: Final = 1654
_YIELDED: Final = "PostgreSQL no longer takes the writes of a collection"
Work = Callable[[PinnedTransaction], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class TransactionLimits:
    """most: transactions that are open together. idle, total: seconds. size: bytes that its requests may write."""

    most: int = 32
    idle: float = 60.0
    total: float = 600.0
    size: int = 128 << 20


class StreamTransactions:
    """The stream transactions of this process. sessions: its state, of which the time is taken."""

    def __init__(
        self, database: Database, sessions: ServerState, limits: TransactionLimits, *, yields: bool = False
    ) -> None:
        """yields: they are aborted if the writes of collections are about to be ArangoDB's again."""
        self._database = database
        self._sessions = sessions
        self._limits = limits
        self._pool: Database | None = None
        self._known: dict[str, PinnedTransaction] = {}
        self._starting = 0
        self._sweeper = Periodic(self.expire, "stream transactions", _SWEEP)
        self._closing = Periodic(self.yield_writes, "closing", _CLOSING) if yields else None

    async def close(self) -> None:
        """Abort those that are running."""
        await self._sweeper.close()
        if self._closing is not None:
            await self._closing.close()
        for transaction in self._known.values():
            if transaction.running:
                await transaction.end(TransactionStatus.ABORTED)
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    def bind(self, view: ServerState) -> None:
        """Let the handlers of a pass see the transactions."""
        view.transactions = {
            number: one.bound(view.databases[one.database], view.wake)
            for number, one in self._known.items()
            if one.database in view.databases
        }

    # ---- the endpoints of transactions

    def is_local(self, operation: Operation) -> bool:
        """Return True for a request about transactions that needs no PostgreSQL: of a lost one, or no commit."""
        verb = operation.endpoint.verb
        if verb is Verb.BEGIN:
            return False
        return verb is not Verb.COMMIT or ((known := self._known.get(operation.path[2])) is not None and known.lost)

    async def notice_lost(self) -> None:
        """Abort the transactions whose connections have ended."""
        for transaction in list(self._known.values()):
            if transaction.ended_by_server and not transaction.turn.locked():
                async with transaction.turn:
                    await self._lose(transaction)

    async def _lose(self, transaction: PinnedTransaction) -> None:
        log.warning("stream_transaction_lost", transaction=transaction.id)
        transaction.lost = True
        await self._abort(transaction)

    async def begin(self, operation: Operation, server: ServerView, catalog: ServerCatalog) -> Outcome:
        """POST /_api/transaction/begin. Raise ArangoError, LockedError, DatabaseError."""
        declared = handlers.declaration(server, operation)
        open_now = sum(one.running for one in self._known.values()) + self._starting
        if open_now >= self._limits.most:
            text = f"too many stream transactions are open ({open_now}): CROSSFADE_STREAM_TRANSACTIONS limits them"
            raise ArangoError(32, f"resource limit exceeded: {text}", status=503)
        stored = catalog.collections[operation.database]
        relations = {name: stored[name].relation for name in declared.write | declared.exclusive}
        self._starting += 1
        try:
            transaction = await self._begun(operation, server, declared, relations)
        finally:
            self._starting -= 1
        self._known[transaction.id] = transaction
        return handlers.answer(201, transaction.bound(server.database(operation), server.wake))

    async def _begun(
        self, operation: Operation, server: ServerView, declared: handlers.Declaration, relations: dict[str, str]
    ) -> PinnedTransaction:
        user = access.identity(server, operation).user
        number = server.identifier(server.ids.transactions)
        for attempt in range(1, _BEGINS + 1):
            transaction = PinnedTransaction(number, operation.database, declared, user, self._sessions.now())
            try:
                fence = () if operation.fence is None else operation.fence.collections
                await transaction.begin(await self._opened(), relations, 2 * self._limits.idle, fence)
            except (WriteFenceError, StatementError) as error:
                refused = isinstance(error, StatementError) and not is_a_conflict(error.sqlstate)
                if refused or attempt == _BEGINS:
                    raise ArangoError(1200, f"a collection cannot be written now: {error}", status=409) from error
            else:
                return transaction
        raise AssertionError

    async def _opened(self) -> Database:
        if self._pool is None:
            self._pool = await Database.open(
                self._database.dsn,
                size=self._limits.most,
                timeout=_STATEMENT,
                wait=5.0,
                application="crossfade transactions",
            )
            self._sweeper.start()
            if self._closing is not None:
                self._closing.start()
        return self._pool

    async def end(self, operation: Operation, server: ServerView) -> Outcome:
        """PUT /_api/transaction/{id}: commit; DELETE: abort, `/write` all of the database. Raise ArangoError."""
        self.bind(server)
        number = operation.path[2]
        commits = operation.method == "PUT"
        if number == "write" and not commits:
            for transaction in list(self._known.values()):
                mine = server.transactions.get(transaction.id)
                here = mine is not None and mine.database is server.database(operation)
                if here and mine and mine.writers and transaction.running and belongs(server, operation, mine):
                    await self._abort(transaction)
            return json_outcome(200, {"error": False, "code": 200})
        outcome = handlers.status(server, operation)  # raises if there is none for this user
        transaction = self._known[number]
        async with transaction.turn:
            ended = TransactionStatus.ABORTED if commits else TransactionStatus.COMMITTED
            if transaction.lost and commits:
                raise _lost(transaction)
            if transaction.status is ended:
                raise ArangoError(1653, f"transaction was already {ended.value}", status=400)
            if transaction.running:
                await (self._commit(transaction) if commits else self._abort(transaction))
        self.bind(server)
        outcome = handlers.status(server, operation)
        self._forget_old()
        return outcome

    async def _commit(self, transaction: PinnedTransaction) -> None:
        try:
            await transaction.commit()
        except CommitOutcomeUnknown as error:
            text = f"it is not known whether transaction '{transaction.id}' was committed: {error}"
            raise ArangoError(503, text, status=503) from error
        except StatementError as error:
            if is_a_conflict(error.sqlstate):
                raise ArangoError(1200, f"write-write conflict: {error}", status=409) from error
            raise
        except DatabaseError as error:
            transaction.lost = True
            raise _lost(transaction, error) from error

    async def _abort(self, transaction: PinnedTransaction) -> None:
        await transaction.end(TransactionStatus.ABORTED)

    async def abort_all(self, database: str) -> None:
        """Abort those of a database that is dropped."""
        for transaction in list(self._known.values()):
            if transaction.running and transaction.database == database:
                async with transaction.turn:
                    await self._abort(transaction)

    # ---- requests within a transaction

    async def within(self, operation: Operation, server: ServerView, work: Work) -> Outcome:
        """Carry out a request that names a transaction, in its turn. work: it makes a savepoint.

        Raise ArangoError 1655, 1654; 503 if PostgreSQL has ended the transaction; 32 if it has written too much.
        """
        self.bind(server)
        try:
            bound = transaction_of(server, operation)
        except ArangoError as error:
            named = self._known.get(operation.headers["x-arango-trx-id"])
            raise (_lost(named) if named is not None and named.lost and error.number == _ABORTED else error) from error
        assert bound is not None
        transaction = self._known[bound.id]
        async with transaction.turn:
            if transaction.lost:
                raise _lost(transaction)
            if not transaction.running:  # it was ended while this request waited
                number = _ABORTED if transaction.status is TransactionStatus.ABORTED else 1655
                raise ArangoError(number, f"transaction '{bound.id}' not found")
            transaction.used = self._sessions.now()
            large = 0 if operation.large is None else operation.large.size
            if transaction.written + large > self._limits.size:
                text = f"resource limit exceeded: a transaction writes at most {self._limits.size} bytes"
                raise ArangoError(32, text)
            try:
                outcome = await work(transaction)
            except StatementError as error:
                if is_a_conflict(error.sqlstate):
                    raise _conflict(operation) from error
                raise
            except WriteFenceError as error:
                await self._abort(transaction)
                raise ArangoError(_ABORTED, f"transaction '{bound.id}' was aborted: {_YIELDED}") from error
            except DatabaseBusy:
                raise  # another connection was needed: the transaction has its own
            except DatabaseError as error:
                if error.sqlstate == "55P03":
                    raise _conflict(operation) from error
                await self._lose(transaction)
                raise _lost(transaction, error) from error
            finally:
                transaction.used = self._sessions.now()
        return outcome

    async def yield_writes(self) -> None:
        """Abort every transaction while promoted collections are closing: a demotion waits for them."""
        running = [one for one in self._known.values() if one.running]
        if not running or not await self._database.fetchval(sql.complete.CLOSING):
            return
        for transaction in running:
            async with transaction.turn:
                if transaction.running:
                    log.info("stream_transaction_yields", transaction=transaction.id)
                    await self._abort(transaction)

    # ---- time limits

    async def expire(self) -> None:
        """Abort the transactions that are idle for too long, those that last too long, and those that are lost."""
        await self.notice_lost()
        now, limits = self._sessions.now(), self._limits
        for transaction in list(self._known.values()):
            over = now - transaction.used > limits.idle or now - transaction.began > limits.total
            if transaction.running and over and not transaction.turn.locked():
                async with transaction.turn:
                    log.info("stream_transaction_expired", transaction=transaction.id)
                    await self._abort(transaction)
        self._forget_old()

    def _forget_old(self) -> None:
        ended = [number for number, one in self._known.items() if not one.running]
        for number in ended[:-_KEEP_FINISHED]:
            del self._known[number]


def _conflict(operation: Operation) -> ArangoError:
    key = operation.key or ""
    message = f"timeout waiting to lock key - in index primary of type primary over '_key'; conflicting key: {key}"
    return ArangoError(1200, message, status=409)


def _lost(transaction: PinnedTransaction, error: DatabaseError | None = None) -> ArangoError:
    why = error or "PostgreSQL has ended its connection"
    return ArangoError(503, f"transaction '{transaction.id}' was lost: {why}", status=503)
