"""ModificationQueries: executes AQL queries that write, with ArangoDB's results and errors."""

from __future__ import annotations

import contextlib
import random
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import sql
from proxy.aql.analyse import Analysis, analyse
from proxy.aql.compile import NotCompiled
from proxy.aql.compile.writes import BatchedWrite, CompiledWrite, batched_write
from proxy.base import failpoints
from proxy.base.database import Database, Session
from proxy.base.errors import (
    ArangoError,
    CommitOutcomeUnknown,
    DatabaseError,
    DatabaseUnavailable,
    StatementError,
    Unsupported,
)
from proxy.base.spool import SpooledRows, SpoolSpace
from proxy.base.sqlstates import is_a_conflict, may_succeed_on_new_session, of_a_document
from proxy.model.cursor_requests import CursorRequest
from proxy.semantics.query_writes import COMMIT_COUNT
from proxy.semantics.write_rules import KEY_WAIT
from proxy.stores.postgres import own_indexes
from proxy.stores.postgres.catalog import Catalog
from proxy.stores.postgres.compiled_queries import Statements
from proxy.stores.postgres.evaluation import options_of, parsed, warnings_of
from proxy.stores.postgres.fetching import Budget
from proxy.stores.postgres.modifications import transaction_reads
from proxy.stores.postgres.modifications.attempt import Finished, ModificationQuery, QueryAttempt
from proxy.stores.postgres.modifications.compiled_attempt import CompiledAttempt, may_compile
from proxy.stores.postgres.modifications.given_rows import (
    BoundWrite,
    NotExactError,
    PropertiesChangedError,
    Row,
    computed_rows,
    lacks_key,
)
from proxy.stores.postgres.modifications.given_writes import NO_KEY, GivenWrites
from proxy.stores.postgres.modifications.pauses import Pauses, after_pauses
from proxy.stores.postgres.modifications.prepared import Prepared, RepeatError
from proxy.stores.postgres.modifications.reserved_numbers import NumberRange, NumbersNeeded
from proxy.stores.postgres.modifications.turns import Turns
from proxy.stores.postgres.read_fence import QueryLimits
from proxy.stores.postgres.writes.interruptions import CollectionChangedError, WriteFenceError
from proxy.stores.postgres.writes.key_assignment import KeyAssignment, SeenNumber
from proxy.stores.postgres.writes.locked_documents import check_exclusive
from proxy.stores.postgres.writes.properties import parse_properties

Document = dict[str, Any]
_CONFLICTS: Final = 20  # with other transactions, after which the query is refused
_REPEATS: Final = 20  # with what an attempt lacked
_LOCK_TIMEOUT: Final = "55P03"
_UNIQUE_VIOLATION: Final = "23505"
_UNDEFINED: Final = frozenset({"42P01", "3F000"})  # the table, or its schema, is gone
_DRAWN: Final = 4096  # revisions that are drawn ahead, at most
_REMEMBERED: Final = 500  # queries whose number of new keys is remembered


@dataclass(frozen=True, slots=True)
class ModificationResult:
    """The rows of a query, and `extra` with warnings and statistics. spooled: the rows, printed, in place of `rows`."""

    rows: list[Any]
    extra: Document
    spooled: SpooledRows | None = None


