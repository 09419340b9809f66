"""Traversals: from a start vertex along the edges, depth first, breadth first or by weight."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from proxy.aql.execution.graphs import Graph, GraphOptions
from proxy.aql.requests import Document, StoreRequest
from proxy.aql.values import double


@dataclass(frozen=True, slots=True)
class WalkStep:
    """One vertex of a traversal and the way to it: a chain back to the start."""

    depth: int
    vertex_id: str
    vertex: Document | None
    edge: Document | None
    weight: float
    before: WalkStep | None

    def chain(self) -> list[WalkStep]:
        """Return the steps from the start to this one."""
        found: list[WalkStep] = []
        step: WalkStep | None = self
        while step is not None:
            found.append(step)
            step = step.before
        found.reverse()
        return found


def path_value(step: WalkStep, options: GraphOptions) -> dict[str, Any]:
    """Return the value of p: vertices and edges from the start on, and weights if the order is by weight."""
    chain = step.chain()
    value: dict[str, Any] = {
        "vertices": [part.vertex for part in chain],
        "edges": [part.edge for part in chain[1:]],
    }
    if options.order == "weighted":
        value["weights"] = [double(part.weight) for part in chain]
    return value


def walk(
    graph: Graph, start: str, least: int, most: int, pruned: Callable[[WalkStep], Generator[StoreRequest, None, bool]]
) -> Iterator[Any]:
    """Yield the steps of a traversal from depth `least` to `most`, and requests."""
    options = graph.options
    vertex = yield from graph.vertex(start)
    first = WalkStep(0, start, vertex, None, 0.0, None)
    pending: Any = deque([first])
    numbers = count()
    heap: list[tuple[float, int, WalkStep]] = [(0.0, next(numbers), first)]
    weighted, depth_first = options.order == "weighted", options.order == "dfs"
    visited = {start}
    while heap if weighted else pending:
        if weighted:
            step = heapq.heappop(heap)[2]
            if options.unique_vertices == "global" and step is not first:
                if step.vertex_id in visited:
                    continue  # a cheaper path led here
                visited.add(step.vertex_id)
        else:
            step = pending.pop() if depth_first else pending.popleft()
        stop = yield from pruned(step)
        if step.depth >= least:
            yield step
        if stop or step.depth >= most:
            continue
        grown: list[WalkStep] = []
        near = [
            (edge, other)
            for edge, other in (yield from graph.neighbours(step.vertex_id))
            if _allowed(options, step, edge, other, visited)
        ]
        yield from graph.prepare([other for _, other in near], edges=step.depth + 1 < most)
        for edge, other in near:
            found = yield from graph.vertex(other)
            weight = step.weight + graph.weight(edge)
            grown.append(WalkStep(step.depth + 1, other, found, edge, weight, step))
        graph.context.count_memory(len(grown))
        if weighted:
            for following in grown:
                heapq.heappush(heap, (following.weight, next(numbers), following))
        else:
            pending.extend(reversed(grown) if depth_first else grown)


def _allowed(options: GraphOptions, step: WalkStep, edge: Document, other: str, visited: set[str]) -> bool:
    """Return True if the uniqueness options allow a path to continue over an edge to a vertex."""
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
    part: WalkStep | None = step
    while part is not None:
        if by_vertex and part.vertex_id == other:
            return False
        if by_edge and part.edge is not None and part.edge.get("_id") == identity:
            return False
        part = part.before
    return True
