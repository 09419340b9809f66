"""AQL on PostgreSQL: one compiled statement if the query compiles, else an evaluation.

A query may run on the event loop if it is *light*: its text is short, its statement gives few rows or gives them in
pieces, and the result takes time in proportion to those rows (`compile.effort`). For any other query, methods that are
limited to light ones raise `NeedsWorker` before they return anything; the caller then runs it in a worker process
(`worker_queries`).
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from proxy.aql.analyse import Analysis, analyse
from proxy.aql.ast import Parameter, Query, walk
from proxy.aql.compile import BuilderRun, Compiled
from proxy.aql.compile.effort import is_proportional
from proxy.aql.full_count import without_limit
from proxy.aql.requests import Result, Stats
from proxy.base.database import Database
from proxy.base.errors import ArangoError, StatementError, Unsupported
from proxy.base.spool import SpooledRows, SpoolSpace
from proxy.model import json_values
from proxy.model.cursor_requests import CursorRequest
from proxy.stores.postgres.catalog import Catalog
from proxy.stores.postgres.compiled_queries import AT_ONCE, Statements, TooLarge, Unfinished, inexact
from proxy.stores.postgres.evaluation import Evaluation, encoded, extra_of, options_of, parsed, warnings_of
from proxy.stores.postgres.read_fence import QueryLimits, fenced_count
from proxy.stores.postgres.streams import MOST, Stream, Streams

_BUFFERED: Final = 4 << 20  # bytes of a result that is read completely, so that its connection is free again
TEXT: Final = 3 << 10  # characters of a light query: it takes ten milliseconds to parse, analyse and compile
_TAKEN: Final = 1 << 20  # bytes of a result that are taken together on their way to the disk
COMPARED: Final = 512 << 10  # bytes of rows for a comparison that are fetched on the event loop


class NeedsWorker(Exception):
    """A query that must not run on the event loop. compiled: False if no single statement answers it."""

    def __init__(self, *, compiled: bool) -> None:
        super().__init__()
        self.compiled = compiled


@dataclass(frozen=True, slots=True)
class AnswerRows:
    """Rows and `extra` as ArangoDB prints them. stream: the source of further rows; None if there are none.

    total: the number of rows if each element of `rows` is a batch, its rows joined by commas; else None. spooled: the
    rows of a result that waits on disk, in place of `rows`.
    """

    rows: list[bytes]
    extra: bytes
    stream: Stream | None = None
    total: int | None = None
    spooled: SpooledRows | None = None

    @property
    def number(self) -> int:
        """The number of rows, without those of the stream."""
        if self.spooled is not None:
            return len(self.spooled)
        return len(self.rows) if self.total is None else self.total

    @property
    def first_rows(self) -> Sequence[bytes]:
        """The first row, and perhaps others; none if there is none."""
        if self.spooled is None:
            return self.rows
        return [self.spooled.text(0, 1)] if len(self.spooled) else []


class Queries:
    """Runs queries; holds no state but the limits. spools: where large results wait, if only this store can answer."""

    def __init__(
        self, database: Database, catalog: Catalog, limits: QueryLimits, spools: SpoolSpace | None = None
    ) -> None:
        self._spools = spools
        self._database = database
        self._catalog = catalog
        self.evaluation = Evaluation(database, catalog, limits, spools)
        self._statements = Statements(database, catalog, limits)
        self._streams = Streams(database, most=MOST if spools is None else sys.maxsize)

    def forget(self) -> None:
        """Forget the tables of collections, so that they are looked up again."""
        self._catalog.clear()

    async def answer(
        self,
        database: str,
        request: CursorRequest,
        generation: int | None,
        *,
        light: bool = False,
        compiled: bool = True,
    ) -> AnswerRows:
        """Return rows and `extra`, printed: from one compiled statement if there is one. Raise as `Evaluation.run`.

        light: raise NeedsWorker if the query is not light. compiled: False if it is known that no statement answers it.
        """
        began = time.perf_counter()
        if light and len(request.query) > TEXT:
            raise NeedsWorker(compiled=True)
        query = parsed(request.query)
        analysis = analyse(query, request.bind_vars)
        if compiled and not (analysis.modifies or analysis.unsupported):
            plan = await self._statements.plan(database, query, request.bind_vars, analysis)
            full_plan = await self._full_plan(database, query, request, analysis)
            if isinstance(plan, Compiled) and (full_plan is not None or not request.full_count):
                if light and not is_proportional(plan.finish):
                    raise NeedsWorker(compiled=True)
                run = plan.finish.start(request.bind_vars, options_of(database, request))
                try:
                    async with asyncio.timeout(request.max_runtime or None):
                        answer, full = await self._first(plan, run, request, generation, full_plan)
                except TimeoutError:
                    raise ArangoError(1500, "query killed because it exceeded its maxRuntime") from None
                except StatementError as error:
                    if not inexact(error):
                        raise
                else:
                    number = len(answer.rows if answer.spooled is None else answer.spooled)
                    stats = Stats(scanned=number).as_json(full, time.perf_counter() - began)
                    extra = {"warnings": warnings_of(run.context.warnings), "stats": stats}
                    return replace(answer, extra=json_values.dump(extra))
        if light and not (analysis.modifies or analysis.unsupported):
            raise NeedsWorker(compiled=False)
        result = await self.evaluation.run(database, request, generation)
        if result.spooled is not None:
            return AnswerRows([], extra_of(result, time.perf_counter() - began), spooled=result.spooled)
        return AnswerRows(*encoded(result, time.perf_counter() - began))

    async def _full_plan(
        self, database: str, query: Query, request: CursorRequest, analysis: Analysis
    ) -> Compiled | None:
        """Return the statement whose number of rows is fullCount; None if not requested, or if it does not compile."""
        full = without_limit(query) if request.full_count else None
        if full is None:
            return None
        used = {node.name for node in walk(full) if isinstance(node, Parameter)}
        binds = {name: value for name, value in request.bind_vars.items() if name in used}
        plan = await self._statements.plan(database, full, binds, analysis)
        return plan if isinstance(plan, Compiled) else None

    async def _first(
        self,
        plan: Compiled,
        run: BuilderRun,
        request: CursorRequest,
        generation: int | None,
        full_plan: Compiled | None,
    ) -> tuple[AnswerRows, int | None]:
        """Return the first rows and the stream of the rest, without `extra`; and fullCount if `full_plan` is given.

        Data that SQL does not treat exactly makes the first rows fail, or a later batch of the cursor.
        """
        if full_plan is None and plan.most is not None and plan.most <= AT_ONCE:
            return AnswerRows(await self._statements.rows(plan, run, generation), b""), None
        stream = await self._streams.open(
            plan.sql,
            plan.parameters,
            generation,
            run.encoded,
            total=request.count and self._spools is None,
            full_count=None if full_plan is None else (full_plan.sql, full_plan.parameters),
        )
        try:
            rows = await stream.take(sys.maxsize, _BUFFERED)
            if self._spools is not None and not stream.ended and not (request.streaming and self._streams.keep(stream)):
                return AnswerRows([], b"", spooled=await spooled(rows, stream, self._spools)), stream.full
            if plan.finish.distinct and request.count and not stream.ended:
                raise Unsupported("count of a large result without duplicates")
        except BaseException:
            await stream.close()
            raise
        return AnswerRows(rows, b"", None if stream.ended else stream), stream.full

    async def compared(self, database: str, request: CursorRequest) -> Result:
        """Return the result for comparison, with what its order and limits leave open; no fence. Raise as `answer`."""
        found = await self._unfinished(database, request, None)
        if found is not None:
            try:
                return finished(*found)
            except StatementError as error:
                if not inexact(error):
                    raise
        return await self.evaluation.run(database, request, None)

    async def unfinished(self, database: str, request: CursorRequest) -> tuple[Unfinished, int | None]:
        """Return the rows of the statement and fullCount, from which `finished` makes the result for comparison.

        Raise NeedsWorker if the query is not light, or if the rows are many.
        """
        if len(request.query) > TEXT:
            raise NeedsWorker(compiled=True)
        found = await self._unfinished(database, request, COMPARED)
        if found is None:
            raise NeedsWorker(compiled=False)
        return found

    async def _unfinished(
        self, database: str, request: CursorRequest, most: int | None
    ) -> tuple[Unfinished, int | None] | None:
        """Return None if no statement gives exactly the result. most: bytes of a light result; None: no limit."""
        query = parsed(request.query)
        analysis = analyse(query, request.bind_vars)
        if analysis.modifies or analysis.unsupported:
            raise Unsupported(", ".join(analysis.unsupported) or "AQL modification on PostgreSQL")
        plan = await self._statements.plan(database, query, request.bind_vars, analysis)
        full_plan = await self._full_plan(database, query, request, analysis)
        if not isinstance(plan, Compiled) or (full_plan is None and request.full_count):
            return None
        if plan.order == "sort" and plan.compared is None:
            return None
        if most is not None and not is_proportional(plan.finish):
            raise NeedsWorker(compiled=True)
        try:
            rows = await self._statements.unfinished(plan, request.bind_vars, options_of(database, request), most)
            if full_plan is None:
                return rows, None
            count = fenced_count(full_plan.sql, len(full_plan.parameters))
            return rows, (await self._database.fetchval(count, *full_plan.parameters, None)).number
        except TooLarge:
            raise NeedsWorker(compiled=True) from None
        except StatementError as error:
            if not inexact(error):
                raise
            return None


async def spooled(rows: Sequence[bytes], stream: Stream, spools: SpoolSpace) -> SpooledRows:
    """Return all rows of a result: those that were read, and those of the stream."""
    found = SpooledRows(spools)
    for row in rows:
        found.append(row)
    while not stream.ended:
        for row in await stream.take(sys.maxsize, _TAKEN):
            found.append(row)
    return found


def finished(rows: Unfinished, full_count: int | None) -> Result:
    """Return the result of the rows, with fullCount if it was requested. Raise as `Unfinished.result`."""
    result = rows.result()
    return result if full_count is None else replace(result, full_count=full_count)