class ModificationQueries:
    """Executes queries that write to collections whose writes PostgreSQL takes.

    lock_wait: seconds that a query waits for a document that another transaction has.
    """

    def __init__(
        self,
        database: Database,
        catalog: Catalog,
        keys: KeyAssignment,
        limits: QueryLimits | None = None,
        *,
        lock_wait: float = KEY_WAIT,
        spools: SpoolSpace | None = None,
    ) -> None:
        """spools: where rows wait, if nothing but PostgreSQL answers: then a query may be of any size."""
        self._spools = spools
        self._database = database
        self._catalog = catalog
        self._keys = keys
        self._limits = limits or QueryLimits()
        self._statements = Statements(database, catalog, self._limits)
        self._lock_wait = f"{int(lock_wait * 1000)}ms"
        self._turns = Turns()
        self._given = GivenWrites()
        self._made: OrderedDict[tuple[str, str], dict[str, int]] = OrderedDict()

    async def execute(
        self, database: str, request: CursorRequest, session: Session | None = None, pauses: Pauses | None = None
    ) -> ModificationResult:
        """Return the result, after the commit. session: that of a stream transaction, of which it becomes a part.
        pauses: the query's calls of SLEEP.

        Raise ArangoError as ArangoDB would answer it, Unsupported, ExclusiveLockError; WriteFenceError if PostgreSQL
        does not take the writes of a collection; DatabaseError: nothing was written, unless CommitOutcomeUnknown.
        """
        began = time.perf_counter()
        query = await self._query(database, request, pauses, inside=session is not None)
        prepared = await self._planned(query, await self._plan(query, request))
        if query.inside and not query.writes and may_compile(query, request):
            prepared.read = await transaction_reads.plan_of(self._statements, query)
        try:
            finished = await after_pauses(query.pauses, lambda: self._finished(query, prepared, session))
        except ArangoError:
            await self._settle(query, prepared, prepared.made)
            raise
        await self._settle(query, prepared, finished.numbers)
        if finished.error is not None:
            raise finished.error
        result = finished.result
        assert result is not None
        stats = result.stats.as_json(result.full_count, time.perf_counter() - began)
        stats["intermediateCommits"] = finished.commits
        extra = {"warnings": warnings_of(result.warnings), "stats": stats}
        return ModificationResult(result.rows, extra, result.spooled)

    async def _query(
        self, database: str, request: CursorRequest, pauses: Pauses | None, *, inside: bool
    ) -> ModificationQuery:
        """Return the analysed query. Raise ArangoError, Unsupported."""
        query = parsed(request.query)
        analysis = analyse(query, request.bind_vars)
        if analysis.unsupported:
            raise Unsupported(", ".join(analysis.unsupported))
        await self._require(database, analysis)
        options = replace(
            options_of(database, request, self._spools),
            no_user_functions=True,
            user="root",
            # runs of the query must write the same documents
            seed=random.getrandbits(64),
            moment=time.time_ns() // 1_000_000,
            pause=None if pauses is None else pauses.pause,
        )
        writes = tuple(sorted(analysis.writes))
        return ModificationQuery(database, query, request.bind_vars, options, writes, request.options, inside, pauses)

    async def _plan(self, query: ModificationQuery, request: CursorRequest) -> CompiledWrite | BatchedWrite | None:
        """Return the one statement of a query, or what is foreseen of one that is evaluated; None if it is nothing."""
        if not query.writes or not may_compile(query, request):
            return None
        analysis = analyse(query.query, request.bind_vars)
        plan = await self._statements.write_plan(query.database, query.query, request.bind_vars, analysis)
        given = plan.given if isinstance(plan, CompiledWrite) else None
        if query.inside and given is not None and given.change is not None:
            return batched_write(query.query, query.binds, "")  # the statement would lock what it leaves as it is
        return None if isinstance(plan, NotCompiled) else plan

    async def _planned(self, query: ModificationQuery, plan: CompiledWrite | BatchedWrite | None) -> Prepared:
        """Return what the first attempt begins with."""
        rows: Sequence[Row] = ()
        if isinstance(plan, CompiledWrite) and plan.given is not None:
            try:
                rows = await computed_rows(plan.given, query.binds, query.options)
            except NotExactError:
                plan = batched_write(query.query, query.binds, "")
        if isinstance(plan, CompiledWrite):
            inserts = plan.given is not None and plan.given.change is None
            prepared = await self._expected(query, lacks_key(rows) if inserts else 0)
            prepared.plan, prepared.rows = plan, rows
            prepared.revisions = dict.fromkeys(query.writes, min(len(rows), _DRAWN))  # if it is evaluated after all
            return prepared
        prepared = await self._expected(query, 0 if plan is None else plan.keys)
        if plan is not None:
            prepared.revisions = dict.fromkeys(query.writes, min(plan.rows, _DRAWN))
        return prepared

    async def _require(self, database: str, analysis: Analysis) -> None:
        """Raise ArangoError 1203 if a collection of the query does not exist, unless only DOCUMENT names it."""
        for name in sorted(analysis.reads | analysis.writes):
            try:
                await self._catalog.find(f"{database}/{name}")
            except ArangoError:
                if name in analysis.writes or name not in analysis.named:
                    raise

    async def _finished(self, query: ModificationQuery, prepared: Prepared, session: Session | None) -> Finished:
        """Attempt the query until it meets no other transaction, and lacks nothing. Raise PausedError."""
        conflicts = repeats = 0
        collections = [f"{query.database}/{name}" for name in query.writes]
        while True:
            try:
                if session is not None:
                    return await self._attempt(session, query, prepared)
                async with (
                    self._turns.taken(collections, query.query.text, query.binds, met=conflicts > 0) as misses_turn,
                    self._database.session() as own,
                ):
                    if misses_turn():  # after the wait for a connection
                        continue
                    return await self._attempt(own, query, prepared)
            except RepeatError as lacking:
                repeats += 1
                if repeats > _REPEATS:
                    raise conflict(query) from lacking
                await self._prepare(query, prepared, lacking)
            except (StatementError, DatabaseUnavailable) as error:
                conflicts += 1
                if session is not None and await self._finds_blocked(error, prepared, session):
                    continue
                again = prepared.looks_up and error.sqlstate == _UNIQUE_VIOLATION
                if conflicts > _CONFLICTS or (session is not None and (again or is_a_conflict(error.sqlstate))):
                    raise conflict(query) from error
                if session is None and error.sqlstate == _LOCK_TIMEOUT:
                    written = [await self._catalog.find(f"{query.database}/{name}") for name in query.writes]
                    await check_exclusive(self._database, written)
                    if await self._finds_locked(prepared):
                        continue
                if session is not None or not await self._dropped_index(error, query):
                    self._handle(error, query, prepared, inside=session is not None)

    async def _finds_blocked(self, error: DatabaseError, prepared: Prepared, session: Session) -> bool:
        """Return True if a query of a stream transaction can be repeated, knowing now which documents are blocked."""
        claimed = error.sqlstate == _UNIQUE_VIOLATION and prepared.looks_up  # since the snapshot
        if not (is_a_conflict(error.sqlstate) or error.sqlstate == _LOCK_TIMEOUT or claimed):
            return False
        if prepared.plan is not None:
            prepared.plan = None  # evaluation finds out which
            return True
        return await prepared.blocked.find_written(session)

    async def _finds_locked(self, prepared: Prepared) -> bool:
        """Return True if a query that has waited can be repeated, knowing now which documents stay locked."""
        async with self._database.session() as session, session.transaction():
            return await prepared.blocked.find_written(session)

    async def _attempt(self, session: Session, query: ModificationQuery, prepared: Prepared) -> Finished:
        if prepared.plan is not None:
            finished = await self._compiled(session, query, prepared)
            if finished is not None:
                return finished
            prepared.plan = None
        if prepared.read is not None and self._spools is not None:
            read = await transaction_reads.read(session, prepared.read, query.binds, query.options, self._spools)
            if read is not None:
                return Finished(read, None, 0, {})
            prepared.read = None
        async with session.transaction(isolation="repeatable_read"):
            attempt = QueryAttempt(
                session,
                self._catalog,
                self._limits if self._spools is None else None,
                self._lock_wait,
                query.database,
            )
            finished = await attempt.execute(query, prepared)
        failpoints.reach("write-committed")
        return finished

    async def _compiled(self, session: Session, query: ModificationQuery, prepared: Prepared) -> Finished | None:
        """Return None if the statement is not exact, or refused: then evaluation finds the answer, or the error.

        Raise RepeatError if it lacks numbers of new keys.
        """
        seconds = query.settings.get("maxRuntime")
        limit = max(0.0, float(seconds)) if isinstance(seconds, int | float) else 0.0
        given: BoundWrite | None = None
        plan, binds = prepared.plan, query.binds
        assert plan is not None
        try:
            if plan.given is not None:
                given = await self._given.bound(session, query, prepared)
                plan, binds = given.plan, given.binds
            async with session.transaction(isolation="repeatable_read"):
                attempt = CompiledAttempt(session, self._lock_wait, Budget(self._limits))
                result = await attempt.execute(query.database, plan, binds, query.options, limit, given)
        except PropertiesChangedError:
            self._given.forget(f"{query.database}/{query.writes[0]}")
            return None
        except (NotExactError, Unsupported):
            return None
        except StatementError as error:
            if is_a_conflict(error.sqlstate):
                raise
            if given is not None and given.lacking and error.sqlstate == NO_KEY:
                raise RepeatError({}, {query.writes[0]: NumbersNeeded(given.lacking, 0)}) from error
            return None
        except DatabaseUnavailable as error:
            if error.sqlstate == _LOCK_TIMEOUT:  # perhaps two statements that lock rows in another order
                return None
            raise
        commits = 0 if query.inside else result.stats.writes_executed // COMMIT_COUNT
        numbers = {} if given is None else {query.writes[0]: given.used(attempt.inserted)}
        return Finished(result, None, commits, numbers)

    async def _dropped_index(self, error: StatementError | DatabaseUnavailable, query: ModificationQuery) -> bool:
        """Return True if an index refused a document for its size, and was dropped."""
        if not isinstance(error, StatementError) or error.sqlstate != own_indexes.TOO_LARGE:
            return False
        found = [await self._catalog.find(f"{query.database}/{name}") for name in query.writes]
        return await own_indexes.drop_too_small(self._database, [one.relation for one in found], error)

    def _handle(
        self, error: StatementError | DatabaseUnavailable, query: ModificationQuery, prepared: Prepared, *, inside: bool
    ) -> None:
        """Return if the query may be attempted again. Raise ArangoError if PostgreSQL cannot hold a document."""
        if isinstance(error, CommitOutcomeUnknown):
            raise error
        if error.sqlstate == _LOCK_TIMEOUT:
            raise conflict(query) from error
        if error.sqlstate == _UNIQUE_VIOLATION:  # again after a look-up: another transaction was faster
            prepared.looks_up = True
            return
        if is_a_conflict(error.sqlstate) or (not inside and may_succeed_on_new_session(error.sqlstate)):
            return
        if error.sqlstate in _UNDEFINED:
            self._catalog.clear()
            return
        if isinstance(error, StatementError) and of_a_document(error.sqlstate):
            raise ArangoError(10, f"PostgreSQL cannot hold the document: {error}", status=400) from error
        raise error

    # ---- the numbers of new keys, which are taken before the query's own transaction

    async def _expected(self, query: ModificationQuery, foreseen: int) -> Prepared:
        """Take as many numbers as are foreseen, or as the query made the last time."""
        prepared = Prepared()
        made = self._made.get((query.database, query.query.text), {})
        needed = {name: NumbersNeeded(foreseen or made.get(name, 0), 0) for name in query.writes}
        await self._take(query, prepared, needed)
        return prepared

    async def _prepare(self, query: ModificationQuery, prepared: Prepared, lacking: RepeatError) -> None:
        """Take what an attempt lacked."""
        for name in lacking.numbers:  # more than these are taken, together
            await self._give_back(
                query, prepared, name, prepared.numbers[name].start if name in prepared.numbers else 0
            )
        for name, keys in lacking.keys.items():
            prepared.keys[name] = prepared.keys.get(name, frozenset()) | keys
        await self._take(query, prepared, lacking.numbers)

    async def _take(self, query: ModificationQuery, prepared: Prepared, needed: Mapping[str, NumbersNeeded]) -> None:
        for name, wanted in needed.items():
            prepared.numbers[name] = await self._range(f"{query.database}/{name}", wanted)

    async def _range(self, collection: str, wanted: NumbersNeeded) -> NumberRange:
        if not (wanted.count or wanted.largest):
            number, last = self._keys.seen(collection)
            return NumberRange(last, last, last, number)
        for _ in range(_REPEATS):
            async with self._database.session() as session:
                properties = parse_properties(await session.fetchrow(sql.writes.PROPERTIES, collection) or "{}")
                with contextlib.suppress(CollectionChangedError):
                    start, end = await self._keys.reserve(
                        session, collection, properties, count=wanted.count, largest=wanted.largest
                    )
                    return NumberRange(start, end, end, properties.number)
        raise WriteFenceError

    async def _settle(
        self, query: ModificationQuery, prepared: Prepared, numbers: Mapping[str, tuple[int, int]]
    ) -> None:
        """Remember how many numbers the query made, and give back the others."""
        made = {name: count for name, (count, _) in numbers.items() if count}
        text = (query.database, query.query.text)
        if made:
            self._made[text] = made
            self._made.move_to_end(text)
            if len(self._made) > _REMEMBERED:
                self._made.popitem(last=False)
        else:
            self._made.pop(text, None)
        for name, (_, last) in numbers.items():
            await self._give_back(query, prepared, name, last)

    async def _give_back(self, query: ModificationQuery, prepared: Prepared, name: str, last: int) -> None:
        """Give the numbers after `last` back that were taken for the keys of a collection."""
        taken = prepared.numbers.get(name)
        if taken is not None and taken.start <= last < taken.end:
            with contextlib.suppress(DatabaseError):  # a gap does no harm
                async with self._database.session() as session:
                    of = SeenNumber(taken.number, taken.end)
                    await self._keys.give_back(session, f"{query.database}/{name}", of, last)


def conflict(query: ModificationQuery) -> ArangoError:
    """Return the error of a query whose documents other transactions write."""
    where = f"in index primary of type primary over '_key' of collection {query.writes[0]}" if query.writes else ""
    return ArangoError(1200, f"timeout waiting to lock key - {where}", status=409)
