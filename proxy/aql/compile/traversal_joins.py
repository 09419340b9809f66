"""Traversals as joins: the edges at a vertex, then the vertex at the other end; several steps by a recursive query.

Exact for the default options: a path uses an edge once, and gives a vertex as often as edges lead to it. Traversals of
a named graph, with PRUNE, OPTIONS or the path as a variable are left to the evaluator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxy.aql import ast
from proxy.aql.analyse import source_name
from proxy.aql.compile.blocks import begin_loop, wrap_limited
from proxy.aql.compile.compilation import Compilation, statement_of
from proxy.aql.compile.lookups import looked_up
from proxy.aql.compile.plan import CompiledTable
from proxy.aql.compile.scope import DocumentVar, FromItem
from proxy.aql.compile.subqueries import hoisted
from proxy.aql.sql_terms import ConstantTerm, NotCompilable, Term

_MAX_DEPTH: Final = 10  # steps; more of them may give very many rows, and the evaluator bounds its memory
_SIDES: Final = {"OUTBOUND": (("from", "to"),), "INBOUND": (("to", "from"),), "ANY": (("from", "to"), ("to", "from"))}


@dataclass(frozen=True, slots=True)
class _Edges:
    """One edge collection. prefix: `collection/`, as SQL."""

    table: CompiledTable
    prefix: str
    direction: str

    def at(self, vertex: str) -> str:
        """Return the SELECT of the edges at a vertex: key, doc, raw, prefix, and the id at the other end."""
        found = []
        for number, (here, there) in enumerate(_SIDES[self.direction]):
            once = " AND e.from_id <> e.to_id" if number else ""  # an edge from a vertex to itself
            found.append(
                f"SELECT e.key, e.doc, e.raw, {self.prefix} AS prefix, e.{there}_id AS other "
                f"FROM {self.table.relation} e WHERE e.doc IS NOT NULL AND e.{here}_id = {vertex} "
                f"AND e.doc @> jsonb_build_object('_{here}', {vertex}) "
                f"AND jsonb_typeof(e.doc -> '_{there}') = 'string'{once}"
            )
        return " UNION ALL ".join(found)


@statement_of(ast.Traversal)
def traversal(c: Compilation, node: ast.Traversal) -> None:
    """Compile FOR v, e IN depth direction start edges."""
    if node.graph is not None:
        raise NotCompilable("a named graph")
    if node.options is not None or node.prune is not None or node.prune_variable is not None:
        raise NotCompilable("OPTIONS or PRUNE of a traversal")
    if len(node.variables) > 2 and node.variables[2] in c.mentioned:
        raise NotCompilable("the path of a traversal")
    low, high = _depths(c, node.steps)
    wrap_limited(c)
    start = _start(c, node.start)
    edges = [_edges(c, edge, node.direction) for edge in node.edges]
    alias = c.fresh("h")
    if (low, high) == (1, 1):
        text = " UNION ALL ".join(edge.at(start) for edge in edges)
    else:
        text = _walk(edges, start, c.parameters.add(low, "integer"), c.parameters.add(high, "integer"))
    begin_loop(c)
    c.block.items.append(FromItem(lambda: f"LATERAL ({text}) {alias}"))
    if len(node.variables) > 1:
        columns = (f"{alias}.key", f"{alias}.doc", f"{alias}.raw", f"{alias}.prefix")
        c.bind(node.variables[1], DocumentVar(*columns, nullable=low == 0))
    vertex = node.variables[0]
    if vertex in c.mentioned:
        found = looked_up(c, None, Term(f"{alias}.other", "text", scalar=True))
        c.scope.variables[vertex] = found


def _depths(c: Compilation, steps: ast.Expr | None) -> tuple[int, int]:
    """Return the least and the greatest number of steps."""
    if steps is None:
        return 1, 1
    ends = (steps.low, steps.high) if isinstance(steps, ast.Range) else (steps, steps)
    found = []
    for end in ends:
        if not c.is_constant(end):
            raise NotCompilable("the depth of a traversal that is not constant")
        value = c.folded(end).value
        if type(value) is not int or not 0 <= value <= _MAX_DEPTH:
            raise NotCompilable("the depth of a traversal")
        found.append(value)
    if found[0] > found[1]:
        raise NotCompilable("the depth of a traversal")
    return found[0], found[1]


def _start(c: Compilation, node: ast.Expr) -> str:
    """Return the id of the start vertex as text; a value that is not an id, which warns, is refused as it runs."""
    var = c.resolved(node)
    if isinstance(var, DocumentVar):
        whole = f"({var.prefix} || {var.key})"
        return f"_crossfade.handle(to_jsonb{whole})" if var.nullable else whole
    term = c.term(hoisted(c, node, calls=True))
    if isinstance(term, ConstantTerm) and term.kind not in ("text", "object"):
        raise NotCompilable("the start of a traversal")
    return f"_crossfade.handle({c.json(term)})"


def _edges(c: Compilation, edge: ast.Edges, direction: str) -> _Edges:
    """Return an edge collection of the traversal."""
    collection = edge.collection
    name = collection.name if isinstance(collection, ast.Collection) else source_name(c.binds, collection.name)
    table = c.table(name)
    if not table.edge:
        raise NotCompilable(f"collection {name} is not an edge collection")
    return _Edges(table, c.parameters.add(f"{name}/", "text"), edge.direction or direction)


def _walk(edges: list[_Edges], start: str, low: str, high: str) -> str:
    """Return the SELECT of the edges and ids from `low` to `high` steps away, by every path that uses no edge twice."""
    steps = " UNION ALL ".join(edge.at("w.other") for edge in edges)
    return (
        "WITH RECURSIVE w AS ("
        'SELECT 0 AS depth, NULL::text COLLATE "C" AS key, NULL::jsonb AS doc, NULL::json AS raw, '
        f'NULL::text COLLATE "C" AS prefix, ({start}) COLLATE "C" AS other, ARRAY[]::text[] COLLATE "C" AS path '
        'UNION ALL SELECT w.depth + 1, n.key, n.doc, n.raw, n.prefix COLLATE "C", n.other, '
        'w.path || ((n.prefix || n.key) COLLATE "C") '
        f"FROM w CROSS JOIN LATERAL ({steps}) n WHERE w.depth < {high} AND n.prefix || n.key <> ALL (w.path)) "
        f"SELECT w.key, w.doc, w.raw, w.prefix, w.other FROM w WHERE w.depth >= {low}"
    )
