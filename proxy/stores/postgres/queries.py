"""AQL on the target: evaluates a query over documents that its fetches read from PostgreSQL.

All fetches of one query see one snapshot (a read-only transaction, REPEATABLE READ), as in ArangoDB. The first of them
tests the fence, and it alone: the answer is that of the snapshot, and the fence held when the snapshot was taken, so
whatever had been acknowledged by then is in it. To test it again would compare the leases of that old snapshot with a
clock that goes on, and refuse every query that runs for longer than a lease, without telling anything new.

Work is cut up so that the event loop goes on: rows come in batches, and evaluation over many rows runs in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

from proxy import printed, values
from proxy.aql.analyse import Analysis, analyse
from proxy.aql.ast import Parameter, Query, walk
from proxy.aql.compile import Compiled, Run
from proxy.aql.evaluate import run as evaluate
from proxy.aql.evaluate import sorts_inside
from proxy.aql.parser import parse
from proxy.aql.requests import Fetch, Options, QueryWarning, Result, Stats, Write
from proxy.aql.unlimited import unlimited
from proxy.database import Database, Session
from proxy.errors import ArangoError, DatabaseRefused, Unsupported
from proxy.stores.postgres.catalog import Catalog
from proxy.stores.postgres.cursors import CursorRequest
from proxy.stores.postgres.fence import FenceBroken, Limits
from proxy.stores.postgres.narrow import scan_of
from proxy.stores.postgres.statements import AT_ONCE, Statements, inexact
from proxy.stores.postgres.streams import Stream, Streams, counted
from sql.loader import queries

_HELD: Final = 4 << 20  # bytes of a result up to which it is read at once, and its connection given back
_BATCH: Final = 200  # rows between two turns of the event loop
_INLINE: Final = 400  # rows up to which evaluation stays on the event loop: a few milliseconds

_OVER_LIMIT: Final = frozenset({32, 1500})  # ArangoDB's numbers for out of memory and out of time
_MEMORY: Final = 512 << 20  # bytes that one evaluation may hold
_SECONDS: Final = 20.0

parsed = lru_cache(maxsize=500)(parse)
Running = Generator[Fetch | Write, Any, Result]


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows and `extra` as ArangoDB prints them. stream: where the rows that follow come from; None: there are none."""

    rows: list[bytes]
    extra: bytes
    stream: Stream | None = None


