"""AQL that writes, beside the general way: no view is made, and documents are read by the query's own fetches."""

from __future__ import annotations

from typing import Final

from proxy.base.database import Database, Session
from proxy.base.errors import ArangoError
from proxy.complete.catalog_cache import CatalogCache
from proxy.complete.server_view import NoMoreTicks
from proxy.devserver.store import access
from proxy.devserver.store.handlers import cursors
from proxy.devserver.store.queries import slow_queries
from proxy.devserver.store.queries.execution import QueryResult
from proxy.devserver.store.state.running_query import RunningQuery
from proxy.devserver.store.state.server import ServerState
from proxy.model.cursor_requests import CursorRequest, request_of
from proxy.model.operations import Operation, Outcome
from proxy.stores.postgres.catalog import Catalog
from proxy.stores.postgres.modifications import ModificationQueries
from proxy.stores.postgres.writes.key_assignment import KeyAssignment

_NO_COLLECTION: Final = 1203


class ModifyingQueries:
    """Executes queries. sessions: the state of this process, which keeps the cursors and the slow queries."""

    def __init__(
        self, database: Database, catalogs: CatalogCache, sessions: ServerState, keys: KeyAssignment, lock_wait: float
    ) -> None:
        self._catalogs = catalogs
        self._sessions = sessions
        self._tables = Catalog(database)
        self._queries = ModificationQueries(database, self._tables, keys, lock_wait=lock_wait)

    async def execute(
        self, operation: Operation, server: ServerState, session: Session | None = None, *, modifies: bool = True
    ) -> Outcome | None:
        """Return the answer; None if the general way must find it. server: who may do what.

        session: of the stream transaction that the query is a part of, in which it may also be one that only reads.
        Raise ArangoError, WriteFenceError, DatabaseError as `ModificationQueries.execute`.
        """
        request = request_of(operation.body)
        if request.profile:
            return None  # the plan shows indexes, which a view has
        ended, code = self._running(operation, server, request), 0
        ended.modifies = modifies
        try:
            found = await self._queries.execute(operation.database, request, session)
        except ArangoError as error:
            code = error.number
            if code == _NO_COLLECTION:
                self._tables.clear()
            raise
        finally:
            seconds = max(0.0, self._sessions.now() - ended.began)
            slow_queries.remember(self._sessions, ended, seconds, code=code, streaming=request.streaming)
        return await self._answer(operation, server, QueryResult(found.rows, found.extra), request)

    def _running(self, operation: Operation, server: ServerState, request: CursorRequest) -> RunningQuery:
        user, number = access.identity(server, operation).user, str(self._sessions.tick())
        began = self._sessions.now()
        return RunningQuery(number, operation.database, request.query, request.bind_vars, began, user=user)

    async def _answer(
        self, operation: Operation, server: ServerState, found: QueryResult, request: CursorRequest
    ) -> Outcome:
        """Return the first batch. The query is done: it must not run again for want of a number."""
        while True:
            try:
                return cursors.answer(server, operation, found, request)
            except NoMoreTicks:
                await self._catalogs.refill()
