"""SORT and LIMIT, and whether equal sort keys leave the result open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from proxy.aql import ast
from proxy.aql.compiled_types import Compiled, Constant, Stepwise
from proxy.aql.execution.compiler import Flow, ProgramCompiler, Stage, StatementPlace, stage_of
from proxy.aql.execution.held_rows import unneeded_slots
from proxy.aql.execution.sorted_rows import Sorter
from proxy.aql.primary_index_order import by_primary_index
from proxy.aql.query_context import QueryContext
from proxy.aql.values import Value, order_key
from proxy.base.errors import ArangoError

_PAUSE_INTERVAL: Final = 64  # frames between two checks of how long the query has run without a pause

# --- SORT


@stage_of(ast.Sort)
def sort_statement(c: ProgramCompiler, node: ast.Sort, place: StatementPlace) -> Stage:
    """Compile a SORT that does not decide the order of the result.

    Equal keys show in which rows a LIMIT lets through, and in an array, which only a subquery or COLLECT INTO makes.
    """
    c.tie = None
    if by_primary_index(place.statements, place.index):
        return sort_stage(c, node, place.following, by_bytes=True)
    if not c.context.options.ties:
        return sort_stage(c, node, place.following)
    for later in place.following:
        if isinstance(later, ast.Limit):
            c.tie = c.temporary()
            c.visible = c.nested or any(isinstance(one, ast.Collect) and one.into for one in place.following)
            return sort_stage(c, node, place.following, c.tie, positions=True)
        if isinstance(later, ast.Collect):
            return sort_stage(c, node, place.following, ties=later.into is not None)
    return sort_stage(c, node, place.following, ties=c.nested)


def sort_stage(
    c: ProgramCompiler,
    node: ast.Sort,
    following: tuple[ast.Statement, ...],
    mark: int | None = None,
    *,
    by_bytes: bool = False,
    ties: bool = False,
    positions: bool = False,
) -> Stage:
    """Return the stage that orders all frames.

    following: the statements after it. mark: a slot that gets the number of the run of equal keys that a frame belongs
    to. by_bytes: the only sort key is a `_key`, and keys are in byte order. ties: record equal keys. positions: the
    slot gets the position of the frame as well, which all frames have in common that a later FOR makes of it.
    """
    keys = _keys(c, node)
    order: Callable[[Value], Any] = str if by_bytes else order_key  # keys are ASCII
    context = c.context

    unneeded = unneeded_slots(c, (node, *following)) if context.options.spools is not None else []

    def run(flow: Flow) -> Flow:
        sorter = Sorter(context, [ascending for _, ascending in keys])
        for frame in flow:
            if frame.__class__ is not list:
                yield frame
                continue
            values: list[Any] = []
            for key, _ in keys:
                value = (yield from key.steps(frame)) if isinstance(key, Stepwise) else key(frame)
                values.append(order(value))
            for slot in unneeded:
                frame[slot] = None
            sorter.add(values, frame)
        number, last = -1, None
        for place, (values, frame) in enumerate(sorter.ordered()):
            if not place % _PAUSE_INTERVAL:
                yield from context.pause_if_due()
            if mark is not None or ties:
                if values != last:
                    number, last = number + 1, values
                elif ties:
                    context.order_undetermined = True
            if mark is not None:
                frame[mark] = (number, place) if positions else number
            yield frame

    return run


def _keys(c: ProgramCompiler, node: ast.Sort) -> list[tuple[Compiled, bool]]:
    """Return each key and whether it ascends; constants order nothing and are left out."""
    found: list[tuple[Compiled, bool]] = []
    for key in node.keys:
        value = c.expression(key.value)
        if not isinstance(value, Constant):
            found.append((value, _ascending(c, key.direction)))
    return found


def _ascending(c: ProgramCompiler, direction: str | ast.Expr) -> bool:
    if isinstance(direction, str):
        return direction == "ASC"
    compiled = c.expression(direction)
    value = compiled.value if isinstance(compiled, Constant) else None
    if isinstance(value, str):
        if value.upper() in ("ASC", "DESC"):
            return value.upper() == "ASC"
    elif isinstance(value, (bool, int, float)):
        return bool(value)
    raise ArangoError(1501, "AQL: invalid sort direction, expecting 'ASC' or 'DESC' (while parsing)", status=400)


# --- LIMIT


@stage_of(ast.Limit)
def limit_statement(c: ProgramCompiler, node: ast.Limit, _place: StatementPlace) -> Stage:
    """Compile LIMIT."""
    return limit(c, *limit_bounds(c, node), None)


def limit(c: ProgramCompiler, offset: int, count: int | None, counted: Callable[[int], None] | None) -> Stage:
    """Return the stage of a LIMIT, which looks for equal keys if it follows a SORT whose ties matter.

    counted: called with the number of rows without the LIMIT, which takes reading to the end.
    """
    if c.tie is None:
        return _limit_stage(offset, count, counted)
    return _tied_stage(offset, count, counted, c.tie, c.context, visible=c.visible)


def limit_bounds(c: ProgramCompiler, node: ast.Limit) -> tuple[int, int | None]:
    """Return offset and count: constants or bind variables. Raise ArangoError 1501, 1504."""
    offset = 0 if node.offset is None else _limit_number(c, node.offset)
    count = _limit_number(c, node.count)
    if offset is None:
        offset = 0
    if node.offset is None and count is None:
        count = 0
    return offset, count


def _limit_number(c: ProgramCompiler, node: ast.Expr) -> int | None:
    """Return a number of LIMIT; None for null."""
    compiled = c.expression(node)
    if isinstance(compiled, Stepwise) or any(isinstance(n, (ast.Variable, ast.Subquery)) for n in ast.walk(node)):
        raise ArangoError(1501, "AQL: Unexpected non-constant value in LIMIT (while parsing)", status=400)
    value = compiled([])
    if value is None:
        return None
    if value.__class__ not in (int, float) or value < 0 or value >= 1 << 63:
        raise ArangoError(1504, "AQL: LIMIT value is not a number or out of range (while parsing)", status=400)
    return int(value)


def _limit_stage(offset: int, count: int | None, counted: Callable[[int], None] | None) -> Stage:
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


def _tied_stage(
    offset: int,
    count: int | None,
    counted: Callable[[int], None] | None,
    mark: int,
    context: QueryContext,
    *,
    visible: bool,
) -> Stage:
    """Return a LIMIT that records equal keys of a frame that it lets through and of one that it does not.

    visible: record those of any two frames that it lets through as well.
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
                context.order_undetermined = True
            last = (run_of_keys, place)
            if through:
                yield frame
            elif end is not None and seen > end and counted is None:
                return
        if counted is not None:
            counted(seen)

    return run
