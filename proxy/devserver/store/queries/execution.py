"""AQL over the collections of a server: parse, check, drive the evaluator, answer its requests.

The evaluator yields fetches and writes (`proxy.aql.requests`), which are carried out here. A query that fails leaves
nothing behind: its writes are undone, except those before its last intermediate commit.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from proxy.aql import Fetch, QueryOptions, Result, Write, analyse, parse
from proxy.aql import run as evaluate
from proxy.aql.requests import Action
from proxy.base.errors import ArangoError, PausedError, Unsupported
from proxy.devserver.store import access
from proxy.devserver.store.collection_lookup import readable, transaction_of, writable
from proxy.devserver.store.queries import slow_queries
from proxy.devserver.store.queries.plan import counts_of, plan_of, profile_of
from proxy.devserver.store.queries.primary_scan import PrimaryScan, scan_of
from proxy.devserver.store.state.collection import Collection
from proxy.devserver.store.state.running_query import RunningQuery
from proxy.devserver.store.state.server import ServerState
from proxy.model import json_reader
from proxy.model.operations import Operation
from proxy.semantics import query_writes
from proxy.semantics.attributes import whole
from proxy.semantics.query_writes import IntermediateCommits

Document = dict[str, Any]
_NO_LIMIT: Final = 0


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The result of a query: rows, and `extra` with warnings and statistics."""

    rows: list[Any]
    extra: Document


def run(server: ServerState, operation: Operation, text: str, bind: Document, options: Document) -> QueryResult:
    """Run a query, and remember it if it was slow. Raise ArangoError as ArangoDB would answer it."""
    transaction_of(server, operation)  # a query without collections names it too
    began = server.now()
    running = server.resumed
    if running is None:
        user = access.identity(server, operation).user
        seconds = options.get("maxRuntime", 0)
        most = max(0.0, float(seconds)) if isinstance(seconds, int | float) else 0.0
        running = RunningQuery(str(server.tick()), operation.database, text, bind, began, most, user=user)
    running.begin()
    code = 0
    try:
        answer = _run(server, operation, running, options)
    except ArangoError as error:
        code = error.number
        raise
    except PausedError:
        code = -1  # it continues
        raise
    else:
        return answer
    finally:
        if code >= 0:
            streaming = bool(options.get("stream", False))
            slow_queries.remember(
                server, running, max(0.0, server.now() - running.began), code=code, streaming=streaming
            )


def _run(server: ServerState, operation: Operation, running: RunningQuery, options: Document) -> QueryResult:
    marks = [time.perf_counter()]
    query, bind = parse(running.query), running.bind_vars
    marks.append(time.perf_counter())
    analysis = analyse(query, bind)
    if analysis.unsupported:
        raise Unsupported(", ".join(analysis.unsupported))
    running.modifies = analysis.modifies
    session = _Session(server, operation, running, options)
    for name in sorted(analysis.reads | analysis.writes):
        try:
            session.collection(name, write=name in analysis.writes)
        except ArangoError as refused:
            if refused.number != 1203 or name not in analysis.named:
                raise
    settings = _options(operation, running, options)
    scan = scan_of(query, bind) if not settings.full_count else None
    plan = plan_of(query, analysis, counts_of(server.database(operation))) if options.get("profile") else None
    if scan is not None:
        session.scan = scan
        query, bind = scan.rest, scan.bind(bind)
    marks.append(time.perf_counter())
    result = session.drive(evaluate(query, bind, settings))
    marks.append(time.perf_counter())
    stats = result.stats.as_json(result.full_count, marks[3] - marks[0])
    stats["intermediateCommits"] = session.intermediate.commits
    warnings = [{"code": warning.code, "message": warning.message} for warning in result.warnings]
    extra: Document = {"warnings": warnings, "stats": stats}
    if plan is not None:
        extra |= profile_of(plan, marks, len(result.rows), stats, level=options["profile"])
    return QueryResult(result.rows, extra)


