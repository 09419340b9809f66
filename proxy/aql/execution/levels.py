"""Levels of statements: a subquery as an expression whose value is the array of its rows."""

from __future__ import annotations

from collections.abc import Callable, Generator

from proxy.aql import ast
from proxy.aql.compiled_types import Compiled, Frame, Stepwise
from proxy.aql.execution.compiler import Flow, ProgramCompiler, Stage, StatementPlace, expression_of
from proxy.aql.execution.stages import ResultRow, rows_stage
from proxy.aql.query_context import QueryContext, size_of
from proxy.aql.requests import StoreRequest
from proxy.aql.signatures import FETCHING
from proxy.aql.values import Value


@expression_of(ast.Subquery)
def subquery(c: ProgramCompiler, node: ast.Subquery) -> Compiled:
    """Compile a subquery."""
    run = _level(c, node.query)
    context = c.context

    def steps(frame: Frame) -> Generator[StoreRequest, None, Value]:
        values: list[Value] = []
        for row in run(frame[:]):
            if row.__class__ is ResultRow:
                values.append(row.value)
            else:
                yield row
        _count(context, values)
        return values

    if _asks_store(node):
        return Stepwise(steps)

    def plain(frame: Frame) -> Value:
        # it asks the store for nothing, and cannot pause
        values = [row.value for row in run(frame[:]) if row.__class__ is ResultRow]
        _count(context, values)
        return values

    return plain


def _count(context: QueryContext, values: list[Value]) -> None:
    """Count the memory of an array, with that of its elements if they are not somewhere else too."""
    if context.options.spools is None:
        context.count_memory(len(values))
    else:
        context.count_memory(len(values), 8 + size_of(values))


def _level(c: ProgramCompiler, query: ast.Query) -> Callable[[Frame], Flow]:
    """Compile the statements of a subquery to a function from a frame to its Rows and requests."""
    around = c.base, c.known, c.tie, c.nested
    c.base, c.known, c.tie, c.nested = [[]], set(c.known), None, True
    base = c.base
    stages: list[Stage] = [
        c.stage(StatementPlace(query.statements, index))
        for index, statement in enumerate(query.statements)
        if not isinstance(statement, ast.Return)
    ]
    rows = rows_stage(c, query.statements[-1])
    c.base, c.known, c.tie, c.nested = around

    def run(frame: Frame) -> Flow:
        base[0] = frame
        flow: Flow = iter((frame,))
        for stage in stages:
            flow = stage(flow)
        return rows(flow)

    return run


def _asks_store(node: ast.Subquery) -> bool:
    """Return True if a subquery may ask the store."""
    return any(
        isinstance(
            below, (ast.Collection, ast.Traversal, ast.Paths, ast.Insert, ast.UpdateOrReplace, ast.Remove, ast.Upsert)
        )
        or (isinstance(below, ast.Parameter) and below.source)
        or (isinstance(below, ast.Call) and below.name in FETCHING)
        for below in ast.walk(node)
    )
