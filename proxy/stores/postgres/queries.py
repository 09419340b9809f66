"""AQL on the target: from one compiled statement where there is one, else evaluated.

What may run on the event loop is light: a short text, a statement whose rows are few or come in pieces, and rows of the
result that take time in proportion to those (`compile.effort`). Who asks for that (`light`) is told by `Heavy` where a
query is not, before anything was answered: it is then asked for once more in a worker process (`apart`).
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass, replace
from typing import Final

from proxy.aql.analyse import Analysis, analyse
from proxy.aql.ast import Parameter, Query, walk
from proxy.aql.compile import Compiled, Run
from proxy.aql.compile.effort import light as in_proportion
from proxy.aql.full_count import unlimited
from proxy.aql.requests import Result, Stats
from proxy.base.database import Database
from proxy.base.errors import ArangoError, StatementError, Unsupported
from proxy.model import json_values
from proxy.model.cursor_requests import CursorRequest
from proxy.stores.postgres.catalog import Catalog
from proxy.stores.postgres.compiled_queries import AT_ONCE, Statements, TooLarge, Unfinished, inexact
from proxy.stores.postgres.evaluation import Evaluation, encoded, options_of, parsed, warnings_of
from proxy.stores.postgres.read_fence import QueryLimits, fenced_count
from proxy.stores.postgres.streams import Stream, Streams

_HELD: Final = 4 << 20  # bytes of a result up to which it is read at once, and its connection given back
TEXT: Final = 3 << 10  # characters of a light query: to parse, analyse and compile as many takes ten milliseconds
COMPARED: Final = 512 << 10  # bytes of rows for a comparison that are fetched where clients wait


class Heavy(Exception):
    """A query that is not to run on the event loop. compiled: whether it may be one statement all the same."""

    def __init__(self, *, compiled: bool) -> None:
        super().__init__()
        self.compiled = compiled


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows and `extra` as ArangoDB prints them. stream: where the rows that follow come from; None: there are none.

    total: the number of rows where `rows` holds whole batches instead, their rows joined by commas; else None.
    """

    rows: list[bytes]
    extra: bytes
    stream: Stream | None = None
    total: int | None = None


