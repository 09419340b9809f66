"""The endpoints of stream transactions, and the requests that are a part of one, each in its own way.

Queries are evaluated over the transaction's snapshot, document writes and imports are decided as outside of one, and
everything else is carried out over a view that is loaded by the transaction's session.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from proxy.aql.analyse import analyse
from proxy.base.errors import ArangoError, DatabaseError
from proxy.base.spool import SpoolSpace
from proxy.complete.catalog import ServerCatalog
from proxy.complete.catalog_cache import CatalogCache, CatalogChangedError
from proxy.complete.commands import COMMANDS
from proxy.complete.modifying_queries import ModifyingQueries
from proxy.complete.packed_bodies import in_json
from proxy.complete.pinned_transaction import PinnedTransaction
from proxy.complete.promotion_fence import PromotionFence
from proxy.complete.query_tracking import QueryTracking, pauses_of
from proxy.complete.requests_in_snapshot import SnapshotRequests
from proxy.complete.server_view import NoMoreTicks, ServerView
from proxy.complete.stream_transactions import StreamTransactions
from proxy.complete.view_attempt import ViewAttempts
from proxy.devserver.store import access, dispatch
from proxy.model.cursor_requests import request_of
from proxy.model.endpoint import Effect, Family, InTransaction, Read, Verb, WriteRoute
from proxy.model.operations import Operation, Outcome
from proxy.stores.postgres import PostgresStore
from proxy.stores.postgres.evaluation import parsed
from proxy.stores.postgres.writes import DocumentWriter
from proxy.stores.postgres.writes.interruptions import KeyInsertedError, WriteFenceError
from proxy.stores.postgres.writes.writer import parsed_write
from proxy.wire.encode import error_outcome

_HEADER: Final = "x-arango-trx-id"
_ATTEMPTS: Final = 5
_NO_COLLECTION: Final = 1203


def concerns_transactions(operation: Operation) -> bool:
    """Return True if the request is a part of a stream transaction, or one about them."""
    endpoint = operation.endpoint
    if endpoint.family is Family.TRANSACTION:
        return endpoint.verb is not Verb.OTHER or endpoint.effect is Effect.PASSTHROUGH  # not one of JavaScript
    if _HEADER not in operation.headers:
        return False
    reads = endpoint.read is not Read.NONE or endpoint.family in (Family.SIMPLE, Family.EDGES)
    counts = endpoint.family is Family.COLLECTION and dispatch.command_of(COMMANDS, operation).of_transaction
    return reads or counts or endpoint.in_transaction is not InTransaction.NO


def without_transaction(operation: Operation) -> Operation:
    """Return the request as one that names no transaction."""
    if not operation.headers or _HEADER not in operation.headers:
        return operation
    headers = {name: value for name, value in operation.headers.items() if name != _HEADER}
    return msgspec.structs.replace(operation, headers=headers)


class TransactionRequests:
    """Carries out requests. reader: keeps cursors. spools: where what memory does not hold waits."""

    def __init__(
        self,
        transactions: StreamTransactions,
        catalogs: CatalogCache,
        writer: DocumentWriter,
        queries: ModifyingQueries,
        tracking: QueryTracking,
        reader: PostgresStore,
        attempts: ViewAttempts,
        spools: SpoolSpace,
        fence: PromotionFence,
    ) -> None:
        self._fence = fence
        self._spools = spools
        self._transactions = transactions
        self._catalogs = catalogs
        self._writer = writer
        self._queries = queries
        self._tracking = tracking
        self._reader = reader
        self._attempts = attempts
        self._snapshot_requests = SnapshotRequests(queries, spools)

    async def execute(self, operation: Operation, state: Callable[[ServerCatalog], ServerView]) -> Outcome:
        """Return the answer; errors are outcomes too. state: makes that of a catalog, without documents.

        Raise FenceRefused, DatabaseError.
        """
        await self._transactions.notice_lost()
        catalog = await self._catalog(operation)
        server = state(catalog)
        try:
            server.database(operation)
            plain = await in_json(operation, self._spools)
            if operation.endpoint.family is Family.TRANSACTION:
                return await self._about(plain, server, catalog)
            outcome = await self._transactions.within(plain, server, self._work(plain, server, catalog))
        except ArangoError as error:
            if operation.endpoint.verb is Verb.BEGIN:  # nothing has begun
                await self._fence.after_refusal(operation)
            return error_outcome(error)
        return dispatch.as_dirty_read(operation, dispatch.command_of(COMMANDS, operation), outcome)

    async def _catalog(self, operation: Operation) -> ServerCatalog:
        """Return the catalog: the last one if PostgreSQL does not answer, to name the transaction that is lost."""
        try:
            return await self._catalogs.current()
        except DatabaseError:
            known, about = self._catalogs.last_seen, operation.endpoint.family is Family.TRANSACTION
            if known is None or (about and not self._transactions.is_local(operation)):
                raise
            return known

    async def _about(self, operation: Operation, server: ServerView, catalog: ServerCatalog) -> Outcome:
        """Begin, end or show transactions. Raise ArangoError, DatabaseError."""
        verb = operation.endpoint.verb
        if verb is Verb.BEGIN:
            if self._catalogs.ticks.left == 0:
                await self._catalogs.refill()
            return await self._transactions.begin(operation, server, catalog)
        if verb in (Verb.COMMIT, Verb.ABORT):
            return await self._transactions.end(operation, server)
        self._transactions.bind(server)
        return dispatch.command_of(COMMANDS, operation).run(server, operation)

    def _work(
        self, operation: Operation, server: ServerView, catalog: ServerCatalog
    ) -> Callable[[PinnedTransaction], Awaitable[Outcome]]:
        if operation.endpoint.read is Read.QUERY:
            return lambda transaction: self._query(transaction, operation, server)
        if operation.endpoint.write_route in (WriteRoute.DOCUMENT, WriteRoute.IMPORT):
            return lambda transaction: self._write(transaction, operation, server)
        if self._reader.owns_cursor(operation):
            return lambda _: self._reader.execute(without_transaction(operation))
        return lambda transaction: self._in_snapshot(transaction, operation, server, catalog)

    async def _in_snapshot(
        self, transaction: PinnedTransaction, operation: Operation, server: ServerView, catalog: ServerCatalog
    ) -> Outcome:
        """Carry the request out over the transaction's snapshot, or else over a view."""
        stored = catalog.collections.get(operation.database, {})
        async with transaction.session.transaction():  # a savepoint
            outcome = await self._snapshot_requests.execute(
                without_transaction(operation),
                server,
                transaction.session,
                functools.partial(self._check, server, operation, transaction),
                lambda name: stored[name].relation,
            )
        if outcome is None:
            return await self._view(transaction, operation)
        transaction.written += len(operation.body)
        return outcome

    async def _query(self, transaction: PinnedTransaction, operation: Operation, server: ServerView) -> Outcome:
        request = request_of(operation.body)
        plain = without_transaction(operation)
        async with self._tracking.running(server, plain, request) as running:
            query = parsed(request.query)
            analysis = analyse(query, request.bind_vars)
            running.modifies = analysis.modifies
            for name in sorted(analysis.reads | analysis.writes):
                try:
                    self._check(server, operation, transaction, name, write=name in analysis.writes)
                except ArangoError as refused:
                    if refused.number != _NO_COLLECTION or name not in analysis.named:
                        raise
            pauses = pauses_of(running, request, query)
            outcome = await self._queries.execute(plain, server, request, transaction.session, pauses)
        if analysis.modifies:
            transaction.written += len(operation.body)
        return outcome

    async def _write(self, transaction: PinnedTransaction, operation: Operation, server: ServerView) -> Outcome:
        body = operation.large
        if body is None:
            parsed_write(operation)  # a body that cannot be read is refused before its collection
        try:
            name = self._check(server, operation, transaction, operation.collection or "", write=True)
        except ArangoError as error:
            raise (error if body is None else await self._writer.first_error(operation, error)) from error
        changed = msgspec.structs.replace(without_transaction(operation), collection=name)
        outcome = await self._writer.execute(changed, transaction.session)
        transaction.written += len(operation.body) if body is None else body.size
        return outcome

    def _check(
        self, server: ServerView, operation: Operation, transaction: PinnedTransaction, name: str, *, write: bool
    ) -> str:
        """Return the name of a collection. Raise ArangoError 1203, 1652, and 11 if the user may not use it."""
        found = server.database(operation).find(name).name
        if server.accounts.limited:
            access.collection(server, operation, found, write=write)
        transaction.bound(server.database(operation), server.wake).check_declared(found, write=write)
        return found

    async def _view(self, transaction: PinnedTransaction, operation: Operation) -> Outcome:
        """Carry the request out over a view."""
        command = dispatch.command_of(COMMANDS, operation)

        def run(view: ServerView) -> Outcome:
            self._transactions.bind(view)
            return dispatch.refusal(view, operation, command) or dispatch.answer(view, operation, command)

        for _ in range(_ATTEMPTS):
            attempt = await self._attempts.begin(run, inside=True)
            try:
                async with transaction.session.transaction():
                    outcome = await attempt.execute(transaction.session)
            except NoMoreTicks:
                await self._catalogs.refill()
            except (CatalogChangedError, WriteFenceError, KeyInsertedError):
                continue
            else:
                transaction.written += len(operation.body)
                return outcome
        raise ArangoError(1200, "write-write conflict", status=409)
