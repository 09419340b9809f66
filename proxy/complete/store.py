"""CompleteStore: answers every endpoint from PostgreSQL alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import sql
from proxy.base.database import Database
from proxy.base.errors import ArangoError, DatabaseError, FenceRefused
from proxy.base.periodic import Periodic
from proxy.base.spool import SpoolSpace
from proxy.complete.catalog import ServerCatalog
from proxy.complete.catalog_cache import CatalogCache
from proxy.complete.commands import COMMANDS
from proxy.complete.count_requests import CountRequests
from proxy.complete.failures import failure_outcome
from proxy.complete.fast_ways import FastWays
from proxy.complete.general_way import GeneralWay
from proxy.complete.index_builds import shows_builds, with_builds
from proxy.complete.large_writes import LargeWrites
from proxy.complete.modifying_queries import ModifyingQueries
from proxy.complete.promotion_fence import PromotionFence
from proxy.complete.query_profiles import QueryProfiles
from proxy.complete.query_tracking import QueryTracking
from proxy.complete.server_view import ServerView, view_of
from proxy.complete.stream_transactions import StreamTransactions, TransactionLimits
from proxy.complete.transaction_requests import TransactionRequests, concerns_transactions, without_transaction
from proxy.complete.view_attempt import ViewAttempts
from proxy.devserver.store import dispatch
from proxy.devserver.store.async_requests import AsyncRequests, is_asynchronous
from proxy.devserver.store.collection_lookup import LOCK_SECONDS
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.state.locks import exclusive_error
from proxy.devserver.store.state.running_query import RunningQuery, with_pauses
from proxy.devserver.store.state.server import RecordedCall, ServerState
from proxy.model.endpoint import Family, Read, Verb
from proxy.model.operations import Operation, Outcome
from proxy.model.own_ids import PROMOTED, READ_CURSORS, SessionIds
from proxy.model.revision import Clock
from proxy.semantics.large_writes import has_parts, whole
from proxy.semantics.write_rules import KEY_WAIT
from proxy.stores.postgres import PostgresStore
from proxy.stores.postgres.read_fence import QueryLimits
from proxy.stores.postgres.writes import DocumentWriter
from proxy.stores.postgres.writes.interruptions import ExclusiveLockError
from proxy.stores.postgres.writes.key_assignment import KeyAssignment
from proxy.wire.encode import error_outcome

_FIRST_PAUSE, _LAST_PAUSE = 0.01, 0.25  # seconds between two looks whether a collection is locked
_IN_STATEMENT: Final = (Read.DOCUMENT, Read.HEAD)  # of reads that test the fence themselves
_REFRESH: Final = 0.5  # seconds between two looks whether another process has changed the catalog
RIGHTS_SECONDS: Final = 1.0  # as long as ArangoDB's servers take to notice that another one has changed accounts


class CompleteStore:
    """A server of ArangoDB's API on one PostgreSQL database, beside others. Implements `stores.base.Store`.

    reads: answers reads of documents and queries; it is closed with this store. now: seconds since the epoch.
    lock_wait: seconds that a write waits for what a transaction has locked; None waits as ArangoDB does (a second for a
    document, the time of its lockTimeout for a collection). root_password: that of root in a new catalog; None:
    requests need no authentication. secret: signs tokens, here and in all other processes; None: the one that
    PostgreSQL has. transactions: limits of stream transactions. spools: where large answers wait.
    rights_seconds: how long a right is still accepted that another process has revoked. embedded: ArangoDB has other
    collections, so that each operation has a fence; the catalog has promoted collections only, and what continues from
    request to request has ids that ArangoDB never gives.
    """

    def __init__(
        self,
        database: Database,
        *,
        reads: PostgresStore | None = None,
        clock: Clock | None = None,
        now: Callable[[], float] = time.time,
        lock_wait: float | None = None,
        root_password: str | None = None,
        secret: bytes | None = None,
        transactions: TransactionLimits | None = None,
        spools: SpoolSpace | None = None,
        rights_seconds: float = RIGHTS_SECONDS,
        embedded: bool = False,
    ) -> None:
        self._rights_seconds = rights_seconds
        spools = spools or SpoolSpace()
        self._sessions = ServerState(clock or Clock(), now, ids=PROMOTED if embedded else SessionIds())
        self._collection_wait = LOCK_SECONDS if lock_wait is None else lock_wait
        lock_wait = KEY_WAIT if lock_wait is None else lock_wait
        self._catalogs = CatalogCache(
            database,
            self._sessions.clock,
            root_password=root_password or "",
            enforced=root_password is not None,
            secret=secret,
            embedded=embedded,
        )
        self._fence = fence = PromotionFence(database)
        attempts = ViewAttempts(database, self._catalogs, self._sessions, lock_wait)
        self._general = GeneralWay(database, self._catalogs, attempts, fence)
        keys, tracking, profiles = KeyAssignment(), QueryTracking(self._sessions), QueryProfiles(database)
        reader = reads or PostgresStore(
            database,
            limits=QueryLimits(no_user_functions=True),
            profile=profiles.printed,
            spools=spools,
            cursors=self._sessions.ids.cursors or READ_CURSORS,
        )
        modifying = ModifyingQueries(database, self._catalogs, keys, profiles, lock_wait, reader, spools)
        writer = DocumentWriter(database, lock_wait=lock_wait, keys=keys, spools=spools)
        self._large = LargeWrites(writer, self._catalogs, spools, fence)
        self._database = database
        self._fast = FastWays(writer, reader, modifying, tracking, fence)
        self._transactions = StreamTransactions(
            database, self._sessions, transactions or TransactionLimits(), yields=embedded
        )
        self._in_transactions = TransactionRequests(
            self._transactions, self._catalogs, writer, modifying, tracking, reader, attempts, spools, fence
        )
        self._counts = CountRequests(database, self._sessions, self._catalogs.ticks)
        self._requests = AsyncRequests()
        self._refresh = Periodic(self.refresh_catalog, "catalog", _REFRESH)
        self._catalog_state: tuple[ServerCatalog, ServerView] | None = None

    @property
    def name(self) -> str:
        return "postgresql"

    async def start(self) -> None:
        """Make the catalog if there is none yet, and adopt what came from ArangoDB. Raise DatabaseError."""
        await self._catalogs.share_secret()
        await self._catalogs.adopt()
        self._refresh.start()

    async def refresh_catalog(self) -> None:
        """Notice what other processes have changed; it happens twice a second too. Raise DatabaseError."""
        await self._catalogs.refresh()

    async def adopt(self) -> None:
        """Take in what was promoted since, and leave out what was demoted. Raise DatabaseError."""
        await self._catalogs.adopt()

    async def named(self, database: str, number: str) -> str | None:
        """Return the name of the collection with that number; None if the catalog has none. Raise DatabaseError."""
        catalog = self._catalogs.last_seen or await self._catalogs.current()
        stored = catalog.collections.get(database, {})
        return next((name for name, one in stored.items() if one.properties.id == number), None)

    async def close(self) -> None:
        """Cancel the jobs that are running, close the cursors, and abort the stream transactions."""
        await self._refresh.close()
        await self._requests.close()
        await self._fast.close()
        await self._transactions.close()

    async def execute(self, operation: Operation) -> Outcome:
        """Carry out an operation; errors are outcomes too.

        A request with `x-arango-async` is answered immediately, and continues as a job. Raise FenceRefused if the
        operation's fence does not hold: nothing was done.
        """
        try:
            outcome = await self._execute(operation)
            fence = operation.fence
            if fence is not None and _names_nothing(outcome):  # perhaps promoted since the catalog was read
                await self._catalogs.adopt()
                outcome = await self._execute(operation)
            if fence is not None and fence.only_reads and operation.endpoint.read not in _IN_STATEMENT:
                await self._fence.after_reads(operation)
            return outcome
        except DatabaseError as error:
            return failure_outcome(operation, error)

    async def _execute(self, operation: Operation) -> Outcome:
        catalog = self._catalogs.last_seen or await self._catalogs.current()
        command = dispatch.command_of(COMMANDS, operation)
        if catalog.accounts.limited:
            catalog = await self._catalogs.recent(self._rights_seconds)
            refused = dispatch.refusal(self._state(catalog), operation, command)
            if refused is not None and self._rights_seconds:  # it may be allowed since
                refused = dispatch.refusal(self._state(await self._catalogs.current()), operation, command)
            if refused is not None:
                await self._fence.after_reads(operation)
                return refused
        if is_asynchronous(operation):
            while not self._catalogs.ticks.left:  # the job needs one
                await self._catalogs.refill()
            return await self._requests.start(self._state(catalog), operation, self._job)
        return await self._carry_out(operation)

    async def _job(self, operation: Operation) -> Outcome:
        try:
            return await self._carry_out(operation)
        except FenceRefused:
            return error_outcome(ArangoError(503, "the writes of a collection are being moved: try again", status=503))
        except DatabaseError as error:
            return failure_outcome(operation, error)

    async def _carry_out(self, operation: Operation) -> Outcome:
        called = RecordedCall(self._sessions.now(), operation.method, operation.database, operation.path)
        try:
            return await self._unlocked(operation)
        finally:
            self._sessions.calls.append(called)

    async def _unlocked(self, operation: Operation) -> Outcome:
        """Answer as soon as no stream transaction keeps writers out of the collection, or the time is up."""
        until = time.monotonic() + self._collection_wait
        while True:
            try:
                return await self._answer(operation)
            except ExclusiveLockError as locked:
                if not await self._released(locked.relation, until):
                    return error_outcome(exclusive_error(locked.collection, self._collection_wait))

    async def _released(self, relation: str, until: float) -> bool:
        """Wait until the table can be written again, without a connection. Return False if the time is up."""
        pause = _FIRST_PAUSE
        while await self._database.fetchval(sql.writes.EXCLUSIVELY_LOCKED, relation):
            left = until - time.monotonic()
            if left <= 0:
                return False
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, _LAST_PAUSE)
        return True

    async def _answer(self, operation: Operation) -> Outcome:
        command = dispatch.command_of(COMMANDS, operation)
        catalog = self._catalogs.last_seen or await self._catalogs.current()
        if concerns_transactions(operation):
            return await self._in_transactions.execute(operation, self._state)
        operation = without_transaction(operation)
        if operation.large is not None:
            if has_parts(operation):
                return await self._large.execute(operation, self._state)
            operation = whole(operation)
        if operation.endpoint.family is Family.DATABASE and operation.endpoint.verb is Verb.DROP:
            await self._transactions.abort_all(operation.path[-1])
        if command.counts and (counted := await self._counts.answer(operation, command, catalog)) is not None:
            return counted
        outcome = await self._fast.execute(operation, catalog, self._state(catalog))
        if outcome is not None:
            return dispatch.as_dirty_read(operation, command, outcome)

        async def attempt(running: RunningQuery | None) -> Outcome:
            run = self._one_pass(operation, command, running)
            return await self._general.execute(operation, run, own_accounts=command.changes_accounts)

        outcome = await with_pauses(self._sessions.running, attempt)
        if shows_builds(operation, command) and outcome.status < 300:
            catalog = await self._catalogs.current()
            stored = catalog.collections.get(operation.database, {}).get(operation.params.get("collection", ""))
            return outcome if stored is None else await with_builds(self._database, stored, outcome)
        return outcome

    def _one_pass(
        self, operation: Operation, command: EndpointCommand, running: RunningQuery | None
    ) -> Callable[[ServerView], Outcome]:
        """Return what one pass does. running: the query, if it has slept before."""

        def run(view: ServerView) -> Outcome:
            view.resumed = running
            return dispatch.refusal(view, operation, command) or dispatch.answer(view, operation, command)

        return run

    def _state(self, catalog: ServerCatalog) -> ServerView:
        """Return a state without documents: for access, and for the jobs of this process."""
        if self._catalog_state is None or self._catalog_state[0] is not catalog:
            state = view_of(catalog, self._sessions, self._catalogs.ticks, {}, own_accounts=False)
            state.cursors = self._sessions.cursors
            self._catalog_state = catalog, state
        return self._catalog_state[1]


def _names_nothing(outcome: Outcome) -> bool:
    """Return True if a collection or a database was not found, so that nothing was done."""
    return outcome.status == 404 and (b'"errorNum":1203' in outcome.body or b'"errorNum":1228' in outcome.body)
