"""Run a query: a synchronous generator that requests documents and writes from its caller, and returns the Result.

    runner = run(parse(text), {"x": 1}, QueryOptions())
    action = next(runner)                     # a Fetch, a Write, or another Action
    action = runner.send(documents)           # … until StopIteration, whose value is the Result

It is the oracle for the SQL compiler, and answers the queries that are not compiled.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from proxy.aql import ast
from proxy.aql.analyse import analyse
from proxy.aql.compiled_types import Frame
from proxy.aql.execution.compiler import Flow, ProgramCompiler, Stage, StatementPlace
from proxy.aql.execution.sorting import limit, limit_bounds, sort_stage
from proxy.aql.execution.stages import ResultRow, rows_stage
from proxy.aql.primary_index_order import by_primary_index
from proxy.aql.query_context import QueryContext
from proxy.aql.requests import Action, QueryOptions, Result, StoreRequest
from proxy.aql.values import Value
from proxy.base.errors import ArangoError, Unsupported
from proxy.base.spool import SpooledRows, SpoolSpace
from proxy.model import json_values

_ROW = 128  # bytes of a row, without its value and the slots of its frame


def run(
    query: ast.Query, bind_vars: Mapping[str, Any] | None = None, options: QueryOptions | None = None
) -> Generator[Action, Any, Result]:
    """Evaluate a parsed query.

    Raise ArangoError as ArangoDB would (also the one that the caller throws in for an action), and Unsupported
    for a known feature that is not implemented.
    """
    binds = dict(bind_vars or {})
    analyse(query, binds)
    context = QueryContext(binds, options or QueryOptions())
    for code, message in query.warnings:
        context.warn(code, message)
    try:
        program = _Program(context, query)
        flow = program.run()
        size = _ROW + 8 * program.size
        if context.options.spools is not None:
            return (yield from _spooled(flow, context, context.options.spools))
        rows: list[ResultRow] = []
        for item in flow:
            if item.__class__ is ResultRow:
                rows.append(item)
                context.count_memory(1, sys.getsizeof(item.value) + size)
            else:
                yield from _ask(item)
        groups, cut = program.groups(rows), None
        if groups is not None:
            for part in (whole := program.whole_runs()):
                if isinstance(part, StoreRequest):
                    yield from _ask(part)
            cut = whole.value
    except RecursionError:
        raise ArangoError(1524, "too much nesting or too many objects in query", status=400) from None
    return Result(
        rows=[row.value for row in rows],
        groups=groups,
        cut=cut,
        warnings=tuple(context.warnings),
        stats=context.stats,
        full_count=context.full_count,
        order_undetermined=context.order_undetermined,
    )


def rows_without_store(query: ast.Query, context: QueryContext) -> Iterator[Value]:
    """Yield the rows of a query that reads and writes nothing. Raise ArangoError and Unsupported as `run` does.

    The query is a part of one that was analysed.
    """
    try:
        for item in _Program(context, query).run():
            if item.__class__ is not ResultRow:
                raise Unsupported("a document in a query that reads none")
            yield item.value
    except RecursionError:
        raise ArangoError(1524, "too much nesting or too many objects in query", status=400) from None


def _spooled(flow: Flow, context: QueryContext, spools: SpoolSpace) -> Generator[Action, Any, Result]:
    """Return the result with its rows apart from memory."""
    rows = SpooledRows(spools)
    for item in flow:
        if item.__class__ is ResultRow:
            rows.append(json_values.dump(item.value))
        else:
            yield from _ask(item)
    return Result(
        rows=[],
        groups=None,
        cut=None,
        warnings=tuple(context.warnings),
        stats=context.stats,
        full_count=context.full_count,
        spooled=rows,
    )


def _ask(request: StoreRequest) -> Generator[Action, Any, None]:
    """Pass a request to the caller, and its answer, or the error thrown in, back to the pipeline."""
    try:
        request.result = yield request.action
    except ArangoError as error:
        request.error = error


@dataclass(slots=True)
class _Window:
    """The rows that a LIMIT after a SORT let through, and the others of their first and last run of equal keys."""

    before: list[Frame]
    through: list[Frame]
    after: list[Frame]


class _WholeRuns:
    """An iterator of requests; `value` is set once it is exhausted."""

    def __init__(self, steps: Generator[StoreRequest, None, Any]) -> None:
        self._steps = steps
        self.value: tuple[list[Value] | None, list[Value] | None] | None = None

    def __iter__(self) -> Generator[StoreRequest, None, None]:
        self.value = yield from self._steps


class _Program:
    """The top level of a query, which knows how its rows are ordered."""

    def __init__(self, context: QueryContext, query: ast.Query) -> None:
        self.context = context
        self.query = query
        self.order = _order(query.statements)
        self.compiler = ProgramCompiler(context)
        self.mark = self.compiler.temporary()
        self.window: _Window | None = None
        self.stages: list[Stage] = []
        self.after_limit: list[Stage] = []  # of the statements after the LIMIT that follows the SORT
        limits = [index for index, statement in enumerate(query.statements) if isinstance(statement, ast.Limit)]
        for index, statement in enumerate(query.statements):
            if isinstance(statement, ast.Return):
                break
            counted = self._count if limits[-1:] == [index] and context.options.full_count else None
            self.stages.append(self._stage(index, statement, counted))
        self.project = rows_stage(self.compiler, query.statements[-1])

    def _stage(self, index: int, statement: ast.Statement, counted: Callable[[int], None] | None) -> Stage:
        c, statements = self.compiler, self.query.statements
        if isinstance(statement, ast.Sort) and index == self.order:
            c.tie = None
            by_bytes = by_primary_index(statements, index)
            return sort_stage(c, statement, statements[index + 1 :], self.mark, by_bytes=by_bytes)
        if isinstance(statement, ast.Limit):
            offset, count = limit_bounds(c, statement)
            if self.order is not None and index > self.order and isinstance(statements[self.order], ast.Sort):
                self.window = _Window([], [], [])
                return cutting_stage(offset, count, counted, self.mark, self.window)
            return limit(c, offset, count, counted)
        stage = c.stage(StatementPlace(statements, index))
        if self.window is not None:
            self.after_limit.append(stage)
        return stage

    @property
    def size(self) -> int:
        """The number of slots of a frame."""
        return self.compiler.size

    def _count(self, number: int) -> None:
        """Record fullCount: the number of rows that reached the last LIMIT."""
        self.context.full_count = number

    def run(self) -> Flow:
        """Yield all rows, and requests."""
        frame: Frame = [None] * self.size
        self.compiler.base[0] = frame
        flow: Flow = iter((frame,))
        for stage in self.stages:
            flow = stage(flow)
        return self.project(flow)

    def groups(self, rows: list[ResultRow]) -> tuple[int, ...] | None:
        """Return the sizes of the runs of equal sort key; None if no statement decides the order."""
        if self.order is None:
            return None
        if isinstance(self.query.statements[self.order], ast.Collect):
            return (1,) * len(rows)
        return tuple(len(list(group)) for _, group in groupby(rows, key=lambda row: row.frame[self.mark]))

    def whole_runs(self) -> _WholeRuns:
        """Return the rows of the whole first and last run, if the LIMIT cut them."""
        return _WholeRuns(self._whole_runs())

    def _whole_runs(self) -> Generator[StoreRequest, None, Any]:
        window = self.window
        if window is None or not window.through or not (window.before or window.after):
            return None
        first, last = window.through[0][self.mark], window.through[-1][self.mark]
        head = tail = None
        if window.before or first == last:
            head = window.before + [frame for frame in window.through if frame[self.mark] == first]
        if window.after or first == last:
            tail = [frame for frame in window.through if frame[self.mark] == last] + window.after
        if first == last:
            head = tail = window.before + window.through + window.after
        head_rows = yield from self._projected(head)
        return head_rows, (yield from self._projected(tail))

    def _projected(self, frames: list[Frame] | None) -> Generator[StoreRequest, None, list[Value] | None]:
        """Return the rows of frames as they left the LIMIT."""
        if frames is None:
            return None
        values: list[Value] = []
        flow: Flow = iter([frame[:] for frame in frames])
        for stage in self.after_limit:
            flow = stage(flow)
        for row in self.project(flow):
            if row.__class__ is ResultRow:
                values.append(row.value)
            else:
                yield row
        return values


def sorts_inside(query: ast.Query) -> bool:
    """Return True if a SORT whose keys may be equal does not decide the order of the result."""
    top, last = query.statements, _order(query.statements)
    sorts = [index for index, statement in enumerate(top) if isinstance(statement, ast.Sort)]
    harmless = {id(top[index]) for index in sorts if index == last or by_primary_index(top, index)}
    return any(isinstance(node, ast.Sort) and id(node) not in harmless for node in ast.walk(query))


def _order(statements: tuple[ast.Statement, ...]) -> int | None:
    """Return the index of the SORT or COLLECT that decides the order of the result; None if no statement does."""
    final = statements[-1]
    if not isinstance(final, ast.Return) or final.distinct:
        return None
    limits = 0
    for index in range(len(statements) - 2, -1, -1):
        statement = statements[index]
        if isinstance(statement, (ast.Sort, ast.Collect)):
            return None if limits > 1 else index
        if isinstance(statement, ast.Limit):
            limits += 1
        elif not isinstance(statement, (ast.Let, ast.Filter)):
            return None
    return None


def cutting_stage(
    offset: int, count: int | None, counted: Callable[[int], None] | None, mark: int, window: _Window
) -> Stage:
    """Return a LIMIT that records the runs of equal keys that it cuts."""

    def flow_through(flow: Flow) -> Flow:
        seen = 0
        end = None if count is None else offset + count
        for frame in flow:
            if frame.__class__ is not list:
                yield frame
                continue
            seen += 1
            if seen <= offset:
                if window.before and window.before[0][mark] != frame[mark]:
                    window.before.clear()
                window.before.append(frame)
            elif end is None or seen <= end:
                if seen == offset + 1 and window.before and window.before[0][mark] != frame[mark]:
                    window.before.clear()
                window.through.append(frame)
                yield frame
            elif window.through and frame[mark] == window.through[-1][mark]:
                window.after.append(frame)
            elif counted is None:
                return
        if counted is not None:
            counted(seen)

    return flow_through
