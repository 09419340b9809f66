"""Graph queries: FOR v, e, p … OUTBOUND …, and the searches for paths."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from proxy.aql import ast
from proxy.aql.analyse import source_name
from proxy.aql.compiled_types import Compiled, Frame, Stepwise, evaluate
from proxy.aql.graphs import EdgeCollection, Graph, GraphOptions, graph_options, identity_of
from proxy.aql.modify import ModifyCompiler
from proxy.aql.paths import Route, all_shortest, k_paths, k_shortest, shortest
from proxy.aql.pipeline import Flow, Stage
from proxy.aql.requests import Document, Fetch, Request
from proxy.aql.values import double, to_integer, truthy
from proxy.base.errors import ArangoError, Unsupported

_MAX_DEPTH = 1_000_000


@dataclass(frozen=True, slots=True)
class Step:
    """One vertex of a traversal and the way to it: a chain back to the start."""

    depth: int
    vertex_id: str
    vertex: Document | None
    edge: Document | None
    weight: float
    before: Step | None

    def chain(self) -> list[Step]:
        """From the start to here."""
        found: list[Step] = []
        step: Step | None = self
        while step is not None:
            found.append(step)
            step = step.before
        found.reverse()
        return found


class TraverseCompiler(ModifyCompiler):
    """Compiles traversals and path searches."""

    def graph_subject(
        self, node: ast.Traversal | ast.Paths
    ) -> Callable[[Frame], Generator[Request, None, list[EdgeCollection]]]:
        """The edge collections of the query: named in it, or those of a named graph."""
        context = self.context
        if node.graph is None:
            fixed = [EdgeCollection(self.edge_name(edge), edge.direction or node.direction) for edge in node.edges]

            def named(frame: Frame) -> Generator[Request, None, list[EdgeCollection]]:
                yield from ()  # a generator, like the other kind
                return fixed

            return named
        name = self.expression(node.graph)
        direction = node.direction

        def looked_up(frame: Frame) -> Generator[Request, None, list[EdgeCollection]]:
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

    def edge_name(self, edge: ast.Edges) -> str:
        """An edge collection's name."""
        if isinstance(edge.collection, ast.Collection):
            return edge.collection.name
        return source_name(self.context.binds, edge.collection.name)

    def graph_options(self, node: ast.Object | None) -> GraphOptions:
        """The OPTIONS of a graph query."""
        if node is None:
            return GraphOptions()
        compiled = self.expression(node)
        if isinstance(compiled, Stepwise) or any(isinstance(n, ast.Variable) for n in ast.walk(node)):
            raise ArangoError(1501, "AQL: OPTIONS must be constant (while parsing)", status=400)
        return graph_options(compiled([]))

    def traversal_stage(self, node: ast.Traversal) -> Stage:
        """FOR v, e, p IN min..max direction start …"""
        depths = self.depths(node.steps)
        start = self.expression(node.start)
        subject, options = self.graph_subject(node), self.graph_options(node.options)
        slots = [self.slot(name) for name in node.variables]
        prune = self.expression(node.prune) if node.prune is not None else None
        prune_slot = self.slot(node.prune_variable) if node.prune_variable is not None else None
        wants_path = len(slots) > 2
        context = self.context

        def place(frame: Frame, step: Step) -> None:
            values: list[Any] = [step.vertex, step.edge, path_value(step, options) if wants_path else None]
            for slot, value in zip(slots, values, strict=False):
                frame[slot] = value

        def pruned(frame: Frame, step: Step) -> Generator[Request, None, bool]:
            place(frame, step)
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
                    context.warn(
                        10,
                        "invalid traversal start: only id strings or an object with _id are allowed",
                    )
                    continue
                graph = Graph(context, (yield from subject(frame)), options)
                work = frame[:]
                for item in walk(graph, identity, least, most, lambda step, work=work: pruned(work, step)):  # type: ignore[misc]
                    if item.__class__ is not Step:
                        yield item
                        continue
                    grown = work[:]
                    place(grown, item)
                    yield grown

        return run

    def depths(self, steps: ast.Expr | None) -> Callable[[Frame], Generator[Request, None, tuple[int, int]]]:
        """The depth range: a number, or a range of two."""
        low: Compiled | None = None
        high: Compiled | None = None
        if isinstance(steps, ast.Range):
            low, high = self.expression(steps.low), self.expression(steps.high)
        elif steps is not None:
            low = self.expression(steps)

        def bounds(frame: Frame) -> Generator[Request, None, tuple[int, int]]:
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

    def paths_stage(self, node: ast.Paths) -> Stage:
        """SHORTEST_PATH gives vertices and edges; its relatives give whole paths."""
        depths = self.depths(node.steps)
        start, target = self.expression(node.start), self.expression(node.target)
        subject, options = self.graph_subject(node), self.graph_options(node.options)
        slots = [self.slot(name) for name in node.variables]
        context, kind = self.context, node.kind

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
                for item in search(kind, graph, begin, end, least, most):
                    if item.__class__ is not Route:
                        yield item
                        continue
                    vertices: list[Document | None] = []
                    for identity in item.vertices:
                        vertices.append((yield from graph.vertex(identity)))  # noqa: PERF401
                    if kind == "SHORTEST_PATH":
                        for vertex, edge in zip(vertices, (None, *item.edges), strict=True):
                            grown = frame[:]
                            for slot, value in zip(slots, (vertex, edge), strict=False):
                                grown[slot] = value
                            yield grown
                        continue
                    path: dict[str, Any] = {"edges": list(item.edges), "vertices": vertices}
                    if kind == "K_SHORTEST_PATHS":
                        path["weight"] = double(item.weight)
                    grown = frame[:]
                    grown[slots[0]] = path
                    yield grown

        return run


