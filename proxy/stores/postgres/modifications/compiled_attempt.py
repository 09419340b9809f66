"""One attempt to execute a query that writes as one statement, in a transaction of one snapshot.

The fence's row comes first, as for every write. Revisions are drawn by the statement itself: it fails (40001) if a row
has changed since the snapshot, so that what it overwrites has lower revisions.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sql
from proxy.aql.compile import BuilderRun
from proxy.aql.compile.writes import CompiledWrite
from proxy.aql.requests import QueryOptions, Result, Stats
from proxy.base.database import Session
from proxy.base.errors import ArangoError
from proxy.base.spool import SpooledRows, SpoolSpace
from proxy.model.cursor_requests import CursorRequest
from proxy.stores.postgres.compiled_queries import size_of
from proxy.stores.postgres.fetching import Budget
from proxy.stores.postgres.modifications.attempt import ModificationQuery
from proxy.stores.postgres.modifications.given_rows import BoundWrite, NotExactError, PropertiesChangedError
from proxy.stores.postgres.writes.interruptions import WriteFenceError
from proxy.stores.postgres.writes.properties import parse_properties
from sql.statement import Statement

_KEEP: Final = False  # do not remove every document first
_OF_EVALUATION: Final = frozenset({"intermediateCommitCount", "intermediateCommitSize"})  # options
_BATCH: Final = 200  # rows of one round trip, and of a piece of the result that is built in one turn of the event loop
_PIECE: Final = 1 << 20  # bytes of the rows of one round trip, nearly


def may_compile(query: ModificationQuery, request: CursorRequest) -> bool:
    """Return True if nothing in a request is followed by the evaluator only."""
    if request.full_count or request.memory_limit or query.pauses is not None:
        return False
    return _OF_EVALUATION.isdisjoint(request.options)


class CompiledAttempt:
    """Executes a statement in the transaction that is open on the session. lock_wait: how long to wait for a row.

    inserted: how many documents a statement with given rows has inserted.
    """

    def __init__(self, session: Session, lock_wait: str, budget: Budget) -> None:
        self._session = session
        self._lock_wait = lock_wait
        self._budget = budget
        self.inserted = 0

    async def execute(
        self,
        database: str,
        plan: CompiledWrite,
        binds: Mapping[str, Any],
        options: QueryOptions,
        seconds: float,
        given: BoundWrite | None = None,
    ) -> Result:
        """Return the result. The caller commits. seconds: that it may take; 0: any time. given: whose plan it is.

        Raise NotExactError, WriteFenceError, ArangoError, Unsupported (too large), DatabaseError.
        """
        collection = f"{database}/{plan.collection}"
        noted = await self._begin(collection, plan, given)
        run = None if plan.finish is None else plan.finish.start(binds, options)
        try:
            async with asyncio.timeout(seconds or None):
                rows = _ResultRows(run, options.spools)
                if plan.bare is None or noted:
                    stats = await self._rows(collection, plan, rows, inserts=given is not None)
                else:
                    count = await self._session.affected(_statement(plan.bare), *plan.parameters, collection)
                    stats = _stats(count, None)
        except TimeoutError:
            raise ArangoError(1500, "query killed because it exceeded its maxRuntime") from None
        warnings = () if run is None else tuple(run.context.warnings)
        return Result(rows.values, None, None, warnings=warnings, stats=stats, spooled=rows.spooled)

    async def _begin(self, collection: str, plan: CompiledWrite, given: BoundWrite | None) -> bool:
        """Lock the fence's row. Return True if the outbox must have the keys. Raise WriteFenceError, NotExactError."""
        row = await self._session.fetchrow(sql.writes.BEGIN, collection, [], 0, self._lock_wait, _KEEP)
        if row is None:
            raise WriteFenceError
        properties = parse_properties(row.properties)
        if properties.schema or properties.computed or (row.relation, row.edge) != (plan.relation, plan.edge):
            raise NotExactError("rules of the collection")
        if given is not None and given.properties != row.properties:
            raise PropertiesChangedError("rules of the collection that have changed")
        return row.noted

    async def _rows(self, collection: str, plan: CompiledWrite, found: _ResultRows, *, inserts: bool) -> Stats:
        """Return the statistics, after the rows were built. inserts: the second number is of inserted documents."""
        count, other, piece = 0, None, list[tuple[Any, ...]]()
        cursor = self._session.cursor(_statement(plan.sql), *plan.parameters, collection, prefetch=_BATCH, most=_PIECE)
        async with contextlib.aclosing(cursor) as rows:
            async for count, other, *cells in rows:  # noqa: B007 - the same in every row
                if plan.finish is None or cells[0] is None:
                    continue
                if found.spooled is None:
                    self._budget.spend(size_of(cells), rows=0)
                piece.append(tuple(cells))
                if len(piece) == _BATCH:
                    found.add(piece)
                    piece.clear()
                    await asyncio.sleep(0)
        found.add(piece)
        if not inserts:
            return _stats(count, other)
        self.inserted = other or 0
        return _stats(count, None)


def _stats(count: int, total: int | None) -> Stats:
    """Return the statistics of a number of written documents. total: of all, if FILTER dropped the others."""
    if total is None:
        return Stats(writes_executed=count, scanned=count)
    return Stats(writes_executed=count, scanned=total, filtered=total - count)


def _statement(text: str) -> Statement[Any]:
    return sql.modifications.COMPILED.fill(query=text)


class _ResultRows:
    """The rows of the result: printed, in spools, or else as values. run: builds them; None: there are none."""

    def __init__(self, run: BuilderRun | None, spools: SpoolSpace | None) -> None:
        self._run = run
        self.spooled = None if spools is None else SpooledRows(spools)
        self.values: list[Any] = []

    def add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Build rows. Raise StatementError (22P05) if their order is not exact, ArangoError 32 if spools are full."""
        if self._run is None:
            return
        if self.spooled is None:
            self.values += self._run.values(rows)
            return
        for row in self._run.encoded(rows):
            self.spooled.append(row)
