"""COLLECT in all its forms, and WINDOW (semantics page, section 8)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from typing import Any

from proxy.aql import ast
from proxy.aql.aggregates import AGGREGATES
from proxy.aql.compiled_types import Compiled, Constant, Frame, evaluate
from proxy.aql.pipeline import Flow, PipelineCompiler, Stage
from proxy.aql.requests import Request
from proxy.aql.values import Value, hash_key, order_key, to_number
from proxy.aql.windows import bounds_of, spans
from proxy.base.errors import ArangoError


class _Group:
    __slots__ = ("count", "frame", "into", "keys", "values")

    def __init__(self, frame: Frame, keys: list[Value], aggregates: int) -> None:
        self.frame = frame
        self.keys = keys
        self.values: list[list[Value]] = [[] for _ in range(aggregates)]
        self.into: list[Value] = []
        self.count = 0


class CollectCompiler(PipelineCompiler):
    """Compiles COLLECT and WINDOW."""

    base: list[Frame]  # the frame that the present query level began with

    def aggregates(self, assigns: tuple[ast.Assign, ...]) -> list[tuple[Callable[[list[Value]], Value], Compiled]]:
        """The function of each aggregate and what it is applied to."""
        found: list[tuple[Callable[[list[Value]], Value], Compiled]] = []
        for assign in assigns:
            call = assign.value
            if not isinstance(call, ast.Call) or call.name not in AGGREGATES:
                raise ArangoError(1574, "AQL: unknown aggregate function used (while parsing)", status=400)
            value = self.expression(call.arguments[0]) if call.arguments else Constant(None)
            found.append((AGGREGATES[call.name].evaluate, value))
        return found

    def collect_stage(self, node: ast.Collect) -> Stage:
        """Groups all frames; the groups come in the order of their keys."""
        keys = [self.expression(assign.value) for assign in node.groups]
        aggregates = self.aggregates(node.aggregates)
        gather = self.gather(node)
        key_slots = [self.slot(assign.name) for assign in node.groups]
        result_slots = [self.slot(assign.name) for assign in node.aggregates]
        into = self.slot(node.into) if node.into is not None else None
        counted = self.slot(node.count_into) if node.count_into is not None else None
        base = self.base
        context = self.context

        def run(flow: Flow) -> Flow:
            groups: dict[Hashable, _Group] = {}
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
                    group = groups[identity] = _Group(frame, values, len(aggregates))
                group.count += 1
                for position, (_, argument) in enumerate(aggregates):
                    group.values[position].append((yield from evaluate(argument, frame)))
                if gather is not None:
                    group.into.append((yield from gather(frame)))
                context.hold(1)
            if not keys and not groups:
                groups[()] = _Group(base[0], [], len(aggregates))
            for group in sorted(groups.values(), key=lambda g: [order_key(value) for value in g.keys]):
                grown = group.frame[:]
                for slot, value in zip(key_slots, group.keys, strict=True):
                    grown[slot] = value
                for slot, (function, _), collected in zip(result_slots, aggregates, group.values, strict=True):
                    grown[slot] = function(collected)
                if into is not None:
                    grown[into] = group.into
                if counted is not None:
                    grown[counted] = group.count
                yield grown

        return run

    def gather(self, node: ast.Collect) -> Callable[[Frame], Generator[Request, None, Value]] | None:
        """What INTO keeps of one frame: an expression, or an object of the variables that end here."""
        if node.into is None:
            return None
        if node.into_value is not None:
            value = self.expression(node.into_value)
            return lambda frame: evaluate(value, frame)
        names = node.ends if node.keep is None else node.keep
        slots = [(name, self.slot(name)) for name in names]

        def build(frame: Frame) -> Generator[Request, None, Value]:
            yield from ()  # a generator, like the other kind
            return {name: frame[slot] for name, slot in slots}

        return build

    def window_stage(self, node: ast.Window) -> Stage:
        """Aggregates over the rows round each row: by position, or by the distance of a value."""
        by_value = node.value is not None
        key = self.expression(node.value) if node.value is not None else Constant(None)
        bounds = bounds_of(self.expression(node.bounds), by_value=by_value)
        aggregates = self.aggregates(node.aggregates)
        slots = [self.slot(assign.name) for assign in node.aggregates]
        context = self.context

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
                context.hold(1)
            if by_value:
                places = sorted(range(len(frames)), key=lambda i: order_key(order[i]))
                frames, order = [frames[i] for i in places], [order[i] for i in places]
            for frame in frames:
                for column, (_, argument) in zip(columns, aggregates, strict=True):
                    column.append((yield from evaluate(argument, frame)))
            ranges = spans(order, bounds, to_number) if by_value else spans(list(range(len(frames))), bounds, None)
            for frame, (first, last) in zip(frames, ranges, strict=True):
                for slot, column, (function, _) in zip(slots, columns, aggregates, strict=True):
                    frame[slot] = function(column[first:last])
                context.check_time()
                yield frame

        return run
