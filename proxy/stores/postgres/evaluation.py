"""AQL on the target, evaluated: a query over documents that its fetches read from PostgreSQL.

All fetches of one query see one snapshot (a read-only transaction, REPEATABLE READ), as in ArangoDB. The first of them
tests the fence, and only the first: the answer is that of the snapshot, and the fence held when the snapshot was taken,
so that every acknowledged write of before is in it. Another test would compare the leases of that old snapshot with the
present clock, and refuse every query that runs for longer than a lease, without any benefit. For a query that names
collections and fetches nothing, a separate statement tests the fence.

The duration of an evaluation cannot be predicted: `worker_queries` runs it in a worker process.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

import sql
from proxy.aql.analyse import analyse
from proxy.aql.evaluate import run as evaluate
from proxy.aql.evaluate import sorts_inside
from proxy.aql.parser import parse
from proxy.aql.requests import Action, DocumentPage, Fetch, Pause, QueryOptions, QueryWarning, Result
from proxy.base.database import Database, Session
from proxy.base.errors import ArangoError, Unsupported
from proxy.base.spool import SpoolSpace
from proxy.model import json_reader, json_values
from proxy.model.cursor_requests import CursorRequest
from proxy.stores.postgres.catalog import Catalog
from proxy.stores.postgres.fetching import Budget, counted, fetch_raws
from proxy.stores.postgres.read_fence import BeyondExtentError, QueryLimits, ReadFenceError
from proxy.stores.postgres.snapshot_reads import SnapshotReads

_OVER_LIMIT: Final = frozenset({32, 1500})  # ArangoDB's numbers for out of memory and out of time
_MEMORY: Final = 256 << 20  # bytes that one evaluation may hold: a worker may take some more
SECONDS: Final = 20.0  # that one evaluation may take

parsed = lru_cache(maxsize=500)(parse)
Running = Generator[Action, Any, Result]


class Evaluation:
    """Evaluates queries; holds no state but the limits."""

    def __init__(
        self, database: Database, catalog: Catalog, limits: QueryLimits, spools: SpoolSpace | None = None
    ) -> None:
        """spools: where large results wait, if nothing but this store can answer: then there are no limits here."""
        self._spools = spools
        self._database = database
        self._catalog = catalog
        self._limits = limits

    async def order_undetermined(self, database: str, request: CursorRequest) -> bool:
        """Return True if equal sort keys leave the result open (`Result.order_undetermined`). Raise as `run`."""
        if not sorts_inside(parsed(request.query)):
            return False
        return (await self.run(database, request, None, ties=True)).order_undetermined

    async def run(self, database: str, request: CursorRequest, generation: int | None, *, ties: bool = False) -> Result:
        """Evaluate a query. generation: the fence's, None for no fence. ties: see `QueryOptions.ties`.

        Raise ArangoError as ArangoDB would answer it, Unsupported (a modification, a feature, over the limits here),
        ReadFenceError (also if it names no collection), DatabaseError. A query reads what its text names, or its
        extent, and nothing else: for more ReadFenceError, without a fence BeyondExtentError.
        """
        options = replace(
            options_of(database, request, self._spools), ties=ties, no_user_functions=self._limits.no_user_functions
        )
        query = parsed(request.query)
        analysis = analyse(query, request.bind_vars)
        if analysis.modifies or analysis.unsupported:
            raise Unsupported(", ".join(analysis.unsupported) or "AQL modification on PostgreSQL")
        absent = set()  # a collection that only DOCUMENT names need not exist
        for name in sorted(analysis.reads):
            try:
                await self._catalog.find(f"{database}/{name}")
            except ArangoError:
                if name not in analysis.named:
                    raise
                absent.add(name)
        for name in sorted(request.extent - analysis.reads):  # now: there may be no second session while it runs
            with contextlib.suppress(ArangoError):
                await self._catalog.find(f"{database}/{name}")
        running: Running = evaluate(query, request.bind_vars, options)
        try:
            if self._spools is not None:
                return await self._drive_alone(running, database, request.extent or analysis.reads, absent)
            return await self._drive(running, database, request.extent or analysis.reads, absent, generation)
        except Unsupported:
            raise
        except ArangoError as error:
            ours = (request.memory_limit or _MEMORY) >= _MEMORY if error.number == 32 else not request.max_runtime
            if self._spools is None and error.number in _OVER_LIMIT and ours:  # ArangoDB might well answer
                raise Unsupported(f"query over the limits of evaluation ({error.message})") from error
            raise
        finally:
            running.close()

    async def _drive(
        self, running: Running, database: str, known: frozenset[str], absent: AbstractSet[str], generation: int | None
    ) -> Result:
        step = _present(running, _step(running, None), absent)
        if isinstance(step, Result):
            if generation is not None:
                await self._test(known, generation)
            return step
        budget, tested = Budget(self._limits), generation
        async with (
            self._database.session() as session,
            session.transaction(isolation="repeatable_read", readonly=True),
        ):
            while not isinstance(step, Result):
                if not isinstance(step, Fetch):
                    raise Unsupported("AQL modification on PostgreSQL")
                if step.collection not in known:
                    if generation is not None:
                        raise ReadFenceError
                    raise BeyondExtentError(step.collection)
                documents = await self._fetch(session, database, step, tested, budget)
                tested = None  # later fetches read the same snapshot, for which the fence held
                step = _present(running, _step(running, documents), absent)
        return step

    async def _drive_alone(
        self, running: Running, database: str, known: frozenset[str], absent: AbstractSet[str]
    ) -> Result:
        """Return the result of a query over any number of documents."""
        step = _present(running, _step(running, None), absent)
        while isinstance(step, Pause):  # it may need no documents
            await asyncio.sleep(0)
            step = _present(running, _step(running, None), absent)
        if isinstance(step, Result):
            return step
        async with (
            self._database.session() as session,
            session.transaction(isolation="repeatable_read", readonly=True),
        ):
            reads = SnapshotReads(session, self._catalog, database)
            try:
                while not isinstance(step, Result):
                    if isinstance(step, Fetch) and step.collection not in known:
                        raise BeyondExtentError(step.collection)
                    step = _present(running, _step(running, await reads.answer(step)), absent)
            finally:
                await reads.close()
        return step

    async def _test(self, known: frozenset[str], generation: int) -> None:
        """Test the fence for a query that fetched nothing (WITH alone, DOCUMENT of no id). Raise ReadFenceError."""
        if not known or not await self._database.fetchval(sql.store.HOLDS, generation):
            raise ReadFenceError

    async def _fetch(
        self, session: Session, database: str, fetch: Fetch, generation: int | None, budget: Budget
    ) -> list[dict[str, Any]] | int:
        relation = (await self._catalog.find(f"{database}/{fetch.collection}")).relation
        if fetch.count:
            return await counted(session, relation, generation)
        raws = await fetch_raws(session, relation, fetch, generation, budget)
        documents: list[dict[str, Any]] = [json_reader.load(raw) for raw in raws]
        documents.sort(key=itemgetter("_key"))  # in the order of compiled statements
        return documents


def _step(running: Running, documents: list[dict[str, Any]] | DocumentPage | int | None) -> Action | Result:
    # a StopIteration cannot pass through a coroutine
    try:
        return running.send(documents)
    except StopIteration as stop:
        result: Result = stop.value
        return result


def _present(running: Running, step: Action | Result, absent: AbstractSet[str]) -> Action | Result:
    """Return the next step that asks for an existing collection; for others the evaluator gets ArangoDB's error."""
    while isinstance(step, Fetch) and step.collection in absent:
        try:
            step = running.throw(ArangoError(1203, f"collection or view not found: {step.collection}"))
        except StopIteration as stop:
            step = stop.value
    return step


