"""A graph for traversals: the edges at a vertex, in the directions that the query names, and vertices by id."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from proxy.aql.query_context import QueryContext
from proxy.aql.requests import Document, Fetch, StoreRequest
from proxy.aql.values import Value, to_number, truthy
from proxy.base.errors import ArangoError

_NOT_FOUND = 1203


@dataclass(frozen=True, slots=True)
class EdgeCollection:
    """One edge collection, and the direction in which its edges are followed: OUTBOUND, INBOUND or ANY."""

    name: str
    direction: str


@dataclass(frozen=True, slots=True)
class GraphOptions:
    """The OPTIONS of a traversal or path search. order: dfs, bfs or weighted; unique_*: none, path or global."""

    order: str = "dfs"
    unique_vertices: str = "none"
    unique_edges: str = "path"
    weight_attribute: str | None = None
    default_weight: float = 1.0
    edge_collections: frozenset[str] | None = None
    vertex_collections: frozenset[str] | None = None


def graph_options(given: Value) -> GraphOptions:
    """Return the options of a graph query. Raise ArangoError 10 for combinations that ArangoDB refuses."""
    if not isinstance(given, dict):
        return GraphOptions()
    order = str(given.get("order") or ("bfs" if truthy(given.get("bfs", False)) else "dfs")).lower()
    vertices = str(given.get("uniqueVertices", "none")).lower()
    edges = str(given.get("uniqueEdges", "path")).lower()
    if order not in ("dfs", "bfs", "weighted") or edges not in ("none", "path"):
        raise ArangoError(10, "AQL: invalid traversal option (while parsing)", status=400)
    if vertices == "global" and order == "dfs":
        raise ArangoError(
            10, "AQL: uniqueVertices: 'global' is only supported, with mode: bfs|weighted (while parsing)", status=400
        )
    attribute = given.get("weightAttribute")
    default = to_number(given.get("defaultWeight", 1))
    return GraphOptions(
        order=order,
        unique_vertices=vertices,
        unique_edges=edges,
        weight_attribute=attribute if isinstance(attribute, str) and attribute else None,
        default_weight=float(default),
        edge_collections=_names(given.get("edgeCollections")),
        vertex_collections=_names(given.get("vertexCollections")),
    )


def _names(value: Value) -> frozenset[str] | None:
    if isinstance(value, str):
        return frozenset({value})
    return frozenset(str(name) for name in value) if isinstance(value, list) else None


class Graph:
    """Edges and vertices, fetched on demand; one graph for each row that starts a traversal."""

    def __init__(self, context: QueryContext, edges: list[EdgeCollection], options: GraphOptions) -> None:
        self.context = context
        self.options = options
        wanted = options.edge_collections
        self.collections = [edge for edge in edges if wanted is None or edge.name in wanted]

    def vertex(self, identity: str) -> Generator[StoreRequest, None, Document | None]:
        """Return a vertex by id; None if it does not exist, because an edge can lead anywhere."""
        name, slash, key = identity.partition("/")
        if not slash or not name or not key:
            return None
        try:
            return (yield from self.context.document(name, key))
        except ArangoError as error:
            if error.number != _NOT_FOUND:
                raise
            return None

    def prepare(self, identities: list[str], *, edges: bool) -> Generator[StoreRequest, None, None]:
        """Fetch many vertices together and, if the traversal continues from them, the edges at them."""
        by_name: dict[str, list[str]] = {}
        for identity in identities:
            name, slash, key = identity.partition("/")
            if slash and name and key:
                by_name.setdefault(name, []).append(key)
        for name, keys in by_name.items():
            try:
                yield from self.context.prefetch(name, keys)
            except ArangoError as error:
                if error.number != _NOT_FOUND:
                    raise
        for collection in self.collections if edges else ():
            for side, direction in (("_from", "OUTBOUND"), ("_to", "INBOUND")):
                if collection.direction in (direction, "ANY"):
                    yield from self.context.prefetch_equal(collection.name, side, identities)

    def neighbours(
        self, identity: str, *, backwards: bool = False
    ) -> Generator[StoreRequest, None, list[tuple[Document, str]]]:
        """Return the edges at a vertex that may be followed, each with the id of the vertex at its other end."""
        found: list[tuple[Document, str]] = []
        allowed = self.options.vertex_collections
        for collection in self.collections:
            direction = collection.direction
            if backwards and direction != "ANY":
                direction = "INBOUND" if direction == "OUTBOUND" else "OUTBOUND"
            seen: set[str] = set()
            for here, there in (("_from", "_to"), ("_to", "_from")):
                if direction != "ANY" and (direction == "OUTBOUND") != (here == "_from"):
                    continue
                for edge in (yield from self.context.fetch(Fetch(collection.name, (((here,), identity),)))):
                    other, key = edge.get(there), str(edge.get("_id"))
                    if edge.get(here) != identity or not isinstance(other, str) or (key in seen and other == identity):
                        continue
                    seen.add(key)
                    if allowed is None or other.partition("/")[0] in allowed:
                        found.append((edge, other))
        self.context.check_time()
        return found

    def weight(self, edge: Document) -> float:
        """Return the weight of an edge: its weight attribute, or the default. Raise ArangoError 1948 below 0."""
        attribute = self.options.weight_attribute
        if attribute is None:
            return 1.0
        value = edge.get(attribute)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return self.options.default_weight
        if value < 0:
            raise ArangoError(1948, "AQL: negative edge weight found (while executing)", status=400)
        return float(value)


def identity_of(value: Value) -> str | None:
    """Return the id of a start vertex: a text, or the _id of a document; None if there is none."""
    if isinstance(value, dict):
        value = value.get("_id")
    return value if isinstance(value, str) and value.count("/") == 1 and not value.startswith("/") else None
