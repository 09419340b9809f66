"""PostgreSQL as a store: document reads, counts and queries, as ArangoDB would answer them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import sql
from proxy.aql.analyse import Analysis, analyse
from proxy.aql.requests import Result
from proxy.base.database import Database
from proxy.base.errors import ArangoError, DatabaseUnavailable, StatementError, Unsupported
from proxy.base.spool import SpooledRows, SpoolSpace
from proxy.base.sqlstates import may_succeed_on_new_session
from proxy.isolation import Lane
from proxy.model import json_values
from proxy.model.cursor_requests import CursorRequest, request_of
from proxy.model.documents import valid_key
from proxy.model.endpoint import Family
from proxy.model.operations import Operation, Outcome
from proxy.model.own_ids import READ_CURSORS, OwnIds
from proxy.stores.postgres import answers, graphs, simple
from proxy.stores.postgres.catalog import Catalog, Relation
from proxy.stores.postgres.compiled_queries import Unfinished
from proxy.stores.postgres.cursors import TargetCursors
from proxy.stores.postgres.evaluation import parsed
from proxy.stores.postgres.queries import AnswerRows, NeedsWorker, Queries
from proxy.stores.postgres.read_fence import QueryLimits, ReadFenceError
from proxy.stores.postgres.spooled_answers import MANY, edges_answer, lookup, read_many, snapshot_of
from proxy.stores.postgres.worker_queries import BODY, Address, QueryWorkers
from proxy.wire.auth import owner_of
from proxy.wire.encode import error_outcome

_UNDEFINED: Final = frozenset({"42P01", "3F000"})  # the table, or its schema, is gone
# by the database, the request, `extra`, the number of rows so far, the seconds that the query took
ProfileExtra = Callable[[str, CursorRequest, bytes, int, float], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class _Handler:
    """The method that answers an endpoint.

    listed: the body is a list of any length, which a worker reads if long. fenced: clients may have this answer; else
    only ArangoDB can answer them.
    """

    run: Callable[[PostgresStore, Operation, int | None], Awaitable[Outcome]]
    listed: bool = False
    fenced: bool = True


class PostgresStore:
    """Executes reads on the document tables. Implements `stores.base.Store`; writes raise Unsupported."""

    def __init__(
        self,
        database: Database,
        *,
        limits: QueryLimits | None = None,
        lane: Lane | None = None,
        seconds: float | None = None,
        spools: SpoolSpace | None = None,
        profile: ProfileExtra | None = None,
        cursors: OwnIds = READ_CURSORS,
    ) -> None:
        """lane: worker processes for queries that are not light (`queries`); None: every query runs in this process,
        without a time limit. seconds: the time limit of one read in a worker. spools: where large results wait, if no
        ArangoDB answers what is over the limits: then a result may be of any size. profile: returns `extra` with the
        profile of a query that has run; None: such queries are Unsupported. cursors: their ids.
        """
        self._database = database
        self._catalog = Catalog(database)
        self._limits = limits or QueryLimits()
        self.address = Address(database.dsn, self._limits)
        self.workers = QueryWorkers(lane, self.address, PostgresStore, seconds) if lane is not None else None
        self._spools = spools
        self._queries = Queries(database, self._catalog, self._limits, spools)
        self._cursors = TargetCursors(spools=spools, ids=cursors)
        self._profile = profile

    @property
    def name(self) -> str:
        return "postgresql"

    def owns_cursor(self, operation: Operation) -> bool:
        """Return True if the operation continues a cursor of this store: no other store has it."""
        return self._cursors.owns(operation)

    async def close(self) -> None:
        """Close every open cursor."""
        await self._cursors.close()

    async def execute(self, operation: Operation) -> Outcome:
        """Return the answer, without a fence.

        Raise ArangoError for what ArangoDB would answer as an error (but a document that is not found, or not modified,
        is an Outcome), Unsupported by the endpoint's name, DatabaseError.
        """
        return await self._execute(operation, None)

    async def fenced(self, operation: Operation, generation: int) -> Outcome | None:
        """Return the answer if the fence holds for that generation; None if ArangoDB must answer.

        mirror-protocol, "Flip", 5. ArangoDB answers a count as well: its answer holds properties of the collection
        that PostgreSQL does not have. Raise as `execute`.
        """
        handler = self._HANDLERS.get(operation.endpoint.name)
        if handler is not None and not handler.fenced:
            return None
        try:
            return await self._execute(operation, generation)
        except ReadFenceError:
            return None

    async def documents(self, collection: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return documents of `database/name` by key, as printed; no fence. Raise ArangoError, DatabaseError."""
        relation = await self._catalog.find(collection)
        wanted = list({key for key in keys if valid_key(key)})
        rows = await self._database.fetch(sql.store.READ_MANY.on(relation.relation), wanted, None)
        return {key: raw.encode() for _, key, raw in rows if key is not None and raw is not None}

    def analysis(self, operation: Operation) -> Analysis:
        """Return the analysis of a `cursor.create` or of a simple read. Raise ArangoError if it is not a query."""
        request = request_of(_query_of(operation).body, operation.extent)
        return analyse(parsed(request.query), request.bind_vars)

    async def query(self, operation: Operation) -> Result:
        """Return the complete result of a `cursor.create` or a simple read, for comparison: with what its order and its
        limits leave open. Raise as `execute`.
        """
        request = request_of(_query_of(operation).body, operation.extent)
        try:
            return await self._queries.compared(operation.database, request)
        except StatementError as error:
            self._forget_tables(error)
            return await self._queries.compared(operation.database, request)

    async def unfinished(self, operation: Operation) -> tuple[Unfinished, int | None]:
        """Return the rows and fullCount from which that result is made (`Queries.unfinished`).

        Raise as `execute`, and NeedsWorker if the query is not light.
        """
        request = request_of(_query_of(operation).body, operation.extent)
        try:
            return await self._queries.unfinished(operation.database, request)
        except StatementError as error:
            self._forget_tables(error)
            return await self._queries.unfinished(operation.database, request)

    async def order_undetermined(self, operation: Operation) -> bool:
        """Return True if equal keys of a SORT that is not the last leave the result open. Raise as `query`."""
        request = request_of(_query_of(operation).body, operation.extent)
        return await self._queries.evaluation.order_undetermined(operation.database, request)

    async def _execute(self, operation: Operation, generation: int | None) -> Outcome:
        try:
            return await self._answer(operation, generation)
        except StatementError as error:
            self._forget_tables(error)
            return await self._answer(operation, generation)
        except DatabaseUnavailable as error:
            if not may_succeed_on_new_session(error.sqlstate):
                raise
            return await self._answer(operation, generation)

    def _forget_tables(self, error: StatementError) -> None:
        """Forget the tables of collections if one is gone, so that a retry looks them up; else raise the error."""
        if error.sqlstate not in _UNDEFINED:
            raise error
        self._catalog.clear()

    async def _answer(self, operation: Operation, generation: int | None) -> Outcome:
        handler = self._HANDLERS.get(operation.endpoint.name)
        if handler is None:
            name = operation.endpoint.name
            raise Unsupported(f"{name} ({operation.method} /{'/'.join(operation.path)}) on PostgreSQL")
        if handler.listed and self.workers is not None and len(operation.body) > BODY:
            return await self.workers.execute(operation, generation)
        return await handler.run(self, operation, generation)

    async def _read(self, operation: Operation, generation: int | None) -> Outcome:
        relation, key = await self._relation(operation), operation.key or ""
        # the statement runs for an invalid key as well: the fence must be tested
        text = sql.store.READ.on(relation.relation)
        row = await self._database.fetchrow(text, key if valid_key(key) else "", generation)
        if row is None or not row.holds:
            raise ReadFenceError
        if row.raw is None:
            return error_outcome(ArangoError(1202))
        return answers.document_outcome(operation, row.raw.encode())

    async def _read_many(self, operation: Operation, generation: int | None) -> Outcome:
        relation = await self._relation(operation)
        items = answers.wanted_items(operation.body)
        if self._spools is not None and len(items) > MANY:
            async with snapshot_of(self._database) as session:
                return await read_many(session, relation.relation, operation, items, self._spools)
        text = sql.store.READ_MANY.on(relation.relation)
        rows = await self._database.fetch(text, answers.wanted_keys(items), generation)
        if not rows or not rows[0][0]:
            raise ReadFenceError
        found = {key: raw.encode() for _, key, raw in rows if key is not None and raw is not None}
        return answers.many_outcome(operation, items, found)

    async def _edges(self, operation: Operation, generation: int | None) -> Outcome:
        relation, wanted = await self._relation(operation), simple.wanted_edges(operation)
        if not relation.edge:
            self._catalog.clear()  # the mirror may learn only after the first write that the collection holds edges
            relation = await self._relation(operation)
            if not relation.edge:
                raise ArangoError(1218, "invalid collection type")
        text = sql.store.SCAN_AMONG.on(relation.relation)
        rows = await self._database.fetch(text, self._limits.rows + 1, generation, wanted)
        found = _documents(rows)
        if len(found) > self._limits.rows:
            raise Unsupported("result too large to be held")
        if self.workers is None:
            return simple.edges_outcome(found)
        return await self.workers.compute(simple.edges_outcome, found, size=sum(map(len, found)))

    async def _in_graph(self, operation: Operation, generation: int | None) -> Outcome:
        relation, key = await self._relation(operation), operation.key or ""
        key = key if valid_key(key) else ""
        try:
            definitions = await self._catalog.find(f"{operation.database}/{graphs.DEFINITIONS}")
        except ArangoError:  # not mirrored: only ArangoDB knows whether the graph exists; the document can be compared
            if generation is not None:
                raise ReadFenceError from None
            rows = await self._database.fetch(sql.store.READ_MANY.on(relation.relation), [key], None)
            found = _documents(rows)
            return graphs.outcome(operation, found[0] if found else None)
        text = sql.store.READ_IN_GRAPH.on(relation.relation).fill(definitions=definitions.relation)
        graph = graphs.names_of(operation)[0]
        row = await self._database.fetchrow(text, key, generation, graph if valid_key(graph) else "")
        if row is None or not row.holds:
            raise ReadFenceError
        definition, raw = (None if text is None else text.encode() for text in (row.graph, row.raw))
        try:  # an error that follows from the documents is an answer
            graphs.check_definition(operation, definition)
            return graphs.outcome(operation, raw)
        except ArangoError as error:
            return error_outcome(error)

    async def _any(self, operation: Operation, generation: int | None) -> Outcome:
        relation = await self._named(operation)
        found = _documents(await self._database.fetch(sql.store.ANY.on(relation.relation), generation))
        return simple.document_outcome(found[0] if found else None)

    async def _lookup(self, operation: Operation, generation: int | None) -> Outcome:
        relation, keys = await self._named(operation), simple.keys_of(simple.body_of(operation))
        wanted = [key for key in keys if valid_key(key)]
        if self._spools is not None and len(wanted) > MANY:
            async with snapshot_of(self._database) as session:
                return await lookup(session, relation.relation, wanted, self._spools)
        rows = await self._database.fetch(sql.store.READ_MANY.on(relation.relation), wanted, generation)
        if not rows or not rows[0][0]:
            raise ReadFenceError
        found = {key: raw.encode() for _, key, raw in rows if raw is not None}
        return simple.documents_outcome([found[key] for key in wanted if key in found])

    async def _first_example(self, operation: Operation, generation: int | None) -> Outcome:
        _, found = await self._query_answer(simple.as_query(operation), generation)
        if found.stream is not None:
            await found.stream.close()
        return simple.first_document(next(iter(found.first_rows), None))

    async def _named(self, operation: Operation) -> Relation:
        name = simple.collection_of(simple.body_of(operation))
        return await self._catalog.find(f"{operation.database}/{name}")

    async def _count(self, operation: Operation, _: int | None) -> Outcome:
        relation = await self._relation(operation)
        count = await self._database.fetchval(sql.store.COUNT.on(relation.relation))
        body = {
            "error": False,
            "code": 200,
            "type": 3 if relation.edge else 2,
            "status": 3,
            "statusString": "loaded",
            "name": relation.name,
            "isSystem": relation.name.startswith("_"),
            "count": count,
        }
        return Outcome(200, json_values.dump(body))

    async def _query(self, operation: Operation, generation: int | None) -> Outcome:
        request, found = await self._query_answer(operation, generation)
        owner = owner_of(operation.headers.get("authorization"))
        if found.spooled is not None:
            return self._cursors.open_spooled(operation.database, request, found.spooled, found.extra, owner)
        if found.stream is None:
            return self._cursors.open(operation.database, request, found.rows, found.extra, owner, total=found.total)
        total = found.stream.total or 0
        return await self._cursors.open_stream(
            operation.database, request, found.rows, found.stream, found.extra, total, owner
        )

    async def edges_by_key(self, operation: Operation) -> Outcome:
        """Return the edges of vertices in the order of keys, however many. Raise ArangoError, DatabaseError."""
        try:
            return await self._edges_by_key(operation)
        except StatementError as error:
            self._forget_tables(error)
            return await self._edges_by_key(operation)

    async def _edges_by_key(self, operation: Operation) -> Outcome:
        relation, wanted = await self._relation(operation), simple.wanted_edges(operation)
        if not relation.edge or self._spools is None:
            raise ArangoError(1218, "invalid collection type")
        async with snapshot_of(self._database) as session:
            return await edges_answer(session, relation.relation, wanted, self._spools)

    def open_cursor(self, operation: Operation, request: CursorRequest, rows: SpooledRows, extra: bytes) -> Outcome:
        """Return the first batch of rows that another part has computed; the rest waits as that of a query does."""
        owner = owner_of(operation.headers.get("authorization"))
        return self._cursors.open_spooled(operation.database, request, rows, extra, owner)

    async def _batches(self, operation: Operation, generation: int | None) -> Outcome:
        return await self._query(simple.as_query(operation), generation)

    async def _next(self, operation: Operation, _: int | None) -> Outcome:
        return await self._cursors.next(operation)

    async def _delete(self, operation: Operation, _: int | None) -> Outcome:
        return await self._cursors.delete(operation)

    async def _query_answer(self, operation: Operation, generation: int | None) -> tuple[CursorRequest, AnswerRows]:
        """Return the request of a `cursor.create` and its answer, with the profile if the client wants it."""
        began = time.perf_counter()
        request, found = await self._query_rows(operation, generation)
        if request.profile and self._profile is not None:
            rows = found.number
            asked = request_of(operation.body, operation.extent)  # a worker returns it without its text
            seconds = time.perf_counter() - began
            found = replace(found, extra=await self._profile(operation.database, asked, found.extra, rows, seconds))
        return request, found

    async def _query_rows(self, operation: Operation, generation: int | None) -> tuple[CursorRequest, AnswerRows]:
        """Return the request and its answer: computed in this process if it is light."""
        if self.workers is None:
            request = self._without_profile(request_of(operation.body, operation.extent))
            return request, await self._queries.answer(operation.database, request, generation)
        compiled, runtime = True, 0.0
        if len(operation.body) <= BODY:
            request = self._without_profile(request_of(operation.body, operation.extent))
            try:
                return request, await self._queries.answer(operation.database, request, generation, light=True)
            except NeedsWorker as heavy:
                compiled, runtime = heavy.compiled, request.max_runtime
        request, found = await self.workers.answer(operation, generation, compiled=compiled, runtime=runtime)
        return self._without_profile(request), found

    def _without_profile(self, request: CursorRequest) -> CursorRequest:
        """Return the request. Raise Unsupported if it wants a profile that only ArangoDB has: of its own plan."""
        if request.profile and self._profile is None:
            raise Unsupported("the profile of a query")
        return request

    async def _relation(self, operation: Operation) -> Relation:
        collection = operation.qualified or f"{operation.database}/{operation.params.get('collection', '')}"
        return await self._catalog.find(collection)

    _HANDLERS: ClassVar[Mapping[str, _Handler]] = {
        "document.read": _Handler(_read),
        "document.head": _Handler(_read),
        "document.read_many": _Handler(_read_many, listed=True),
        "collection.count": _Handler(_count, fenced=False),
        "cursor.create": _Handler(_query),
        "cursor.next": _Handler(_next),
        "cursor.delete": _Handler(_delete),
        "edges.read": _Handler(_edges),
        "edges.read_many": _Handler(_edges, listed=True),
        "gharial.vertex_read": _Handler(_in_graph),
        "gharial.edge_read": _Handler(_in_graph),
        "simple.all": _Handler(_batches),
        "simple.all-keys": _Handler(_batches),
        "simple.by-example": _Handler(_batches),
        "simple.range": _Handler(_batches),
        "simple.any": _Handler(_any),
        "simple.lookup-by-keys": _Handler(_lookup, listed=True),
        "simple.first-example": _Handler(_first_example, listed=True),
    }


def _query_of(operation: Operation) -> Operation:
    return simple.as_query(operation) if operation.endpoint.family is Family.SIMPLE else operation


def _documents(rows: Sequence[sql.store.HeldDocument | sql.store.HeldKeyDocument]) -> list[bytes]:
    """Return the documents of a fenced statement. Raise ReadFenceError."""
    if not rows or not rows[0][0]:
        raise ReadFenceError
    return [raw.encode() for *_, raw in rows if isinstance(raw, str)]