def options_of(database: str, request: CursorRequest, spools: SpoolSpace | None = None) -> QueryOptions:
    """Return the options of a request, within our own limits; with spools that of memory alone."""
    return QueryOptions(
        full_count=request.full_count,
        fail_on_warning=request.fail_on_warning,
        max_warnings=request.max_warnings,
        memory_limit=min(_MEMORY, request.memory_limit or _MEMORY),
        max_runtime=min(SECONDS, request.max_runtime or SECONDS) if spools is None else request.max_runtime,
        database=database,
        spools=spools,
        counts_spooled=bool(request.memory_limit),
    )


def warnings_of(found: Iterable[QueryWarning]) -> list[dict[str, Any]]:
    """Return `extra.warnings` as ArangoDB prints it."""
    return [{"code": warning.code, "message": warning.message} for warning in found]


def encoded(result: Result, seconds: float) -> tuple[list[bytes], bytes]:
    """Return (rows, extra) as ArangoDB prints them. seconds: the duration of the query."""
    return [json_values.dump(row) for row in result.rows], extra_of(result, seconds)


def extra_of(result: Result, seconds: float) -> bytes:
    """Return `extra` as ArangoDB prints it."""
    stats = result.stats.as_json(result.full_count, seconds)
    return json_values.dump({"warnings": warnings_of(result.warnings), "stats": stats})
