"""AQL that writes, beside the general way: no view is made, and documents are read by the query's own fetches."""

from __future__ import annotations

import time
from typing import Any, Final

from proxy.base.database import Database, Session
from proxy.base.errors import ArangoError
from proxy.base.spool import SpoolSpace
from proxy.complete.catalog_cache import CatalogCache
from proxy.complete.query_profiles import QueryProfiles
from proxy.complete.server_view import NoMoreTicks
from proxy.devserver.store.handlers import cursors
from proxy.devserver.store.queries.execution import QueryResult
from proxy.devserver.store.state.running_query import RunningQuery
from proxy.devserver.store.state.server import ServerState
from proxy.model.cursor_requests import CursorRequest
from proxy.model.json_values import dump
from proxy.model.operations import Operation, Outcome
from proxy.stores.postgres import PostgresStore
from proxy.stores.postgres.catalog import Catalog
from proxy.stores.postgres.modifications import ModificationQueries
from proxy.stores.postgres.writes.key_assignment import KeyAssignment

_NO_COLLECTION: Final = 1203


class ModifyingQueries:
    """Executes queries, which the caller tracks."""

    def __init__(
        self,
        database: Database,
        catalogs: CatalogCache,
        keys: KeyAssignment,
        profiles: QueryProfiles,
        lock_wait: float,
        reader: PostgresStore,
        spools: SpoolSpace,
    ) -> None:
        """reader: keeps the cursors. spools: where rows wait."""
        self._reader = reader
        self._catalogs = catalogs
        self._profiles = profiles
        self._tables = Catalog(database)
        self._queries = ModificationQueries(database, self._tables, keys, lock_wait=lock_wait, spools=spools)

    async def execute(
        self,
        operation: Operation,
        server: ServerState,
        request: CursorRequest,
        session: Session | None = None,
        pauses: RunningQuery | None = None,
    ) -> Outcome:
        """Return the answer. server: who may do what.

        session: of the stream transaction that the query is a part of. pauses: of a query that sleeps. With one of them
        it may also be a query that only reads.

        Raise ArangoError, WriteFenceError, DatabaseError as `ModificationQueries.execute`.
        """
        began = time.perf_counter()
        try:
            found = await self._queries.execute(operation.database, request, session, pauses)
        except ArangoError as error:
            if error.number == _NO_COLLECTION:
                self._tables.clear()
            raise
        extra = found.extra
        if request.profile:
            seconds = time.perf_counter() - began
            number = len(found.rows if found.spooled is None else found.spooled)
            extra = await self._profiles.extended(operation.database, request, extra, number, seconds)
        if found.spooled is not None:
            return self._reader.open_cursor(operation, request, found.spooled, dump(extra))
        return await self._answer(operation, server, QueryResult(found.rows, extra), request)

    async def first_row(self, database: str, request: CursorRequest, session: Session) -> bytes | None:
        """Return the first row of a query, printed; None if there is none. Raise as `execute`."""
        found = await self._queries.execute(database, request, session)
        if found.spooled is not None:
            return found.spooled.text(0, 1) if len(found.spooled) else None
        return dump(found.rows[0]) if found.rows else None

    async def number_changed(
        self, database: str, text: str, binds: dict[str, Any], session: Session | None = None
    ) -> int:
        """Return how many documents a query has written. Raise as `execute`."""
        found = await self._queries.execute(database, CursorRequest(text, binds), session)
        return int(found.extra["stats"]["writesExecuted"])

    async def _answer(
        self, operation: Operation, server: ServerState, found: QueryResult, request: CursorRequest
    ) -> Outcome:
        """Return the first batch. The query is done: it must not run again for want of a number."""
        while True:
            try:
                return cursors.answer(server, operation, found, request)
            except NoMoreTicks:
                await self._catalogs.refill()