def _options(operation: Operation, running: RunningQuery, options: Document) -> QueryOptions:
    memory = options.get("memoryLimit", 0)
    return QueryOptions(
        full_count=bool(options.get("fullCount", False)),
        fail_on_warning=bool(options.get("failOnWarning", False)),
        max_warnings=whole(options, "maxWarningCount", 10, zero=True),
        memory_limit=int(memory) if isinstance(memory, int | float) else _NO_LIMIT,
        max_runtime=running.most,
        pause=running.pause,
        no_user_functions=True,
        database=operation.database,
        user="root",
    )


class _Session:
    """One run of one query against one database, within the request's transaction, if it has one."""

    def __init__(self, server: ServerState, operation: Operation, running: RunningQuery, options: Document) -> None:
        self._server = server
        self._operation = operation
        self._running = running
        self._undo: list[tuple[Collection, str, bytes | None]] = []
        # never inside a stream transaction
        self.intermediate = IntermediateCommits(options, enabled="x-arango-trx-id" not in operation.headers)
        self.scan: PrimaryScan | None = None  # the part of the query that the primary index answers

    def collection(self, name: str, *, write: bool = False) -> Collection:
        find = writable if write else readable
        return find(self._server, self._operation, name)

    def drive(self, steps: Generator[Action, Any, Result]) -> Result:
        """Answer the evaluator until it has its result. If it fails, undo what is not committed."""
        try:
            try:
                result = self._answered(steps)
            except ArangoError:
                self._running.finish()
                raise
            self._running.finish()
        except (ArangoError, PausedError) as error:
            kept = 0 if isinstance(error, PausedError) else self.intermediate.kept  # a query that pauses starts again
            for collection, key, old in reversed(self._undo[kept:]):
                collection.put_back(key, old)
            raise
        return result

    def _answered(self, steps: Generator[Action, Any, Result]) -> Result:
        try:
            request = next(steps)
            while True:
                try:
                    found: Any = self._write(request) if isinstance(request, Write) else self._fetch(request)
                except ArangoError as refused:
                    request = steps.throw(refused)
                else:
                    request = steps.send(found)
        except StopIteration as end:
            result: Result = end.value
            return result

    def _fetch(self, fetch: Action) -> list[Document] | int:
        assert isinstance(fetch, Fetch)  # there are no spools: everything is in memory
        collection = self.collection(fetch.collection)
        documents = collection.documents
        if self.scan is not None:
            return [json_reader.load(documents[key]) for key in self.scan.keys(collection.sorted_keys())]
        if fetch.keys is not None:
            return [json_reader.load(documents[key]) for key in sorted(set(fetch.keys)) if key in documents]
        if fetch.count:
            return collection.count()
        # a text that the document must contain: others need not be parsed
        needles = [_needle(value) for _, value in fetch.equalities]
        wanted = [needle for needle in needles if needle is not None]
        raws = [documents[key] for key in collection.sorted_keys()]
        for needle in wanted:
            raws = [raw for raw in raws if needle in raw]
        if fetch.among is not None:
            (name, *_), texts = fetch.among
            wanted_texts = frozenset(texts)
            return [document for raw in raws if (document := json_reader.load(raw)).get(name) in wanted_texts]
        return [json_reader.load(raw) for raw in raws]

    def _write(self, request: Write) -> tuple[Document | None, Document | None]:
        collection = self.collection(request.collection, write=True)
        written = query_writes.carry_out(collection, request)
        if written.changed:
            self._undo.append((collection, written.key, written.old))
            self.intermediate.count(len(written.key) + len(written.new or b""))
        return query_writes.versions_of(request, written)


def _needle(value: object) -> bytes | None:
    """Return text that every document with that value contains; None if the value can be printed in several ways."""
    if isinstance(value, str) and value.isascii() and value.isprintable():
        return orjson.dumps(value)
    return None
