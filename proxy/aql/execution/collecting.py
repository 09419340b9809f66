"""COLLECT in all its forms, and WINDOW (semantics page, section 8)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from proxy.aql import ast
from proxy.aql.aggregates import AGGREGATES
from proxy.aql.compiled_types import Compiled, Constant, Frame, evaluate
from proxy.aql.execution.compiler import Flow, ProgramCompiler, Stage, StatementPlace, stage_of
from proxy.aql.execution.windows import bounds_of, spans
from proxy.aql.query_context import QueryContext, weight_of
from proxy.aql.requests import StoreRequest
from proxy.aql.values import Value, hash_key, order_key
from proxy.base.errors import ArangoError

Aggregated: TypeAlias = list[tuple[Callable[[list[Value]], Value], Compiled]]  # functions and their arguments
Gather: TypeAlias = Callable[[Frame], Generator[StoreRequest, None, Value]]
_PAUSE_INTERVAL: Final = 64  # groups between two checks of how long the query has run without a pause
_WEIGHED: Final = 8  # of so many rows that INTO keeps, one is weighed


@dataclass(slots=True, eq=False)
class _Group:
    """Frames with equal keys. values: the arguments of each aggregate, one a frame. into: what INTO keeps."""

    frame: Frame
    keys: list[Value]
    values: list[list[Value]]
    into: list[Value] = field(default_factory=list)
    count: int = 0


@dataclass(frozen=True, slots=True)
class _Outputs:
    """The slots that a group fills."""

    keys: list[int]
    aggregates: list[int]
    into: int | None
    count: int | None


@stage_of(ast.Collect)
def collect_statement(c: ProgramCompiler, node: ast.Collect, _place: StatementPlace) -> Stage:
    """Compile COLLECT: one frame for each group, in the order of the keys."""
    c.tie = None
    keys = [c.expression(assign.value) for assign in node.groups]
    aggregates = _aggregates(c, node.aggregates)
    gather = _gather(c, node)
    ended = c.slots_of(node.ends)
    outputs = _Outputs(
        keys=[c.slot(assign.name) for assign in node.groups],
        aggregates=[c.slot(assign.name) for assign in node.aggregates],
        into=c.slot(node.into) if node.into is not None else None,
        count=c.slot(node.count_into) if node.count_into is not None else None,
    )
    c.known.update(assign.name for assign in (*node.groups, *node.aggregates))
    c.known.update(name for name in (node.into, node.count_into) if name is not None)
    base, context = c.base, c.context
    functions = [function for function, _ in aggregates]

    def run(flow: Flow) -> Flow:
        groups = yield from _grouped(flow, keys, aggregates, gather, context, ended)
        if not keys and not groups:
            groups[()] = _Group(base[0], [], [[] for _ in aggregates])
        ordered = sorted(groups.values(), key=lambda g: [order_key(value) for value in g.keys])
        for number, group in enumerate(ordered):
            if not number % _PAUSE_INTERVAL:
                yield from context.pause_if_due()
            yield _filled(group, functions, outputs)

    return run


def _grouped(
    flow: Flow,
    keys: list[Compiled],
    aggregates: Aggregated,
    gather: Gather | None,
    context: QueryContext,
    ended: list[int],
) -> Generator[Any, None, dict[Hashable, _Group]]:
    """Consume all frames and return their groups; requests are passed on. ended: slots of variables that end here."""
    groups: dict[Hashable, _Group] = {}
    weighs = context.options.spools is not None
    for frame in flow:
        if frame.__class__ is not list:
            yield frame
            continue
        values: list[Value] = []
        for key in keys:
            values.append((yield from evaluate(key, frame)))  # noqa: PERF401
        identity = tuple([hash_key(value) for value in values])
        group = groups.get(identity)
        if group is None:
            kept = frame[:]
            for slot in ended:  # its documents are not needed any more
                kept[slot] = None
            group = groups[identity] = _Group(kept, values, [[] for _ in aggregates])
        group.count += 1
        for position, (_, argument) in enumerate(aggregates):
            group.values[position].append((yield from evaluate(argument, frame)))
        if gather is not None:
            group.into.append((yield from gather(frame)))
            if weighs and group.count % _WEIGHED == 1:
                context.count_memory(_WEIGHED, weight_of(group.into[-1]))
        context.count_memory(1)
    return groups


def _filled(group: _Group, functions: list[Callable[[list[Value]], Value]], outputs: _Outputs) -> Frame:
    """Return the frame of a group: that of its first row, with what COLLECT binds."""
    grown = group.frame[:]
    for slot, value in zip(outputs.keys, group.keys, strict=True):
        grown[slot] = value
    for slot, function, collected in zip(outputs.aggregates, functions, group.values, strict=True):
        grown[slot] = function(collected)
    if outputs.into is not None:
        grown[outputs.into] = group.into
    if outputs.count is not None:
        grown[outputs.count] = group.count
    return grown


def _aggregates(c: ProgramCompiler, assigns: tuple[ast.Assign, ...]) -> Aggregated:
    """Return the function of each aggregate and its compiled argument."""
    found: Aggregated = []
    for assign in assigns:
        call = assign.value
        if not isinstance(call, ast.Call) or call.name not in AGGREGATES:
            raise ArangoError(1574, "AQL: unknown aggregate function used (while parsing)", status=400)
        value = c.expression(call.arguments[0]) if call.arguments else Constant(None)
        found.append((AGGREGATES[call.name].evaluate, value))
    return found


def _gather(c: ProgramCompiler, node: ast.Collect) -> Gather | None:
    """Compile what INTO keeps of a frame: an expression, or an object of the variables that end here."""
    if node.into is None:
        return None
    if node.into_value is not None:
        value = c.expression(node.into_value)
        return lambda frame: evaluate(value, frame)
    names = node.ends if node.keep is None else node.keep
    slots = [(name, c.slot(name)) for name in names]

    def build(frame: Frame) -> Generator[StoreRequest, None, Value]:
        yield from ()  # a generator, like the other kind
        return {name: frame[slot] for name, slot in slots}

    return build


@stage_of(ast.Window)
def window_statement(c: ProgramCompiler, node: ast.Window, _place: StatementPlace) -> Stage:
    """Compile WINDOW: aggregates over the rows round each row, by position or by the distance of a value."""
    by_value = node.value is not None
    key = c.expression(node.value) if node.value is not None else Constant(None)
    bounds = bounds_of(c.expression(node.bounds), by_value=by_value)
    c.known.update(assign.name for assign in node.aggregates)
    aggregates = _aggregates(c, node.aggregates)
    slots = [c.slot(assign.name) for assign in node.aggregates]
    context = c.context

    def run(flow: Flow) -> Flow:
        frames: list[Frame] = []
        order: list[Any] = []
        columns: list[list[Value]] = [[] for _ in aggregates]
        for frame in flow:
            if frame.__class__ is not list:
                yield frame
                continue
            frames.append(frame)
            order.append((yield from evaluate(key, frame)))
            context.count_memory(1)
        if by_value:
            places = sorted(range(len(frames)), key=lambda i: order_key(order[i]))
            frames, order = [frames[i] for i in places], [order[i] for i in places]
        for frame in frames:
            for column, (_, argument) in zip(columns, aggregates, strict=True):
                column.append((yield from evaluate(argument, frame)))
        ranges = spans(order if by_value else list(range(len(frames))), bounds)
        for frame, (first, last) in zip(frames, ranges, strict=True):
            for slot, column, (function, _) in zip(slots, columns, aggregates, strict=True):
                frame[slot] = function(column[first:last])
            context.check_time()
            yield frame

    return run
