"""Statements -> a chain of generators over frames.

A stage takes the iterator of the stage before it and yields frames; requests to the store travel down the same chain,
so every stage hands on what is no frame (a frame is a list). Stages are lazy: LIMIT stops what feeds it. Modifications
are not: they take in all rows before the first write, so that reads see the state before the query.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from operator import itemgetter
from typing import Any, TypeAlias

from proxy.aql import ast
from proxy.aql.access import access
from proxy.aql.analyse import source_name
from proxy.aql.choices import scans
from proxy.aql.compiled_types import Compiled, Constant, Frame, Plain, Stepwise, evaluate
from proxy.aql.expression_compiler import ExpressionCompiler
from proxy.aql.primary_index_order import by_primary_index
from proxy.aql.query_context import Context
from proxy.aql.requests import Document, Request
from proxy.aql.scan_narrowing import conditions, narrowed
from proxy.aql.values import Value, hash_key, order_key, to_integer, truthy, type_name
from proxy.base.errors import ArangoError, Unsupported

Flow: TypeAlias = Iterator[Any]  # of frames and Requests
Stage: TypeAlias = Callable[[Flow], Flow]

_PAUSE = 1024  # frames between two looks at the clock


class PipelineCompiler(ExpressionCompiler):
    """Compiles FOR, FILTER, LET, SORT and LIMIT; what else there is stands in the classes derived from it.

    tie: the slot with the run of equal sort keys that a frame belongs to, and its place, for a LIMIT to come; None
    where nobody looks. visible: whether the order of what that LIMIT lets through shows, or only which it lets through.
    nested: whether these are the statements of a subquery, whose rows become an array.
    """

    tie: int | None = None
    visible = False
    nested = False

    def ordered_stage(self, statements: tuple[ast.Statement, ...], index: int, bound: set[str]) -> Stage:
        """The stage of a statement that may be a SORT by the primary index."""
        statement = statements[index]
        if isinstance(statement, ast.Sort) and by_primary_index(statements, index):
            self.tie = None
            return self.sort_stage(statement, by_bytes=True)
        return self.stage(statement, statements[index + 1 :], bound)

    def stage(self, statement: ast.Statement, following: tuple[ast.Statement, ...], bound: set[str]) -> Stage:
        """One statement's stage; adds what it binds to `bound`."""
        if isinstance(statement, ast.For):
            return self.for_stage(statement, following, bound)
        if isinstance(statement, ast.Filter):
            return filter_stage(self, self.expression(statement.condition))
        if isinstance(statement, ast.Let):
            value = self.expression(statement.value)
            bound.update(_names(statement.target))
            stage = let_stage(value, self.binder(statement.target))
            if isinstance(value, Constant) and isinstance(statement.target, str):
                self.constants[statement.target] = value
            return stage
        if isinstance(statement, ast.Sort):
            return self.inner_sort(statement, following)
        if isinstance(statement, ast.Limit):
            return self.limit(*self.limit_bounds(statement), None)
        if isinstance(statement, ast.Collect):
            self.tie = None
        return self.other_stage(statement, bound)

    def inner_sort(self, node: ast.Sort, following: tuple[ast.Statement, ...]) -> Stage:
        """A SORT that is not the last word on the order of the result.

        Equal keys show in what a LIMIT lets through; and in an array, which only a subquery or COLLECT INTO makes.
        """
        self.tie = None
        if not self.context.options.ties:
            return self.sort_stage(node)
        for later in following:
            if isinstance(later, ast.Limit):
                self.tie = self.temporary()
                self.visible = self.nested or any(isinstance(one, ast.Collect) and one.into for one in following)
                return self.sort_stage(node, self.tie, positions=True)
            if isinstance(later, ast.Collect):
                return self.sort_stage(node, ties=later.into is not None)
        return self.sort_stage(node, ties=self.nested)

    def limit(self, offset: int, count: int | None, counted: Callable[[int], None] | None) -> Stage:
        """A LIMIT, which looks for equal keys where it stands behind a SORT of which somebody wants to know."""
        if self.tie is None:
            return limit_stage(offset, count, counted)
        return tied_stage(offset, count, counted, self.tie, self.context, visible=self.visible)

    def other_stage(self, statement: ast.Statement, bound: set[str]) -> Stage:
        """COLLECT, WINDOW, modifications, traversals."""
        raise NotImplementedError

    # --- variables

    def binder(self, pattern: ast.Pattern) -> Callable[[Frame, Value], None]:
        """A function that puts a value into the slots of a pattern."""
        if isinstance(pattern, str):
            slot = self.slot(pattern)

            def put(frame: Frame, value: Value) -> None:
                frame[slot] = value

            return put
        parts: list[tuple[Any, Callable[[Frame, Value], None]]] = []
        if isinstance(pattern, ast.ObjectPattern):
            for name, target in zip(pattern.attributes, pattern.targets, strict=True):
                parts.append((name, self.binder(target)))
        else:
            for position, element in enumerate(pattern.targets):
                if element is not None:
                    parts.append((position, self.binder(element)))
        kind = dict if isinstance(pattern, ast.ObjectPattern) else list

        def spread(frame: Frame, value: Value) -> None:
            for key, bind in parts:
                bind(frame, access(value, key) if value.__class__ is kind else None)

        return spread

    # --- FOR

    def for_stage(self, node: ast.For, following: tuple[ast.Statement, ...], bound: set[str]) -> Stage:
        """FOR over a collection, a range, or a value."""
        if node.search is not None:
            raise Unsupported("SEARCH")
        if scans(node.source):
            return self.scan_stage(node, following, bound)
        if isinstance(node.source, ast.Range):
            low, high = self.expression(node.source.low), self.expression(node.source.high)
            bound.update(_names(node.variable))
            return self.loop_stage(_range_source(low, high), self.binder(node.variable))
        source = self.expression(node.source)
        bound.update(_names(node.variable))
        return self.loop_stage(_value_source(source), self.binder(node.variable))

    def scan_stage(self, node: ast.For, following: tuple[ast.Statement, ...], bound: set[str]) -> Stage:
        """FOR over a collection, narrowed by the filters that follow."""
        source = node.source
        assert isinstance(source, (ast.Collection, ast.Parameter))
        name = source.name if isinstance(source, ast.Collection) else source_name(self.context.binds, source.name)
        pushed, context = [], self.context
        if isinstance(node.variable, str):
            before, context.quiet = context.quiet, True  # the filters are compiled once more, in their places
            try:
                pushed = conditions(node.variable, following, bound, self.expression)
            finally:
                context.quiet = before
        bound.update(_names(node.variable))

        def fetch(frame: Frame) -> Generator[Request, None, list[Document]]:
            context.quiet = True
            try:
                wanted = narrowed(name, pushed, frame)
            finally:
                context.quiet = False
            return (yield from context.fetch(wanted))

        return self.loop_stage(fetch, self.binder(node.variable))

    def loop_stage(
        self, source: Callable[[Frame], Generator[Request, None, Any]], bind: Callable[[Frame, Value], None]
    ) -> Stage:
        """One frame for each element of what `source` gives for a frame."""
        context = self.context

        def run(flow: Flow) -> Flow:
            for frame in flow:
                if frame.__class__ is not list:
                    yield frame
                    continue
                items = yield from source(frame)
                for count, item in enumerate(items):
                    if not count % _PAUSE:
                        context.check_time()
                    grown = frame[:]
                    bind(grown, item)
                    yield grown

        return run

    # --- SORT and LIMIT

    def directions(self, node: ast.Sort) -> list[tuple[Compiled, bool]]:
        """Each key and whether it ascends; constants order nothing and are left out."""
        found: list[tuple[Compiled, bool]] = []
        for key in node.keys:
            value = self.expression(key.value)
            if not isinstance(value, Constant):
                found.append((value, _ascending(self, key.direction)))
        return found

    def sort_stage(
        self,
        node: ast.Sort,
        mark: int | None = None,
        *,
        by_bytes: bool = False,
        ties: bool = False,
        positions: bool = False,
    ) -> Stage:
        """Orders all frames. mark: a slot that gets the number of the run of equal keys that a frame belongs to.
        by_bytes: the only sort key is a `_key`, and keys come in byte order. ties: equal keys are noted. positions: the
        slot gets the frame's place as well, which those that FOR makes of it have in common."""
        keys = self.directions(node)
        order: Callable[[Value], Any] = str if by_bytes else order_key  # keys are ASCII
        context = self.context

        def run(flow: Flow) -> Flow:
            decorated: list[tuple[list[Any], Frame]] = []
            for frame in flow:
                if frame.__class__ is not list:
                    yield frame
                    continue
                values: list[Any] = []
                for key, _ in keys:
                    value = (yield from key.steps(frame)) if isinstance(key, Stepwise) else key(frame)
                    values.append(order(value))
                context.hold(1)
                decorated.append((values, frame))
            orders = {ascending for _, ascending in keys}
            if len(orders) == 1:
                decorated.sort(key=itemgetter(0), reverse=False in orders)
            for position in range(len(keys) - 1, -1, -1) if len(orders) > 1 else ():
                decorated.sort(key=lambda entry: entry[0][position], reverse=not keys[position][1])
            number, last = -1, None
            for place, (values, frame) in enumerate(decorated):
                if mark is not None or ties:
                    if values != last:
                        number, last = number + 1, values
                    elif ties:
                        context.torn = True
                if mark is not None:
                    frame[mark] = (number, place) if positions else number
                yield frame

        return run

    def limit_bounds(self, node: ast.Limit) -> tuple[int, int | None]:
        """Offset and count: constants or bind parameters. Raises 1504."""
        offset = 0 if node.offset is None else self.constant(node.offset)
        count = self.constant(node.count)
        if offset is None:
            offset = 0
        if node.offset is None and count is None:
            count = 0
        return offset, count

    def constant(self, node: ast.Expr) -> int | None:
        """A number of LIMIT; None for null. Raises 1504 for what is no number from 0 on."""
        compiled = self.expression(node)
        if isinstance(compiled, Stepwise) or any(isinstance(n, (ast.Variable, ast.Subquery)) for n in ast.walk(node)):
            raise ArangoError(1501, "AQL: Unexpected non-constant value in LIMIT (while parsing)", status=400)
        value = compiled([])
        if value is None:
            return None
        if value.__class__ not in (int, float) or value < 0 or value >= 1 << 63:
            raise ArangoError(1504, "AQL: LIMIT value is not a number or out of range (while parsing)", status=400)
        return int(value)