def search(kind: str, graph: Graph, begin: str, end: str, least: int, most: int) -> Iterator[Any]:
    """The routes of a path search, and requests."""
    if kind == "SHORTEST_PATH":
        return shortest(graph, begin, end)
    if kind == "K_SHORTEST_PATHS":
        return k_shortest(graph, begin, end)
    if kind == "ALL_SHORTEST_PATHS":
        return all_shortest(graph, begin, end)
    if kind == "K_PATHS":
        return k_paths(graph, begin, end, least, most)
    raise Unsupported(kind)


def path_value(step: Step, options: GraphOptions) -> dict[str, Any]:
    """The value of p: vertices and edges from the start on, weights too where the order is by weight."""
    chain = step.chain()
    value: dict[str, Any] = {
        "vertices": [part.vertex for part in chain],
        "edges": [part.edge for part in chain[1:]],
    }
    if options.order == "weighted":
        value["weights"] = [double(part.weight) for part in chain]
    return value


def walk(
    graph: Graph, start: str, least: int, most: int, pruned: Callable[[Step], Generator[Request, None, bool]]
) -> Iterator[Any]:
    """The steps of a traversal from depth `least` to `most`, and requests."""
    options = graph.options
    vertex = yield from graph.vertex(start)
    first = Step(0, start, vertex, None, 0.0, None)
    pending: Any = deque([first])
    numbers = count()
    heap: list[tuple[float, int, Step]] = [(0.0, next(numbers), first)]
    weighted, depth_first = options.order == "weighted", options.order == "dfs"
    visited = {start}
    while heap if weighted else pending:
        if weighted:
            step = heapq.heappop(heap)[2]
            if options.unique_vertices == "global" and step is not first:
                if step.vertex_id in visited:
                    continue  # a cheaper way led here
                visited.add(step.vertex_id)
        else:
            step = pending.pop() if depth_first else pending.popleft()
        stop = yield from pruned(step)
        if step.depth >= least:
            yield step
        if stop or step.depth >= most:
            continue
        grown: list[Step] = []
        near = [
            (edge, other)
            for edge, other in (yield from graph.neighbours(step.vertex_id))
            if _allowed(options, step, edge, other, visited)
        ]
        yield from graph.prepare([other for _, other in near], edges=step.depth + 1 < most)
        for edge, other in near:
            found = yield from graph.vertex(other)
            weight = step.weight + graph.weight(edge)
            grown.append(Step(step.depth + 1, other, found, edge, weight, step))
        graph.context.hold(len(grown))
        if weighted:
            for following in grown:
                heapq.heappush(heap, (following.weight, next(numbers), following))
        else:
            pending.extend(reversed(grown) if depth_first else grown)


def _allowed(options: GraphOptions, step: Step, edge: Document, other: str, visited: set[str]) -> bool:
    """Whether the uniqueness options let a path go on over an edge to a vertex."""
    if options.unique_vertices == "global":
        if other in visited:
            return False
        if options.order != "weighted":
            visited.add(other)
        return True
    by_edge, by_vertex = options.unique_edges == "path", options.unique_vertices == "path"
    if not by_edge and not by_vertex:
        return True
    identity = edge.get("_id")
    part: Step | None = step
    while part is not None:
        if by_vertex and part.vertex_id == other:
            return False
        if by_edge and part.edge is not None and part.edge.get("_id") == identity:
            return False
        part = part.before
    return True
