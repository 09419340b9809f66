"""DocumentWriter: executes operations that write documents in PostgreSQL, with ArangoDB's answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

import sql
from proxy.base.database import Database, Session
from proxy.base.errors import (
    ArangoError,
    CommitOutcomeUnknown,
    DatabaseError,
    StatementError,
    Unsupported,
)
from proxy.base.spool import SpoolSpace
from proxy.base.sqlstates import is_a_conflict, may_succeed_on_new_session, of_a_document
from proxy.model.documents import valid_key
from proxy.model.operations import Operation, Outcome
from proxy.semantics.document_writes import DocumentWriteRequest, parse_change, parse_insert, parse_remove
from proxy.semantics.encoded_document import revision_of
from proxy.semantics.imports import ImportRequest, PreparedImport, parse_import
from proxy.semantics.large_writes import PART_SIZE, PartSize, has_parts, whole
from proxy.semantics.unique_index import UniqueIndex
from proxy.semantics.write_rules import KEY_WAIT
from proxy.stores.postgres import own_indexes
from proxy.stores.postgres.catalog import Catalog, Relation, no_collection
from proxy.stores.postgres.writes.blocked_values import BlockedValues
from proxy.stores.postgres.writes.interruptions import CollectionChangedError, KeyInsertedError, WriteFenceError
from proxy.stores.postgres.writes.key_assignment import KeyAssignment, Prepared, Request
from proxy.stores.postgres.writes.locked_documents import (
    check_exclusive,
    conflict,
    index_waited_for,
    is_blocked,
    without_locked,
)
from proxy.stores.postgres.writes.partwise_writer import Helpers, PartwiseWriter
from proxy.stores.postgres.writes.properties import Properties, parse_properties
from proxy.stores.postgres.writes.refused_documents import refusal_of, refusal_of_trial, without_refused
from proxy.stores.postgres.writes.transaction import WriteTransaction, refusal
from proxy.stores.postgres.writes.write_groups import WriteGroups, Written
from proxy.wire.encode import error_outcome
from proxy.wire.velocypack import to_json

_ATTEMPTS: Final = 10  # of a write that meets others, before it is a conflict
_UNIQUE_VIOLATION: Final = "23505"
_UNDEFINED: Final = frozenset({"42P01", "3F000"})  # the table, or its schema, is gone
_PARSERS: Final[Mapping[str, Callable[[Operation], Request]]] = {
    "document.insert": parse_insert,
    "document.replace": parse_change,
    "document.update": parse_change,
    "document.replace_many": parse_change,
    "document.update_many": parse_change,
    "document.remove": parse_remove,
    "document.remove_many": parse_remove,
    "import": parse_import,
}
_GROUP_WAIT: Final = 0.02  # seconds
_KeyRules = tuple[Relation, int, dict[str, Any]]  # what the keys of a request's documents follow


@dataclass(frozen=True, slots=True)
class _Alone:
    """Instead of an answer: the write needs a transaction of its own. prepared: its document, if it has got its key."""

    prepared: Prepared | None = None
    made_by: _KeyRules | None = None


@dataclass(frozen=True, slots=True)
class _GroupMember:
    """A write of one document, with what was known of its collection."""

    relation: Relation
    properties: Properties
    operation: Operation
    request: DocumentWriteRequest


class DocumentWriter:
    """Executes writes of documents in collections whose writes PostgreSQL takes. Implements `stores.base.Store`.

    lock_wait: seconds that a write waits for a document that another one has. keys: shared with other writers.
    group_wait: seconds that a group of writes waits for a document; then each of them waits by itself.
    spools: where the long answers to large bodies wait. part_size: of the parts in which those are carried out.
    """

    def __init__(
        self,
        database: Database,
        *,
        lock_wait: float = KEY_WAIT,
        keys: KeyAssignment | None = None,
        group_wait: float = _GROUP_WAIT,
        spools: SpoolSpace | None = None,
        part_size: PartSize = PART_SIZE,
    ) -> None:
        self._lock_wait = lock_wait
        self._group_wait = group_wait
        self._database = database
        self._catalog = Catalog(database)
        self._properties: dict[str, Properties] = {}
        self._keys = keys or KeyAssignment()
        self._groups: WriteGroups[_GroupMember, Outcome | _Alone] = WriteGroups(self._run_group)
        self._partwise = PartwiseWriter(
            database,
            self._catalog,
            self._keys,
            Helpers(
                self._properties_of,
                lambda error, relation, drops: self._handle(error, relation, drops=drops),
                self._forget,
            ),
            lock_wait=lock_wait,
            spools=spools or SpoolSpace(),
            size=part_size,
        )

    @property
    def name(self) -> str:
        return "postgresql"

    async def execute(self, operation: Operation, within: Session | None = None) -> Outcome:
        """Return the answer, after the commit: an error that ArangoDB would answer is an Outcome.

        within: the session of a stream transaction (REPEATABLE READ), which the write becomes a part of.

        Raise WriteFenceError if PostgreSQL does not take the collection's writes, ExclusiveLockError, Unsupported by
        the endpoint's name; DatabaseError: nothing was written, unless it is CommitOutcomeUnknown.
        """
        if "x-arango-trx-id" in operation.headers:
            raise Unsupported("writes of stream transactions in PostgreSQL")
        if operation.headers.get("x-arango-async") in ("true", "store"):
            raise Unsupported("asynchronous writes in PostgreSQL")
        try:
            if has_parts(operation):
                return await self._partwise.execute(operation, _parser_of(operation), within)
            operation, request = parsed_write(whole(operation))
            shared = await self._in_group(operation, request) if within is None else _Alone()
            return shared if isinstance(shared, Outcome) else await self._execute(operation, request, within, shared)
        except Unsupported:
            raise
        except ArangoError as error:
            return error_outcome(error)

    async def first_error(self, operation: Operation, error: ArangoError) -> ArangoError:
        """Return the error that a request with a large body gets if it cannot be carried out because of `error`."""
        return await self._partwise.first_error(operation, _PARSERS[operation.endpoint.name], error)

    async def _in_group(self, operation: Operation, request: Request) -> Outcome | _Alone:
        """Return the answer to a write of one document, which shares a transaction with others, if it can."""
        if not isinstance(request, DocumentWriteRequest) or request.many:
            return _Alone()
        relation = await self._catalog.find(operation.qualified or "")
        properties = self._properties.get(relation.collection)
        if properties is None:
            return _Alone()
        place = relation.relation, properties.text
        return await self._groups.execute(place, _GroupMember(relation, properties, operation, request))

    async def _run_group(self, members: Sequence[_GroupMember], written: Written) -> Sequence[Outcome | _Alone]:
        """Return the answers; that each needs its own transaction if any prevents the common one."""
        relation, properties = members[0].relation, members[0].properties
        prepared: list[Prepared] = []
        try:
            async with self._database.session() as session:
                prepared = await self._keys.prepare_all(
                    session,
                    relation.collection,
                    [one.request for one in members],
                    properties,
                    edge=relation.edge,
                )
                writes = [(one.operation, write) for one, write in zip(members, prepared, strict=True)]
                transaction = WriteTransaction(session, relation, properties, self._group_wait)
                try:
                    return await transaction.execute_all(writes, written=written)
                except StatementError as error:
                    if error.sqlstate != _UNIQUE_VIOLATION:
                        raise
                transaction = WriteTransaction(session, relation, properties, self._group_wait, looks_up=True)
                return await transaction.execute_all(writes, written=written)
        except CommitOutcomeUnknown:
            raise
        except (CollectionChangedError, KeyInsertedError, WriteFenceError, DatabaseError):
            rules = _key_rules(relation, properties)
            return [_Alone(one, rules) for one in prepared] or [_Alone()] * len(members)

    async def _execute(self, operation: Operation, request: Request, within: Session | None, alone: _Alone) -> Outcome:
        """Attempt the write until it meets no other one, or has met too many."""
        prepared, made_by = alone.prepared, alone.made_by  # kept by further attempts: new numbers would leave gaps
        waited: UniqueIndex | None = None  # the index that has a value for which the write waited for too long
        looks_up = False  # the first attempt assumes that no other document has a value of a unique index
        violation: StatementError | None = None
        blocked = BlockedValues()
        for _ in range(_ATTEMPTS):
            relation = await self._catalog.find(operation.qualified or "")
            try:
                async with self._database.session() as session:
                    properties = await self._properties_of(session, relation)
                    if prepared is None or made_by != _key_rules(relation, properties):
                        prepared = await self._prepared(session, relation, request, properties, within)
                        made_by = _key_rules(relation, properties)
                    transaction = WriteTransaction(
                        within or session,
                        relation,
                        properties,
                        self._lock_wait,
                        looks_up=looks_up,
                        inside=within is not None,
                        blocked=blocked,
                    )
                    empties = isinstance(request, ImportRequest) and request.empties
                    return await transaction.execute(operation, prepared, empties=empties)
            except CollectionChangedError:
                self._forget(relation)
            except KeyInsertedError:
                continue
            except DatabaseError as error:
                if is_blocked(error, inside=within is not None, looked_up=looks_up):
                    waited = index_waited_for(error, properties.uniques)
                    apart = await self._without_locked(relation, prepared, within)
                    if apart is None and not await self._finds_blocked(blocked, within):
                        break
                    prepared = apart or prepared
                elif isinstance(error, StatementError):
                    violation = error if error.sqlstate == _UNIQUE_VIOLATION else None
                    if violation is None:
                        prepared = await self._again(error, operation, relation, prepared, within)
                    looks_up = looks_up or violation is not None
                elif (
                    isinstance(error, CommitOutcomeUnknown) or within or not may_succeed_on_new_session(error.sqlstate)
                ):
                    raise
        if violation and not within:  # of an index that the properties do not have: under construction, of SQL clients
            raise ArangoError(1210, f"unique constraint violated - {violation}")
        return await self._locked(operation, relation, prepared, waited)

    async def _prepared(
        self,
        session: Session,
        relation: Relation,
        request: Request,
        properties: Properties,
        within: Session | None,
    ) -> Prepared:
        """Return the request with the keys of its documents.

        Raise ArangoError, WriteFenceError, CollectionChangedError, ExclusiveLockError, DatabaseError.
        """
        try:
            return await self._keys.prepare(session, relation.collection, request, properties, edge=relation.edge)
        except ArangoError:
            if await session.fetchrow(sql.collections.FIND, relation.collection) is None:  # its first error
                self._forget(relation)
                raise no_collection(relation.name) from None
            if isinstance(request, ImportRequest):  # it waits for the collection before it reads its body
                await check_exclusive(within or session, [relation])
            raise

    async def _without_locked(
        self, relation: Relation, prepared: Prepared | None, within: Session | None
    ) -> Prepared | None:
        """Return the write without its locked documents; None if none is found. Raise ExclusiveLockError."""
        if within is None:
            await check_exclusive(self._database, [relation])
        async with self._database.session() as session:
            return await without_locked(within or session, relation.relation, prepared)

    async def _finds_blocked(self, blocked: BlockedValues, within: Session | None) -> bool:
        """Return True if the write can be repeated, knowing now which values of unique indexes are blocked."""
        async with self._database.session() as session:
            return await blocked.find(within or session)

    async def _locked(
        self, operation: Operation, relation: Relation, prepared: Prepared | None, waited: UniqueIndex | None
    ) -> Outcome:
        """Return the answer to a write whose documents, or values of an index, other transactions had for too long."""
        key = operation.key or (min(prepared.keys, default="") if prepared is not None else "")
        row = await self._database.fetchrow(sql.store.READ.on(relation.relation), key if valid_key(key) else "", None)
        rev = revision_of(row.raw.encode()) if row is not None and row.raw is not None else ""
        return refusal(operation, conflict(key, rev, waited))

    async def _properties_of(self, session: Session, relation: Relation) -> Properties:
        """Return the properties that were last seen: the fence compares them with the present ones."""
        known = self._properties.get(relation.collection)
        if known is None:
            text = await session.fetchrow(sql.writes.PROPERTIES, relation.collection)
            known = self._properties[relation.collection] = parse_properties(text or "{}")
        return known

    async def _again(
        self,
        error: StatementError,
        operation: Operation,
        relation: Relation,
        prepared: Prepared | None,
        within: Session | None,
    ) -> Prepared | None:
        """Return the write to attempt again, without the documents that PostgreSQL cannot hold. Raise as `_handle`."""
        try:
            await self._handle(error, relation, drops=within is None)
        except ArangoError:
            apart = await without_refused(prepared, lambda trial: self._refusal(operation, relation, trial, within))
            if apart is None:
                raise
            return apart
        return prepared

    async def _refusal(
        self,
        operation: Operation,
        relation: Relation,
        trial: Prepared,
        within: Session | None,
    ) -> StatementError | None:
        """Execute a write without effect. Return PostgreSQL's refusal of a document, if there is one."""
        empties = isinstance(trial, PreparedImport) and trial.empties
        async with self._database.session() as session:
            properties, used = await self._properties_of(session, relation), within or session
            transaction = WriteTransaction(used, relation, properties, self._lock_wait, looks_up=True)
            return await refusal_of_trial(used, transaction, operation, trial, empties=empties)

    async def _handle(self, error: StatementError, relation: Relation, *, drops: bool) -> None:
        """Return if the write may be attempted again. Raise ArangoError if PostgreSQL cannot hold a document.

        drops: an index that cannot hold it is dropped, which would wait for a stream transaction of this very write.
        """
        if is_a_conflict(error.sqlstate):
            return
        if error.sqlstate in _UNDEFINED:
            self._forget(relation)
            return
        too_large = drops and error.sqlstate == own_indexes.TOO_LARGE
        if too_large and await own_indexes.drop_too_small(self._database, [relation.relation], error):
            return
        if of_a_document(error.sqlstate):
            raise refusal_of(error) from error
        raise error

    def _forget(self, relation: Relation) -> None:
        """Forget what is known of a collection, which may be another one of that name."""
        self._catalog.clear()
        self._properties.pop(relation.collection, None)
        self._keys.forget(relation.collection)


def _key_rules(relation: Relation, properties: Properties) -> _KeyRules:
    return relation, properties.number, properties.key_options


def parsed_write(operation: Operation) -> tuple[Operation, Request]:
    """Return a write with a body of JSON, and what it requests.

    Raise ArangoError 600, 1227 and others of the request itself, Unsupported by the endpoint's name.
    """
    parse = _parser_of(operation)
    if "velocypack" in operation.headers.get("content-type", ""):
        operation = msgspec.structs.replace(operation, body=to_json(operation.body) if operation.body else b"")
    return operation, parse(operation)


def _parser_of(operation: Operation) -> Callable[[Operation], Request]:
    """Return what parses the request. Raise Unsupported by the endpoint's name."""
    parse = _PARSERS.get(operation.endpoint.name)
    if parse is None:
        raise Unsupported(f"{operation.endpoint.name} as a write of PostgreSQL")
    return parse
