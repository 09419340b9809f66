"""Stages over frames: what FILTER, LET and RETURN do, variables and patterns, and the rows of the result.

A stage takes the iterator of the stage before it and yields frames. Requests to the store travel down the same chain,
so every stage passes on what is not a frame (a frame is a list). Stages are lazy: LIMIT stops what feeds it.
Modifications are not: they consume all rows before the first write, so that reads see the state before the query.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

from proxy.aql import ast
from proxy.aql.access import access
from proxy.aql.compiled_types import Compiled, Constant, Frame, Plain, Stepwise, evaluate
from proxy.aql.execution.compiler import Flow, ProgramCompiler, Stage, StatementPlace, stage_of
from proxy.aql.primary_index_order import key_range
from proxy.aql.trees import conjuncts, pattern_names
from proxy.aql.values import Value, hash_key, truthy

Binder: TypeAlias = Callable[[Frame, Value], None]


class ResultRow:
    """A row of the result on its way through the chain: its value, and the frame that it was made from."""

    __slots__ = ("frame", "value")

    def __init__(self, value: Value, frame: Frame) -> None:
        self.value = value
        self.frame = frame


# --- FILTER


def _with_ranges_of_bytes(c: ProgramCompiler, condition: ast.Expr, place: StatementPlace) -> ast.Expr:
    """Return the condition with ranges of keys in the order of the primary index where that answers them."""
    parts = list(conjuncts(condition))
    found: list[ast.Expr] = []
    for part in parts:
        bounded = key_range(place.statements, place.index, part)
        bound = None if bounded is None else _text(c, bounded[1])
        if bounded is not None and bound is not None and isinstance(part, ast.Binary):
            # hexadecimal digits sort as the bytes that they stand for
            found.append(replace(part, left=_hexadecimal(part.left), right=_hexadecimal(part.right)))
        else:
            found.append(part)
    return condition if found == parts else found[0] if len(found) == 1 else ast.Logical("AND", tuple(found))


def _text(c: ProgramCompiler, node: ast.Expr) -> str | None:
    value = node.value if isinstance(node, ast.Literal) else None
    if isinstance(node, ast.Parameter) and not node.source:
        value = c.context.binds.get(node.name)
    return value if isinstance(value, str) else None


def _hexadecimal(node: ast.Expr) -> ast.Expr:
    return ast.Call("TO_HEX", (node,))


@stage_of(ast.Filter)
def filter_statement(c: ProgramCompiler, node: ast.Filter, place: StatementPlace) -> Stage:
    """Compile FILTER: frames pass if the condition is truthy."""
    condition = c.expression(_with_ranges_of_bytes(c, node.condition, place))
    stats = c.context.stats
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


# --- LET


@stage_of(ast.Let)
def let_statement(c: ProgramCompiler, node: ast.Let, _place: StatementPlace) -> Stage:
    """Compile LET, which binds a value in every frame."""
    value = c.expression(node.value)
    c.known.update(pattern_names(node.target))
    bind = binder(c, node.target)
    if isinstance(value, Constant) and isinstance(node.target, str):
        c.constants[node.target] = value

    def run(flow: Flow) -> Flow:
        for frame in flow:
            if frame.__class__ is list:
                bind(frame, (yield from value.steps(frame)) if isinstance(value, Stepwise) else value(frame))
            yield frame

    return run


def binder(c: ProgramCompiler, pattern: ast.Pattern) -> Binder:
    """Return a function that puts a value into the slots of a pattern."""
    if isinstance(pattern, str):
        slot = c.slot(pattern)

        def put(frame: Frame, value: Value) -> None:
            frame[slot] = value

        return put
    parts: list[tuple[Any, Binder]] = []
    if isinstance(pattern, ast.ObjectPattern):
        for name, target in zip(pattern.attributes, pattern.targets, strict=True):
            parts.append((name, binder(c, target)))
    else:
        for position, element in enumerate(pattern.targets):
            if element is not None:
                parts.append((position, binder(c, element)))
    kind = dict if isinstance(pattern, ast.ObjectPattern) else list

    def spread(frame: Frame, value: Value) -> None:
        for key, bind in parts:
            bind(frame, access(value, key) if value.__class__ is kind else None)

    return spread


# --- the end of a level


def rows_stage(c: ProgramCompiler, final: ast.Statement) -> Stage:
    """Compile the last statement of a level: frames to Rows. A modification gives none."""
    if not isinstance(final, ast.Return):
        return _drain
    project = _return_stage(c.expression(final.value))
    return (lambda flow: _distinct(project(flow))) if final.distinct else project


def _return_stage(value: Compiled) -> Stage:
    def run(flow: Flow) -> Flow:
        for frame in flow:
            if frame.__class__ is list:
                yield ResultRow((yield from evaluate(value, frame)), frame)
            else:
                yield frame

    def quick(flow: Flow) -> Flow:
        plain: Any = value
        for frame in flow:
            yield ResultRow(plain(frame), frame) if frame.__class__ is list else frame

    return run if isinstance(value, Stepwise) else quick


def _distinct(rows: Flow) -> Flow:
    """Pass each row once, and all requests."""
    seen: set[Any] = set()
    for row in rows:
        if row.__class__ is not ResultRow:
            yield row
        elif (key := hash_key(row.value)) not in seen:
            seen.add(key)
            yield row


def _drain(flow: Flow) -> Flow:
    for frame in flow:
        if frame.__class__ is not list:
            yield frame