class Queries:
    """Runs queries; holds no state but the limits."""

    def __init__(self, database: Database, catalog: Catalog, limits: QueryLimits) -> None:
        self._database = database
        self._catalog = catalog
        self.evaluation = Evaluation(database, catalog, limits)
        self._statements = Statements(database, catalog, limits)
        self._streams = Streams(database)

    def forget(self) -> None:
        """Where tables lie is looked up again."""
        self._catalog.clear()

    async def answer(
        self,
        database: str,
        request: CursorRequest,
        generation: int | None,
        *,
        light: bool = False,
        compiled: bool = True,
    ) -> Answer:
        """Rows and `extra`, printed: from one compiled statement where there is one. Raises as `Evaluation.run`.

        light: raises Heavy where it is to run elsewhere. compiled: False where no statement is known to do.
        """
        began = time.perf_counter()
        if light and len(request.query) > TEXT:
            raise Heavy(compiled=True)
        query = parsed(request.query)
        analysis = analyse(query, request.bind_vars)
        if compiled and not (analysis.modifies or analysis.unsupported):
            plan = await self._statements.plan(database, query, request.bind_vars, analysis)
            whole = await self._whole(database, query, request, analysis)
            if isinstance(plan, Compiled) and (whole is not None or not request.full_count):
                if light and not in_proportion(plan.finish):
                    raise Heavy(compiled=True)
                run = plan.finish.start(request.bind_vars, options_of(database, request))
                try:
                    async with asyncio.timeout(request.max_runtime or None):
                        rows, stream, full = await self._first(plan, run, request, generation, whole)
                except TimeoutError:
                    raise ArangoError(1500, "query killed because it exceeded its maxRuntime") from None
                except StatementError as error:
                    if not inexact(error):
                        raise
                else:
                    stats = Stats(scanned=len(rows)).as_json(full, time.perf_counter() - began)
                    extra = {"warnings": warnings_of(run.context.warnings), "stats": stats}
                    return Answer(rows, json_values.dump(extra), stream)
        if light and not (analysis.modifies or analysis.unsupported):
            raise Heavy(compiled=False)
        result = await self.evaluation.run(database, request, generation)
        return Answer(*encoded(result, time.perf_counter() - began))

    async def _whole(self, database: str, query: Query, request: CursorRequest, analysis: Analysis) -> Compiled | None:
        """The statement whose number of rows is fullCount, where the request asks for that and it compiles."""
        full = unlimited(query) if request.full_count else None
        if full is None:
            return None
        used = {node.name for node in walk(full) if isinstance(node, Parameter)}
        binds = {name: value for name, value in request.bind_vars.items() if name in used}
        plan = await self._statements.plan(database, full, binds, analysis)
        return plan if isinstance(plan, Compiled) else None

    async def _first(
        self, plan: Compiled, run: Run, request: CursorRequest, generation: int | None, whole: Compiled | None
    ) -> tuple[list[bytes], Stream | None, int | None]:
        """All rows where they are few, else the first of them and the stream of the rest: what SQL does not do exactly
        shows in the first of them, or ends the cursor later on. With `whole`, fullCount too."""
        if whole is None and plan.most is not None and plan.most <= AT_ONCE:
            return await self._statements.rows(plan, run, generation), None, None
        stream = await self._streams.open(
            plan.sql,
            plan.parameters,
            generation,
            run.encoded,
            total=request.count,
            whole=None if whole is None else (whole.sql, whole.parameters),
        )
        try:
            rows = await stream.take(sys.maxsize, _HELD)
            if plan.finish.distinct and request.count and not stream.ended:
                raise Unsupported("count of a large result without duplicates")
        except BaseException:
            await stream.close()
            raise
        return rows, None if stream.ended else stream, stream.full

    async def compared(self, database: str, request: CursorRequest) -> Result:
        """The result for comparison, with what its order and its limits leave open; no fence. Raises as `answer`."""
        found = await self._unfinished(database, request, None)
        if found is not None:
            try:
                return finished(*found)
            except StatementError as error:
                if not inexact(error):
                    raise
        return await self.evaluation.run(database, request, None)

    async def unfinished(self, database: str, request: CursorRequest) -> tuple[Unfinished, int | None]:
        """The same where it is light: rows of its statement and fullCount, of which `finished` makes the result.

        Raises Heavy, also where the rows are many.
        """
        if len(request.query) > TEXT:
            raise Heavy(compiled=True)
        found = await self._unfinished(database, request, COMPARED)
        if found is None:
            raise Heavy(compiled=False)
        return found

    async def _unfinished(
        self, database: str, request: CursorRequest, most: int | None
    ) -> tuple[Unfinished, int | None] | None:
        """None where no statement does exactly. most: bytes of a light result; None: of any."""
        query = parsed(request.query)
        analysis = analyse(query, request.bind_vars)
        if analysis.modifies or analysis.unsupported:
            raise Unsupported(", ".join(analysis.unsupported) or "AQL modification on PostgreSQL")
        plan = await self._statements.plan(database, query, request.bind_vars, analysis)
        whole = await self._whole(database, query, request, analysis)
        if not isinstance(plan, Compiled) or (whole is None and request.full_count):
            return None
        if plan.order == "sort" and plan.compared is None:
            return None
        if most is not None and not in_proportion(plan.finish):
            raise Heavy(compiled=True)
        try:
            rows = await self._statements.unfinished(plan, request.bind_vars, options_of(database, request), most)
            if whole is None:
                return rows, None
            count = fenced_count(whole.sql, len(whole.parameters))
            return rows, (await self._database.fetchval(count, *whole.parameters, None)).number
        except TooLarge:
            raise Heavy(compiled=True) from None
        except StatementError as error:
            if not inexact(error):
                raise
            return None


def finished(rows: Unfinished, full_count: int | None) -> Result:
    """The result of rows, and of fullCount where that was asked for. Raises as `Unfinished.result`."""
    result = rows.result()
    return result if full_count is None else replace(result, full_count=full_count)
