"""Operations that need no view: writes of documents, and reads, each with as few statements as possible.

They know the catalog of the last request only; what they do not find is left to the general way, which reads it again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from proxy.aql.analyse import analyse
from proxy.base.errors import ArangoError, FenceRefused, Unsupported
from proxy.complete.catalog import ServerCatalog
from proxy.complete.modifying_queries import ModifyingQueries
from proxy.complete.promotion_fence import PromotionFence
from proxy.complete.query_tracking import LeftToGeneralWay, QueryTracking, pauses_of
from proxy.devserver.store import access
from proxy.devserver.store.dispatch import with_json
from proxy.devserver.store.handlers.simple import has_index
from proxy.devserver.store.state.collection import EDGES
from proxy.devserver.store.state.server import ServerState
from proxy.model.cursor_requests import request_of
from proxy.model.endpoint import Family, Read, WriteRoute
from proxy.model.operations import Operation, Outcome
from proxy.stores.postgres import PostgresStore, simple
from proxy.stores.postgres.evaluation import parsed
from proxy.stores.postgres.read_fence import BeyondExtentError
from proxy.stores.postgres.spooled_answers import MANY
from proxy.stores.postgres.writes import DocumentWriter
from proxy.stores.postgres.writes.interruptions import WriteFenceError
from proxy.wire.encode import error_outcome

_WRITES: Final = (WriteRoute.DOCUMENT, WriteRoute.IMPORT)
_READS: Final = (Read.DOCUMENT, Read.HEAD, Read.MANY)
_NO_COLLECTION: Final = 1203
_BEYOND: Final = "a query of promoted collections that reads another one ({collection}): promote them together"
_Way = Callable[[Operation, ServerState], Awaitable[Outcome | None]]


class FastWays:
    """Document writes, reads of documents, and queries, beside the general way."""

    def __init__(
        self,
        writer: DocumentWriter,
        reader: PostgresStore,
        modifying: ModifyingQueries,
        tracking: QueryTracking,
        fence: PromotionFence,
    ) -> None:
        self._fence = fence
        self._writer = writer
        self._reader = reader
        self._modifying = modifying
        self._tracking = tracking

    async def close(self) -> None:
        """Close the cursors."""
        await self._reader.close()

    async def execute(self, operation: Operation, catalog: ServerCatalog, server: ServerState) -> Outcome | None:
        """Return the answer; None if the general way must find it. server: who may do what.

        Raise FenceRefused, DatabaseError.
        """
        run = self._way_of(operation)
        if run is None or operation.database not in catalog.databases:
            return None
        try:
            return await run(operation, server)
        except WriteFenceError:
            await self._fence.after_refusal(operation)
            return None
        except ArangoError as error:
            return None if error.number == _NO_COLLECTION else error_outcome(error)

    def _way_of(self, operation: Operation) -> _Way | None:
        endpoint = operation.endpoint
        if endpoint.write_route in _WRITES:
            return self._write
        if endpoint.read in _READS:
            return self._read
        if endpoint.read is Read.QUERY:
            return self._query
        if simple.CHANGES.get(endpoint.name) is not None:
            return self._changed_by_example
        if endpoint.name == simple.REMOVAL_BY_KEYS:
            return self._removed_by_keys
        if endpoint.family is Family.EDGES:
            return self._edges
        if endpoint.family is Family.SIMPLE and endpoint.needs_index:
            return self._range
        if endpoint.read is Read.QUERY_LIKE and endpoint.family is Family.SIMPLE and not endpoint.needs_index:
            return self._simple
        return self._cursor if self._reader.owns_cursor(operation) else None

    async def _write(self, operation: Operation, server: ServerState) -> Outcome | None:
        if not _allowed(server, operation, operation.collection or "", write=True):
            return None
        outcome = await self._writer.execute(operation)
        return None if _names_no_collection(outcome) else outcome

    async def _read(self, operation: Operation, server: ServerState) -> Outcome | None:
        if not _allowed(server, operation, operation.collection or "", write=False):
            return None
        plain = with_json(operation)
        if operation.fence is None:
            return await self._reader.execute(plain)
        found = await self._reader.fenced(plain, -1 - operation.fence.generation)
        if found is None:
            raise FenceRefused("the stages have changed")
        return found

    async def _query(self, operation: Operation, server: ServerState) -> Outcome | None:
        plain = with_json(operation)
        request = request_of(plain.body)
        try:
            async with self._tracking.running(server, plain, request) as running:
                query = parsed(request.query)
                analysis = analyse(query, request.bind_vars)
                running.modifies = analysis.modifies
                may_read = analysis.reads
                if analysis.dynamic:
                    may_read |= frozenset(server.database(plain).collections)
                    plain = msgspec.structs.replace(plain, extent=may_read)
                allowed = all(_allowed(server, plain, name, write=False) for name in may_read) and all(
                    _allowed(server, plain, name, write=True) for name in analysis.writes
                )
                pauses = pauses_of(running, request, query)
                if not allowed:
                    raise LeftToGeneralWay
                try:
                    if analysis.modifies or pauses:
                        return await self._modifying.execute(plain, server, request, None, pauses)
                    return await self._reader.execute(plain)
                except WriteFenceError:
                    await self._fence.after_refusal(operation)
                    raise LeftToGeneralWay from None
                except BeyondExtentError as beyond:
                    if operation.fence is not None:
                        raise Unsupported(_BEYOND.format(collection=beyond.collection)) from None
                    raise LeftToGeneralWay from None
                except ArangoError as error:
                    if error.number != _NO_COLLECTION:
                        raise
                    raise LeftToGeneralWay from None
        except LeftToGeneralWay:
            return None

    async def _simple(self, operation: Operation, server: ServerState) -> Outcome | None:
        """Answer a simple query if it has no error: the general way finds that."""
        plain = with_json(operation)
        try:
            if _allowed(server, plain, simple.collection_of(simple.body_of(plain)), write=False):
                return await self._reader.execute(plain)
        except ArangoError:
            pass
        return None

    async def _range(self, operation: Operation, server: ServerState) -> Outcome | None:
        """Answer a query by range if there is an index of it: the general way finds errors, and answers others."""
        try:
            if not has_index(server, operation, simple.body_of(with_json(operation))):
                return None
        except ArangoError:
            return None
        return await self._simple(operation, server)

    async def _edges(self, operation: Operation, server: ServerState) -> Outcome | None:
        """Answer a query for the edges of vertices if it has no error: the general way finds that."""
        plain = with_json(operation)
        try:
            found = server.database(plain).find(plain.collection or "")  # perhaps not the one that the reader remembers
            if found.kind == EDGES and _allowed(server, plain, found.name, write=False):
                return await self._reader.edges_by_key(plain)
        except ArangoError:
            pass
        return None

    async def _changed_by_example(self, operation: Operation, server: ServerState) -> Outcome | None:
        """Change the documents that match an example by a query, if it has no error: the general way finds that."""
        plain = with_json(operation)
        try:
            query = simple.change_of(plain)
            if query is None or not _allowed(server, plain, simple.collection_of(simple.body_of(plain)), write=True):
                return None
            number = await self._modifying.number_changed(plain.database, *query)
        except ArangoError:
            return None
        return simple.changed_outcome(operation, number)

    async def _removed_by_keys(self, operation: Operation, server: ServerState) -> Outcome | None:
        """Remove documents by many keys by a query, if it has no error: the general way finds that."""
        plain = with_json(operation)
        try:
            query, number = simple.removal_of(plain)
            if number <= MANY or not _allowed(server, plain, query[1]["@c"], write=True):
                return None
            return simple.removed_outcome(await self._modifying.number_changed(plain.database, *query), number)
        except ArangoError:
            return None

    async def _cursor(self, operation: Operation, _: ServerState) -> Outcome | None:
        return await self._reader.execute(operation)


def _allowed(server: ServerState, operation: Operation, collection: str, *, write: bool) -> bool:
    """Return True if the user may read or write the collection. Else the general way finds the first error."""
    if not server.accounts.limited:
        return True
    try:
        access.collection(server, operation, server.database(operation).find(collection).name, write=write)
    except ArangoError:
        return False
    return True


def _names_no_collection(outcome: Outcome) -> bool:
    """Return True if a collection was not found, which may have been addressed by its number."""
    return outcome.status == 404 and b'"errorNum":1203' in outcome.body