class Queries:
    """Runs queries; holds no state but the limits."""

    def __init__(self, database: Database, catalog: Catalog, limits: Limits) -> None:
        self._database = database
        self._catalog = catalog
        self._limits = limits
        self._statements = Statements(database, catalog, limits)
        self._streams = Streams(database)

    async def answer(self, database: str, request: CursorRequest, generation: int | None) -> Answer:
        """Rows and `extra`, printed: from one compiled statement where there is one. Raises as `run`."""
        began = time.perf_counter()
        query = parsed(request.query)
        analysis = analyse(query, request.bind_vars)
        if not (analysis.modifies or analysis.unsupported):
            plan = await self._statements.plan(database, query, request.bind_vars, analysis)
            whole = await self._whole(database, query, request, analysis)
            if isinstance(plan, Compiled) and (whole is not None or not request.full_count):
                run = plan.finish.start(request.bind_vars, _options(database, request))
                try:
                    async with asyncio.timeout(request.max_runtime or None):
                        rows, stream, full = await self._first(plan, run, request, generation, whole)
                except TimeoutError:
                    raise ArangoError(1500, "query killed because it exceeded its maxRuntime") from None
                except DatabaseRefused as error:
                    if not inexact(error):
                        raise
                else:
                    stats = Stats(scanned=len(rows)).as_json(full, time.perf_counter() - began)
                    extra = {"warnings": _warnings(run.context.warnings), "stats": stats}
                    return Answer(rows, values.dump(extra), stream)
        result = await self.run(database, request, generation)
        return Answer(*await encoded(result, time.perf_counter() - began))

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
        """The result for comparison, with what its order and its limits leave open; no fence. Raises as `run`."""
        query = parsed(request.query)
        analysis = analyse(query, request.bind_vars)
        if not (analysis.modifies or analysis.unsupported):
            plan = await self._statements.plan(database, query, request.bind_vars, analysis)
            whole = await self._whole(database, query, request, analysis)
            served = isinstance(plan, Compiled) and (whole is not None or not request.full_count)
            if served and isinstance(plan, Compiled) and (plan.order != "sort" or plan.compared is not None):
                try:
                    result = await self._statements.result(plan, request.bind_vars, _options(database, request))
                    if whole is None:
                        return result
                    text = counted(whole.sql, len(whole.parameters))
                    row = await self._database.fetchrow(text, *whole.parameters, None)
                    return replace(result, full_count=row["number"] if row is not None else None)
                except DatabaseRefused as error:
                    if not inexact(error):
                        raise
        return await self.run(database, request, None)

    async def torn(self, database: str, request: CursorRequest) -> bool:
        """Whether equal sort keys leave the result open (`Result.torn`). Raises as `run`."""
        if not sorts_inside(parsed(request.query)):
            return False
        return (await self.run(database, request, None, ties=True)).torn

    async def run(self, database: str, request: CursorRequest, generation: int | None, *, ties: bool = False) -> Result:
        """The result, evaluated. generation: the fence's, None for none. ties: see `Options.ties`.

        Raises ArangoError as ArangoDB would answer it, Unsupported (a modification, a feature, over the limits here),
        FenceBroken (also where no statement tested the fence, since nothing was fetched, and where the query reads
        what its text does not tell), DatabaseError.
        """
        options = replace(_options(database, request), ties=ties)
        query = parsed(request.query)
        analysis = analyse(query, request.bind_vars)
        if analysis.modifies or analysis.unsupported:
            raise Unsupported(", ".join(analysis.unsupported) or "AQL modification on PostgreSQL")
        for name in sorted(analysis.reads):
            await self._catalog.find(f"{database}/{name}")
        running: Running = evaluate(query, request.bind_vars, options)
        try:
            return await self._drive(running, database, analysis.reads, generation)
        except Unsupported:
            raise
        except ArangoError as error:
            ours = (request.memory_limit or _MEMORY) >= _MEMORY if error.number == 32 else not request.max_runtime
            if error.number in _OVER_LIMIT and ours:  # our limits, not the client's: no answer of ArangoDB's
                raise Unsupported(f"query over the limits of evaluation ({error.message})") from error
            raise
        finally:
            # cancelled while a thread evaluates: the generator is busy, and goes with its last reference
            with contextlib.suppress(ValueError):
                running.close()

    async def _drive(self, running: Running, database: str, known: frozenset[str], generation: int | None) -> Result:
        step = await _advance(running, None)
        if isinstance(step, Result):
            if generation is not None:
                raise FenceBroken
            return step
        budget, tested = _Budget(self._limits), generation
        async with (
            self._database.session() as session,
            session.transaction(isolation="repeatable_read", readonly=True),
        ):
            while not isinstance(step, Result):
                if isinstance(step, Write):
                    raise Unsupported("AQL modification on PostgreSQL")
                if generation is not None and step.collection not in known:
                    raise FenceBroken  # a collection that only the run told: nobody asked whether it is flipped
                documents = await self._fetch(session, database, step, tested, budget)
                tested = None  # the next ones read the snapshot of which the fence held
                step = await _advance(running, documents)
        return step

    async def _fetch(
        self, session: Session, database: str, fetch: Fetch, generation: int | None, budget: _Budget
    ) -> list[dict[str, Any]] | int:
        relation = await self._catalog.find(f"{database}/{fetch.collection}")
        if fetch.count:
            return await _counted(session, relation.relation, generation)
        scan = scan_of(fetch.collection, fetch.equalities, fetch.keys, fetch.among)
        text = queries("store")[scan.statement].on(relation.relation)
        parameters: tuple[object, ...] = (budget.rows + 1, generation)
        if scan.value is not None:
            parameters += (scan.value,)
        documents: list[dict[str, Any]] = []
        async with contextlib.aclosing(session.cursor(text, *parameters, prefetch=_BATCH)) as rows:
            async for row in rows:
                if not row["holds"]:
                    raise FenceBroken
                raw = row["raw"]
                if raw is not None:
                    budget.spend(len(raw))
                    documents.append(printed.load(raw.encode()))
        return documents


async def _counted(session: Session, relation: str, generation: int | None) -> int:
    row = await session.fetchrow(queries("store")["scan_count"].on(relation), generation)
    if row is None or not row["holds"]:
        raise FenceBroken
    return int(row["number"])


class _Budget:
    def __init__(self, limits: Limits) -> None:
        self.rows = limits.rows
        self._bytes = limits.bytes

    def spend(self, size: int) -> None:
        self.rows -= 1
        self._bytes -= size
        if self.rows < 0 or self._bytes < 0:
            raise Unsupported("result too large for evaluation")


async def _advance(running: Running, documents: list[dict[str, Any]] | int | None) -> Fetch | Write | Result:
    if isinstance(documents, list) and len(documents) > _INLINE:
        return await asyncio.to_thread(_step, running, documents)
    return _step(running, documents)


def _step(running: Running, documents: list[dict[str, Any]] | int | None) -> Fetch | Write | Result:
    # a StopIteration cannot pass through a coroutine or a future
    try:
        return running.send(documents)
    except StopIteration as stop:
        result: Result = stop.value
        return result


async def encoded(result: Result, seconds: float) -> tuple[list[bytes], bytes]:
    """(rows, extra) as ArangoDB prints them. seconds: how long the query took."""
    if len(result.rows) > _INLINE:
        return await asyncio.to_thread(_encode, result, seconds)
    return _encode(result, seconds)


def _options(database: str, request: CursorRequest) -> Options:
    return Options(
        full_count=request.full_count,
        fail_on_warning=request.fail_on_warning,
        memory_limit=min(_MEMORY, request.memory_limit or _MEMORY),
        max_runtime=min(_SECONDS, request.max_runtime or _SECONDS),
        database=database,
    )


def _warnings(found: Iterable[QueryWarning]) -> list[dict[str, Any]]:
    return [{"code": warning.code, "message": warning.message} for warning in found]


def _encode(result: Result, seconds: float) -> tuple[list[bytes], bytes]:
    extra = {"warnings": _warnings(result.warnings), "stats": result.stats.as_json(result.full_count, seconds)}
    return [values.dump(row) for row in result.rows], values.dump(extra)
