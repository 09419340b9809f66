"""Searches for paths between two vertices: the shortest, all shortest, the k shortest (Yen), all of some length."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from proxy.aql.execution.graphs import Graph
from proxy.aql.requests import Document, StoreRequest


@dataclass(frozen=True, slots=True)
class WeightedPath:
    """A path: ids of its vertices, its edges (one fewer), the sum of their weights."""

    vertices: tuple[str, ...]
    edges: tuple[Document, ...]
    weight: float


def _dijkstra(
    graph: Graph, begin: str, end: str, without: frozenset[str], forbidden: frozenset[str]
) -> Generator[StoreRequest, None, WeightedPath | None]:
    """Return the cheapest route that uses none of these edges (ids) and vertices; None if there is none."""
    numbers = count()
    heap: list[tuple[float, int, str]] = [(0.0, next(numbers), begin)]
    best: dict[str, float] = {begin: 0.0}
    came: dict[str, tuple[str, Document]] = {}
    done: set[str] = set()
    while heap:
        cost, _, here = heapq.heappop(heap)
        if here in done:
            continue
        done.add(here)
        if here == end:
            break
        for edge, other in (yield from graph.neighbours(here)):
            if other in forbidden or other in done or str(edge.get("_id")) in without:
                continue
            total = cost + graph.weight(edge)
            if other not in best or total < best[other]:
                best[other] = total
                came[other] = (here, edge)
                heapq.heappush(heap, (total, next(numbers), other))
    if end not in done:
        return None
    vertices, edges = [end], []
    while vertices[-1] != begin:
        before, edge = came[vertices[-1]]
        vertices.append(before)
        edges.append(edge)
    return WeightedPath(tuple(reversed(vertices)), tuple(reversed(edges)), best[end])


def shortest(graph: Graph, begin: str, end: str) -> Iterator[Any]:
    """Yield one cheapest route, if there is any, and requests."""
    route = yield from _dijkstra(graph, begin, end, frozenset(), frozenset())
    if route is not None:
        yield route


def k_shortest(graph: Graph, begin: str, end: str) -> Iterator[Any]:
    """Yield routes without repeated vertices, cheapest first (Yen's algorithm), and requests."""
    first = yield from _dijkstra(graph, begin, end, frozenset(), frozenset())
    if first is None:
        return
    found = [first]
    yield first
    numbers = count()
    candidates: list[tuple[float, int, WeightedPath]] = []
    known = {_identity(first)}
    while True:
        last = found[-1]
        for place in range(len(last.edges)):
            root = last.vertices[: place + 1]
            edges = last.edges[:place]
            without = frozenset(
                str(route.edges[place].get("_id"))
                for route in found
                if route.vertices[: place + 1] == root
                and _ids(route.edges[:place]) == _ids(edges)
                and len(route.edges) > place
            )
            rest = yield from _dijkstra(graph, root[-1], end, without, frozenset(root[:-1]))
            if rest is None:
                continue
            weight = sum(graph.weight(edge) for edge in edges) + rest.weight
            route = WeightedPath(root[:-1] + rest.vertices, edges + rest.edges, weight)
            if _identity(route) not in known:
                known.add(_identity(route))
                heapq.heappush(candidates, (weight, next(numbers), route))
                graph.context.count_memory(len(route.edges))
        if not candidates:
            return
        following = heapq.heappop(candidates)[2]
        found.append(following)
        yield following


def _ids(edges: tuple[Document, ...]) -> tuple[str, ...]:
    return tuple(str(edge.get("_id")) for edge in edges)


def _identity(route: WeightedPath) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return route.vertices, _ids(route.edges)


def all_shortest(graph: Graph, begin: str, end: str) -> Iterator[Any]:
    """Yield every route with the fewest edges, and requests."""
    if begin == end:
        yield WeightedPath((begin,), (), 0.0)
        return
    depth = {begin: 0}
    into: dict[str, list[tuple[str, Document]]] = {}
    level = [begin]
    while level and end not in depth:
        following: list[str] = []
        for here in level:
            for edge, other in (yield from graph.neighbours(here)):
                if other not in depth:
                    depth[other] = depth[here] + 1
                    following.append(other)
                if depth[other] == depth[here] + 1:
                    into.setdefault(other, []).append((here, edge))
        level = following
    if end not in depth:
        return
    pending: list[WeightedPath] = [WeightedPath((end,), (), 0.0)]
    while pending:
        route = pending.pop()
        graph.context.check_time()
        if route.vertices[0] == begin:
            yield route
            continue
        for before, edge in into[route.vertices[0]]:
            pending.append(WeightedPath((before, *route.vertices), (edge, *route.edges), route.weight + 1))


def k_paths(graph: Graph, begin: str, end: str, least: int, most: int) -> Iterator[Any]:
    """Yield every route of `least` to `most` edges without repeated vertices, and requests."""
    pending: list[WeightedPath] = [WeightedPath((begin,), (), 0.0)]
    while pending:
        route = pending.pop()
        graph.context.check_time()
        here = route.vertices[-1]
        if here == end and len(route.edges) >= least:
            yield route
        if here == end or len(route.edges) >= most:
            continue
        for edge, other in (yield from graph.neighbours(here)):
            if other not in route.vertices:
                pending.append(WeightedPath((*route.vertices, other), (*route.edges, edge), route.weight + 1))
        graph.context.count_memory(1)


# by the keyword: (graph, begin, end, least, most) -> Routes, and requests
SEARCHES: Final[dict[str, Callable[[Graph, str, str, int, int], Iterator[Any]]]] = {
    "SHORTEST_PATH": lambda graph, begin, end, _least, _most: shortest(graph, begin, end),
    "K_SHORTEST_PATHS": lambda graph, begin, end, _least, _most: k_shortest(graph, begin, end),
    "ALL_SHORTEST_PATHS": lambda graph, begin, end, _least, _most: all_shortest(graph, begin, end),
    "K_PATHS": k_paths,
}
