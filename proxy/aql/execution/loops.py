"""FOR over a collection, a range or a value."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final, TypeAlias

from proxy.aql import ast
from proxy.aql.analyse import source_name
from proxy.aql.compiled_types import Compiled, Frame, evaluate
from proxy.aql.execution.compiler import Flow, ProgramCompiler, Stage, StatementPlace, stage_of
from proxy.aql.execution.stages import Binder, binder
from proxy.aql.query_context import QueryContext
from proxy.aql.requests import Document, DocumentPage, StoreRequest
from proxy.aql.scan_narrowing import conditions, narrowed
from proxy.aql.trees import is_collection, pattern_names
from proxy.aql.values import to_integer, type_name
from proxy.base.errors import ArangoError, Unsupported

Source: TypeAlias = Callable[[Frame], Generator[StoreRequest, None, Any]]  # what a loop goes through, for a frame
_CLOCK_INTERVAL: Final = 1024  # frames between two checks of the time limit
_PAUSE_INTERVAL: Final = 16  # frames between two checks of how long the query has run without a pause


@stage_of(ast.For)
def for_statement(c: ProgramCompiler, node: ast.For, place: StatementPlace) -> Stage:
    """Compile FOR."""
    if node.search is not None:
        raise Unsupported("SEARCH")
    if is_collection(node.source):
        source = _scan(c, node, place)
    elif isinstance(node.source, ast.Range):
        source = _range(c.expression(node.source.low), c.expression(node.source.high))
    else:
        source = _elements(c.expression(node.source))
    c.known.update(pattern_names(node.variable))
    return _loop(c.context, source, binder(c, node.variable))


def _loop(context: QueryContext, source: Source, bind: Binder) -> Stage:
    """Return the stage that yields one frame for each element."""

    pauses = context.options.spools is not None

    def run(flow: Flow) -> Flow:
        for frame in flow:
            if frame.__class__ is not list:
                yield frame
                continue
            found = yield from source(frame)
            while True:
                for count, item in enumerate(found.documents if found.__class__ is DocumentPage else found):
                    if not count % _CLOCK_INTERVAL:
                        context.check_time()
                    if pauses and not count % _PAUSE_INTERVAL:
                        yield from context.pause_if_due()
                    grown = frame[:]
                    bind(grown, item)
                    yield grown
                if found.__class__ is not DocumentPage:
                    break
                found = yield from context.next_page(found)

    return run


def _scan(c: ProgramCompiler, node: ast.For, place: StatementPlace) -> Source:
    """Go through a collection, narrowed by the filters that follow."""
    source = node.source
    assert isinstance(source, (ast.Collection, ast.Parameter))
    name = source.name if isinstance(source, ast.Collection) else source_name(c.context.binds, source.name)
    pushed, context = [], c.context
    if isinstance(node.variable, str):
        before, context.quiet = context.quiet, True  # the filters are compiled again, in their places
        try:
            pushed = conditions(node.variable, place.following, c.known, c.expression)
        finally:
            context.quiet = before

    def fetch(frame: Frame) -> Generator[StoreRequest, None, list[Document] | DocumentPage]:
        context.quiet = True
        try:
            wanted = narrowed(name, pushed, frame)
        finally:
            context.quiet = False
        return (yield from context.scan(wanted))

    return fetch


def _range(low: Compiled, high: Compiled) -> Source:
    def source(frame: Frame) -> Generator[StoreRequest, None, Any]:
        first = to_integer((yield from evaluate(low, frame)))
        last = to_integer((yield from evaluate(high, frame)))
        return range(first, last + 1) if first <= last else range(first, last - 1, -1)

    return source


def _elements(compiled: Compiled) -> Source:
    def source(frame: Frame) -> Generator[StoreRequest, None, Any]:
        value = yield from evaluate(compiled, frame)
        if value.__class__ is not list:
            raise ArangoError(
                1563,
                "AQL: array expected as operand to FOR loop; you provided a value of type "
                f"'{type_name(value)}' (while executing)",
                status=400,
            )
        return value

    return source
