"""Queries in worker processes: those that may take much time or memory, and so must not run on the event loop.

A worker has a dedicated session with PostgreSQL and does all the work of a query: it parses the text, runs the
statement or the evaluation, and prints the rows. The fence is part of the statements (mirror-protocol, "Flip", 5), so
that it holds in whatever process they run. A worker returns batches as bytes.

A query that exceeds a limit of this module raises `OverLimit`: the origin answers it, or its comparison is counted as
over the limits. If the client set the limit, the answer is ArangoDB's error 1500 or 32.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeVar

from proxy.base.database import Database
from proxy.base.errors import ArangoError, IsolationError, OverLimit, StatementError, Unsupported
from proxy.isolation import Lane
from proxy.model.cursor_requests import CursorRequest, request_of
from proxy.model.operations import Operation, Outcome
from proxy.stores.postgres.catalog import Catalog
from proxy.stores.postgres.evaluation import SECONDS
from proxy.stores.postgres.queries import AnswerRows, Queries
from proxy.stores.postgres.read_fence import QueryLimits, ReadFenceError

T = TypeVar("T")
BODY: Final = 32 << 10  # bytes of a request that is parsed on the event loop: a millisecond or two
_LATE: Final = 2.0  # seconds after its time limit at which an evaluation that does not check the clock is killed
_RESULT: Final = 32 << 20  # bytes of a result: as much as cursors may hold
_UNDEFINED: Final = frozenset({"42P01", "3F000"})  # the table, or its schema, is gone


@dataclass(frozen=True, slots=True)
class Address:
    """The database that a worker connects to, and what one query may fetch there."""

    dsn: str
    limits: QueryLimits


class Executor(Protocol):
    """The part of a store that a worker needs."""

    async def execute(self, operation: Operation) -> Outcome: ...

    async def fenced(self, operation: Operation, generation: int) -> Outcome | None: ...


class OpenStore(Protocol):
    """The constructor of a store over the worker's session."""

    def __call__(self, database: Database, *, limits: QueryLimits) -> Executor: ...


class QueryWorkers:
    """Runs queries and other large reads in the workers of one lane."""

    def __init__(self, lane: Lane, address: Address, store: OpenStore, seconds: float | None = None) -> None:
        """store: the class whose object executes reads in a worker. seconds: the time limit of one query, by default
        that of an evaluation.
        """
        self._lane = lane
        self._store = store
        self._seconds = seconds or SECONDS + _LATE
        self._address = address

    async def answer(
        self, operation: Operation, generation: int | None, *, compiled: bool, runtime: float = 0.0
    ) -> tuple[CursorRequest, AnswerRows]:
        """Return the request of a `cursor.create`, without its text and bind variables, and its answer in batches.

        compiled: False if it is known that no single statement answers the query. runtime: the client's limit in
        seconds; 0 if there is none, or if the request was not parsed here. Raise as `Queries.answer`.
        """
        seconds = min(runtime + _LATE, self._seconds) if runtime else self._seconds
        try:
            found = await self._lane.run(_answer, self._address, operation, generation, compiled, seconds=seconds)
        except IsolationError as error:
            if seconds < self._seconds and error.reason == "time":
                raise ArangoError(1500, "query killed because it exceeded its maxRuntime") from error
            raise OverLimit(f"query over the limits of evaluation ({error.reason})") from error
        if found is None:  # a worker returns None instead of raising: an exception would have to be pickled
            raise ReadFenceError
        return found

    async def execute(self, operation: Operation, generation: int | None) -> Outcome:
        """Return the answer to another read whose request is large. Raise as `PostgresStore.execute`."""
        try:
            found = await self._lane.run(
                _execute, self._store, self._address, operation, generation, seconds=self._seconds
            )
        except IsolationError as error:
            raise OverLimit(f"a large request over the limits ({error.reason})") from error
        if found is None:
            raise ReadFenceError
        return found

    async def compute(self, function: Callable[..., T], *arguments: Any, size: int) -> T:
        """Return the result of a pure function of `size` bytes, computed in a worker if they are many."""
        try:
            return await self._lane.run_if_large(function, *arguments, size=size, seconds=self._seconds)
        except IsolationError as error:
            raise OverLimit(f"a large result over the limits ({error.reason})") from error


async def _execute(
    open_store: OpenStore, address: Address, operation: Operation, generation: int | None
) -> Outcome | None:
    """Execute a read in a worker. Return None if the fence did not hold."""
    store = open_store(await worker_database(address), limits=address.limits)
    return await (store.execute(operation) if generation is None else store.fenced(operation, generation))


async def _answer(
    address: Address,
    operation: Operation,
    generation: int | None,
    compiled: bool,  # noqa: FBT001 - the worker's calls are positional
) -> tuple[CursorRequest, AnswerRows] | None:
    """Run a query in a worker. Return None if the fence did not hold."""
    request = request_of(operation.body, operation.extent)
    store = await _queries(address)
    try:
        try:
            answer = await store.answer(operation.database, request, generation, compiled=compiled)
        except StatementError as error:
            if error.sqlstate not in _UNDEFINED:
                raise
            store.forget()
            answer = await store.answer(operation.database, request, generation, compiled=compiled)
    except ReadFenceError:
        return None
    rows = answer.rows
    if answer.stream is not None:
        try:
            rows = rows + await answer.stream.take(sys.maxsize, _RESULT)
            if not answer.stream.ended:
                raise Unsupported("a large result of a query that is not light")
        finally:
            await answer.stream.close()
    if sum(map(len, rows)) > _RESULT:
        raise ArangoError(32, "too many results wait in cursors")
    size = request.batch_size
    batches = [b",".join(rows[begin : begin + size]) for begin in range(0, len(rows), size)]
    return replace(request, query="", bind_vars={}), AnswerRows(batches, answer.extra, total=len(rows))


_databases: dict[str, Database] = {}
_queries_by_address: dict[Address, Queries] = {}


async def worker_database(address: Address) -> Database:
    """Return this worker's pool, of one session that the first statement opens."""
    found = _databases.get(address.dsn)
    if found is None:
        found = _databases[address.dsn] = await Database.open(
            address.dsn,
            size=1,
            application="crossfade worker",
            reset=False,
            timeout=SECONDS + _LATE,
            limit=SECONDS,  # PostgreSQL does not notice that a worker was killed
        )
    for _ in range(2):  # let the event loop notice that PostgreSQL has closed the session
        await asyncio.sleep(0)
    return found


async def _queries(address: Address) -> Queries:
    database = await worker_database(address)
    found = _queries_by_address.get(address)
    if found is None:
        found = _queries_by_address[address] = Queries(database, Catalog(database), address.limits)
    return found