def _ascending(compiler: ExpressionCompiler, direction: str | ast.Expr) -> bool:
    if isinstance(direction, str):
        return direction == "ASC"
    compiled = compiler.expression(direction)
    value = compiled.value if isinstance(compiled, Constant) else None
    if isinstance(value, str):
        if value.upper() in ("ASC", "DESC"):
            return value.upper() == "ASC"
    elif isinstance(value, (bool, int, float)):
        return bool(value)
    raise ArangoError(1501, "AQL: invalid sort direction, expecting 'ASC' or 'DESC' (while parsing)", status=400)


def _names(pattern: ast.Pattern | None) -> Iterator[str]:
    if isinstance(pattern, str):
        yield pattern
    elif pattern is not None:
        for target in pattern.targets:
            yield from _names(target)


def _range_source(low: Compiled, high: Compiled) -> Callable[[Frame], Generator[Request, None, Any]]:
    def source(frame: Frame) -> Generator[Request, None, Any]:
        first = to_integer((yield from evaluate(low, frame)))
        last = to_integer((yield from evaluate(high, frame)))
        return range(first, last + 1) if first <= last else range(first, last - 1, -1)

    return source


def _value_source(compiled: Compiled) -> Callable[[Frame], Generator[Request, None, Any]]:
    def source(frame: Frame) -> Generator[Request, None, Any]:
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


