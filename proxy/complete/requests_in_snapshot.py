"""Simple requests within a stream transaction, over its snapshot: a view would load all that they touch.

They are carried out as outside of a transaction. Those that may have an error are left to a view, which finds it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from proxy.base.database import Session
from proxy.base.errors import ArangoError
from proxy.base.spool import SpoolSpace
from proxy.complete.modifying_queries import ModifyingQueries
from proxy.devserver.store.handlers.simple import has_index
from proxy.devserver.store.state.collection import Collection
from proxy.devserver.store.state.server import ServerState
from proxy.model.cursor_requests import request_of
from proxy.model.documents import valid_key
from proxy.model.endpoint import Family, Read
from proxy.model.operations import Operation, Outcome
from proxy.stores.postgres import answers, simple
from proxy.stores.postgres.spooled_answers import MANY, edges_answer, lookup, read_many

_FIRST: Final = {"simple.any": simple.document_outcome, "simple.first-example": simple.first_document}
_LOOKUP: Final = "simple.lookup-by-keys"


class CollectionCheck(Protocol):
    """Returns the name of a collection that the transaction may use. Raises ArangoError."""

    def __call__(self, name: str, *, write: bool) -> str: ...


class SnapshotRequests:
    """Answers requests over the snapshot of a session. spools: where rows wait."""

    def __init__(self, queries: ModifyingQueries, spools: SpoolSpace) -> None:
        self._queries = queries
        self._spools = spools

    async def execute(
        self,
        operation: Operation,
        server: ServerState,
        session: Session,
        check: CollectionCheck,
        relation_of: Callable[[str], str],
    ) -> Outcome | None:
        """Return the answer; None if a view must find it. server: who may do what. relation_of: the table of a
        collection.

        Raise DatabaseError.
        """
        endpoint = operation.endpoint
        try:
            if simple.CHANGES.get(endpoint.name) is not None:
                return await self._changed(operation, session, check)
            if endpoint.name == simple.REMOVAL_BY_KEYS:
                return await self._removed(operation, session, check)
            if endpoint.family is Family.EDGES or endpoint.read is Read.MANY:
                name = check(operation.collection or "", write=False)
                return await self._listed(operation, server.database(operation).find(name), session, relation_of(name))
            if endpoint.family is Family.SIMPLE and endpoint.read is Read.QUERY_LIKE:
                body = simple.body_of(operation)
                name = check(simple.collection_of(body), write=False)
                if endpoint.name == _LOOKUP:
                    return await self._looked_up(simple.keys_of(body), session, relation_of(name))
                if not endpoint.needs_index or has_index(server, operation, body):
                    return await self._queried(operation, server, session)
        except ArangoError:
            pass
        return None

    async def _changed(self, operation: Operation, session: Session, check: CollectionCheck) -> Outcome | None:
        query = simple.change_of(operation)
        if query is None:
            return None
        check(simple.collection_of(simple.body_of(operation)), write=True)
        number = await self._queries.number_changed(operation.database, *query, session)
        return simple.changed_outcome(operation, number)

    async def _removed(self, operation: Operation, session: Session, check: CollectionCheck) -> Outcome | None:
        query, number = simple.removal_of(operation)
        if number <= MANY:
            return None
        check(query[1]["@c"], write=True)
        return simple.removed_outcome(await self._queries.number_changed(operation.database, *query, session), number)

    async def _listed(
        self, operation: Operation, collection: Collection, session: Session, relation: str
    ) -> Outcome | None:
        """Answer a request for the edges of vertices, or for many documents."""
        if operation.endpoint.read is Read.MANY:
            items = answers.wanted_items(operation.body)
            return await read_many(session, relation, operation, items, self._spools) if len(items) > MANY else None
        if not collection.edge:
            return None
        return await edges_answer(session, relation, simple.wanted_edges(operation), self._spools)

    async def _looked_up(self, keys: list[str], session: Session, relation: str) -> Outcome | None:
        if len(keys) <= MANY:
            return None
        return await lookup(session, relation, [key for key in keys if valid_key(key)], self._spools)

    async def _queried(self, operation: Operation, server: ServerState, session: Session) -> Outcome:
        """Answer a request by the query that is equivalent to it."""
        query = simple.as_query(operation)
        request = request_of(query.body)
        first = _FIRST.get(operation.endpoint.name)
        if first is not None:
            return first(await self._queries.first_row(operation.database, request, session))
        return await self._queries.execute(query, server, request, session)
