"""Queries in worker processes: what may take long in time or memory, and so is not to run where clients wait.

A worker has a session of its own with PostgreSQL and runs the query whole: text, bind variables, statement or
evaluation, and the printing of its rows. The fence stands in the statements themselves (mirror-protocol, "Flip", 5), so
that it holds wherever they are sent from. What comes back are batches as bytes.

A query that a limit here ends is no answer: `OverLimit`, by name, so that the origin answers it, or its comparison is
counted as such. Where the client has given a limit of its own, it is ArangoDB's error 1500 or 32.
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
from proxy.stores.postgres.queries import Answer, Queries
from proxy.stores.postgres.read_fence import QueryLimits, ReadFenceError

T = TypeVar("T")
BODY: Final = 32 << 10  # bytes of a request that is parsed where clients wait: a millisecond or two
_LATE: Final = 2.0  # seconds behind its own limit after which an evaluation that does not look at the clock is killed
_RESULT: Final = 32 << 20  # bytes of a result: what cursors may hold
_UNDEFINED: Final = frozenset({"42P01", "3F000"})  # the table, or its schema, is gone


@dataclass(frozen=True, slots=True)
class Address:
    """Where a worker finds the documents, and what one query may fetch of them."""

    dsn: str
    limits: QueryLimits


class Executor(Protocol):
    """What a worker needs of a store."""

    async def execute(self, operation: Operation) -> Outcome: ...

    async def fenced(self, operation: Operation, generation: int) -> Outcome | None: ...


class OpenStore(Protocol):
    """Makes a store over a worker's own session."""

    def __call__(self, database: Database, *, limits: QueryLimits) -> Executor: ...


class Apart:
    """Asks the workers of one lane."""

    def __init__(self, lane: Lane, address: Address, store: OpenStore, seconds: float | None = None) -> None:
        """store: the class whose object executes reads in a worker. seconds: that one query may take, by default as
        long as an evaluation may.
        """
        self._lane = lane
        self._store = store
        self._seconds = seconds or SECONDS + _LATE
        self._address = address

    async def answer(
        self, operation: Operation, generation: int | None, *, compiled: bool, runtime: float = 0.0
    ) -> tuple[CursorRequest, Answer]:
        """What a `cursor.create` asks for (without its text and bind variables), and its answer in whole batches.

        compiled: whether one statement may do. runtime: the client's own limit in seconds, 0 for none, where it is
        known. Raises as `Queries.answer`.
        """
        seconds = min(runtime + _LATE, self._seconds) if runtime else self._seconds
        try:
            found = await self._lane.run(_answered, self._address, operation, generation, compiled, seconds=seconds)
        except IsolationError as error:
            if seconds < self._seconds and error.reason == "time":
                raise ArangoError(1500, "query killed because it exceeded its maxRuntime") from error
            raise OverLimit(f"query over the limits of evaluation ({error.reason})") from error
        if found is None:  # an exception of its own would have to be pickled
            raise ReadFenceError
        return found

    async def execute(self, operation: Operation, generation: int | None) -> Outcome:
        """The answer to another read whose request is large. Raises as `PostgresStore.execute`."""
        try:
            found = await self._lane.run(
                _executed, self._store, self._address, operation, generation, seconds=self._seconds
            )
        except IsolationError as error:
            raise OverLimit(f"a large request over the limits ({error.reason})") from error
        if found is None:
            raise ReadFenceError
        return found

    async def done(self, function: Callable[..., T], *arguments: Any, size: int) -> T:
        """A pure function of so many bytes: in a worker where they are many."""
        try:
            return await self._lane.beside(function, *arguments, size=size, seconds=self._seconds)
        except IsolationError as error:
            raise OverLimit(f"a large result over the limits ({error.reason})") from error


async def _executed(
    opened: OpenStore, address: Address, operation: Operation, generation: int | None
) -> Outcome | None:
    """In a worker. None: the fence did not hold."""
    store = opened(await worker_database(address), limits=address.limits)
    return await (store.execute(operation) if generation is None else store.fenced(operation, generation))


async def _answered(
    address: Address, operation: Operation, generation: int | None, *, compiled: bool
) -> tuple[CursorRequest, Answer] | None:
    """In a worker. None: the fence did not hold."""
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
    return replace(request, query="", bind_vars={}), Answer(batches, answer.extra, total=len(rows))


_opened: dict[str, Database] = {}
_kept: dict[Address, Queries] = {}


async def worker_database(address: Address) -> Database:
    """Of this worker: with one session, which is opened when it is needed."""
    found = _opened.get(address.dsn)
    if found is None:
        found = _opened[address.dsn] = await Database.open(
            address.dsn,
            size=1,
            application="crossfade worker",
            reset=False,
            timeout=SECONDS + _LATE,
            limit=SECONDS,  # a worker that is killed leaves its statement behind
        )
    for _ in range(2):  # a session that PostgreSQL has ended meanwhile is seen to be
        await asyncio.sleep(0)
    return found


async def _queries(address: Address) -> Queries:
    database = await worker_database(address)
    found = _kept.get(address)
    if found is None:
        found = _kept[address] = Queries(database, Catalog(database), address.limits)
    return found
