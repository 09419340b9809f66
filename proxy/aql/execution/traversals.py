"""Graph queries: traversals (FOR v, e, p … OUTBOUND …) and path searches, as stages."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final, TypeAlias

from proxy.aql import ast
from proxy.aql.analyse import source_name
from proxy.aql.compiled_types import Compiled, Frame, Stepwise, evaluate
from proxy.aql.execution.compiler import Flow, ProgramCompiler, Stage, StatementPlace, stage_of
from proxy.aql.execution.graphs import EdgeCollection, Graph, GraphOptions, graph_options, identity_of
from proxy.aql.execution.paths import SEARCHES, WeightedPath
from proxy.aql.execution.walks import WalkStep, path_value, walk
from proxy.aql.requests import Document, Fetch, StoreRequest
from proxy.aql.values import double, to_integer, truthy
from proxy.base.errors import ArangoError

Subject: TypeAlias = Callable[[Frame], Generator[StoreRequest, None, list[EdgeCollection]]]
Depths: TypeAlias = Callable[[Frame], Generator[StoreRequest, None, tuple[int, int]]]
_MAX_DEPTH: Final = 1_000_000


@stage_of(ast.Traversal)
def traversal(c: ProgramCompiler, node: ast.Traversal, _place: StatementPlace) -> Stage:
    """Compile FOR v, e, p IN min..max direction start …."""
    c.known.update(node.variables)
    depths = _depths(c, node.steps)
    start = c.expression(node.start)
    subject, options = _subject(c, node), _options(c, node.options)
    slots = [c.slot(name) for name in node.variables]
    prune = c.expression(node.prune) if node.prune is not None else None
    prune_slot = c.slot(node.prune_variable) if node.prune_variable is not None else None
    wants_path = len(slots) > 2
    context = c.context

    def put(frame: Frame, step: WalkStep) -> None:
        values: list[Any] = [step.vertex, step.edge, path_value(step, options) if wants_path else None]
        for slot, value in zip(slots, values, strict=False):
            frame[slot] = value

    def pruned(frame: Frame, step: WalkStep) -> Generator[StoreRequest, None, bool]:
        put(frame, step)
        if prune is None:
            return False
        value = yield from evaluate(prune, frame)
        if prune_slot is not None:
            frame[prune_slot] = value
        return truthy(value)

    def run(flow: Flow) -> Flow:
        for frame in flow:
            if frame.__class__ is not list:
                yield frame
                continue
            least, most = yield from depths(frame)
            identity = identity_of((yield from evaluate(start, frame)))
            if identity is None:
                context.warn(10, "invalid traversal start: only id strings or an object with _id are allowed")
                continue
            graph = Graph(context, (yield from subject(frame)), options)
            work = frame[:]
            for item in walk(graph, identity, least, most, lambda step, work=work: pruned(work, step)):  # type: ignore[misc]
                if item.__class__ is not WalkStep:
                    yield item
                    continue
                grown = work[:]
                put(grown, item)
                yield grown

    return run


@stage_of(ast.Paths)
def paths(c: ProgramCompiler, node: ast.Paths, _place: StatementPlace) -> Stage:
    """Compile a path search: SHORTEST_PATH gives vertices and edges, its relatives give whole paths."""
    c.known.update(node.variables)
    depths = _depths(c, node.steps)
    start, target = c.expression(node.start), c.expression(node.target)
    subject, options = _subject(c, node), _options(c, node.options)
    slots = [c.slot(name) for name in node.variables]
    context, kind = c.context, node.kind

    def run(flow: Flow) -> Flow:
        for frame in flow:
            if frame.__class__ is not list:
                yield frame
                continue
            least, most = yield from depths(frame)
            begin = identity_of((yield from evaluate(start, frame)))
            end = identity_of((yield from evaluate(target, frame)))
            if begin is None or end is None:
                context.warn(10, "invalid path endpoint: only id strings or an object with _id are allowed")
                continue
            graph = Graph(context, (yield from subject(frame)), options)
            for item in SEARCHES[kind](graph, begin, end, least, most):
                if item.__class__ is not WeightedPath:
                    yield item
                    continue
                vertices: list[Document | None] = []
                for identity in item.vertices:
                    vertices.append((yield from graph.vertex(identity)))  # noqa: PERF401
                for values in _found(kind, item, vertices):
                    grown = frame[:]
                    for slot, value in zip(slots, values, strict=False):
                        grown[slot] = value
                    yield grown

    return run


def _found(kind: str, route: WeightedPath, vertices: list[Document | None]) -> list[tuple[Any, ...]]:
    """Return the values of the variables for a route: one row a vertex for SHORTEST_PATH, else one row."""
    if kind == "SHORTEST_PATH":
        return list(zip(vertices, (None, *route.edges), strict=True))
    path: dict[str, Any] = {"edges": list(route.edges), "vertices": vertices}
    if kind == "K_SHORTEST_PATHS":
        path["weight"] = double(route.weight)
    return [(path,)]


def _subject(c: ProgramCompiler, node: ast.Traversal | ast.Paths) -> Subject:
    """Compile the edge collections of the query: named in it, or those of a named graph."""
    context = c.context
    if node.graph is None:
        fixed = [EdgeCollection(_edge_name(c, edge), edge.direction or node.direction) for edge in node.edges]

        def named(_frame: Frame) -> Generator[StoreRequest, None, list[EdgeCollection]]:
            yield from ()  # a generator, like the other kind
            return fixed

        return named
    name = c.expression(node.graph)
    direction = node.direction

    def looked_up(frame: Frame) -> Generator[StoreRequest, None, list[EdgeCollection]]:
        graph = yield from evaluate(name, frame)
        if not isinstance(graph, str):
            raise ArangoError(1553, "AQL: bind parameter has an invalid value or type (while parsing)")
        for entry in (yield from context.fetch(Fetch("_graphs", (), (graph,)))):
            if entry.get("_key") == graph:
                definitions = entry.get("edgeDefinitions") or []
                names = dict.fromkeys(str(definition["collection"]) for definition in definitions)
                return [EdgeCollection(edge, direction) for edge in names]
        raise ArangoError(1924, f"AQL: graph '{graph}' not found (while parsing)")

    return looked_up


def _edge_name(c: ProgramCompiler, edge: ast.Edges) -> str:
    if isinstance(edge.collection, ast.Collection):
        return edge.collection.name
    return source_name(c.context.binds, edge.collection.name)


def _options(c: ProgramCompiler, node: ast.Object | None) -> GraphOptions:
    """Return the OPTIONS of a graph query. Raise ArangoError 1501 if they are not constant."""
    if node is None:
        return GraphOptions()
    compiled = c.expression(node)
    if isinstance(compiled, Stepwise) or any(isinstance(n, ast.Variable) for n in ast.walk(node)):
        raise ArangoError(1501, "AQL: OPTIONS must be constant (while parsing)", status=400)
    return graph_options(compiled([]))


def _depths(c: ProgramCompiler, steps: ast.Expr | None) -> Depths:
    """Compile the range of depths: a number, or a range of two."""
    low: Compiled | None = None
    high: Compiled | None = None
    if isinstance(steps, ast.Range):
        low, high = c.expression(steps.low), c.expression(steps.high)
    elif steps is not None:
        low = c.expression(steps)

    def bounds(frame: Frame) -> Generator[StoreRequest, None, tuple[int, int]]:
        if low is None:
            return 1, 1
        first = yield from evaluate(low, frame)
        last = first if high is None else (yield from evaluate(high, frame))
        if first.__class__ is list and first:
            first, last = first[0], first[-1]
        least, most = to_integer(first), to_integer(last)
        if least < 0 or most < least:
            raise ArangoError(1501, "AQL: invalid traversal depth (while parsing)", status=400)
        return least, min(most, _MAX_DEPTH)

    return bounds