def filter_stage(compiler: PipelineCompiler, condition: Compiled) -> Stage:
    """Lets frames through where the condition is truthy."""
    stats = compiler.context.stats
    if isinstance(condition, Stepwise):
        steps = condition.steps

        def run(flow: Flow) -> Flow:
            for frame in flow:
                if frame.__class__ is not list or truthy((yield from steps(frame))):
                    yield frame
                else:
                    stats.filtered += 1

        return run
    test: Plain = condition

    def quick(flow: Flow) -> Flow:
        for frame in flow:
            if frame.__class__ is not list or truthy(test(frame)):
                yield frame
            else:
                stats.filtered += 1

    return quick


def let_stage(value: Compiled, bind: Callable[[Frame, Value], None]) -> Stage:
    """Binds a value in every frame."""

    def run(flow: Flow) -> Flow:
        for frame in flow:
            if frame.__class__ is list:
                bind(frame, (yield from value.steps(frame)) if isinstance(value, Stepwise) else value(frame))
            yield frame

    return run


def limit_stage(offset: int, count: int | None, counted: Callable[[int], None] | None) -> Stage:
    """Skips and cuts. counted: is told how many there would have been, which takes reading on to the end."""

    def run(flow: Flow) -> Flow:
        seen = 0
        if count == 0 and counted is None:
            return
        for frame in flow:
            if frame.__class__ is not list:
                yield frame
                continue
            seen += 1
            if seen > offset and (count is None or seen <= offset + count):
                yield frame
                if counted is None and count is not None and seen == offset + count:
                    return
        if counted is not None:
            counted(seen)

    return run


def tied_stage(
    offset: int,
    count: int | None,
    counted: Callable[[int], None] | None,
    mark: int,
    context: Context,
    *,
    visible: bool,
) -> Stage:
    """A LIMIT that notes equal keys of a frame that it lets through and of one that not.

    visible: and of any two that it lets through.
    """

    def run(flow: Flow) -> Flow:
        seen, last, end = 0, None, None if count is None else offset + count
        for frame in flow:
            if frame.__class__ is not list:
                yield frame
                continue
            seen += 1
            through = seen > offset and (end is None or seen <= end)
            borders = seen == offset + 1 or (end is not None and seen == end + 1)
            touches = (end is None or end > offset) and (borders or (visible and through))
            run_of_keys, place = frame[mark]
            if touches and last is not None and run_of_keys == last[0] and place != last[1]:
                context.torn = True
            last = (run_of_keys, place)
            if through:
                yield frame
            elif end is not None and seen > end and counted is None:
                return
        if counted is not None:
            counted(seen)

    return run


def distinct(rows: Flow) -> Flow:
    """Rows without repetition, requests handed on."""
    seen: set[Any] = set()
    for row in rows:
        if row.__class__ is not Row:
            yield row
        elif (key := hash_key(row.value)) not in seen:
            seen.add(key)
            yield row


class Row:
    """A row of the result on its way through the chain: its value, and the frame that it was made of."""

    __slots__ = ("frame", "value")

    def __init__(self, value: Value, frame: Frame) -> None:
        self.value = value
        self.frame = frame
