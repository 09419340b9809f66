"""Traversals as joins: the edges at a vertex, then the vertex at the other end; several steps by a recursive query.

Exact for the options that hold where none are given: an edge is used once in a path, a vertex as often as edges lead to
it. Whatever else a traversal may say (a named graph, PRUNE, OPTIONS, the path) stays with the evaluator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxy.aql import ast
from proxy.aql.analyse import source_name
from proxy.aql.compile.plan import Table
from proxy.aql.compile.scope import AliasVar, DocumentVar, Item
from proxy.aql.compile.sql_terms import Constant, NotCompilable, Term
from proxy.aql.compile.statements import StatementCompiler

_DEEPEST: Final = 10  # steps; further ones may be very many, and the evaluator bounds its memory
_SIDES: Final = {"OUTBOUND": (("from", "to"),), "INBOUND": (("to", "from"),), "ANY": (("from", "to"), ("to", "from"))}


@dataclass(frozen=True, slots=True)
class _Edges:
    """One edge collection. prefix: its name and a slash, as SQL."""

    table: Table
    prefix: str
    direction: str

    def at(self, vertex: str) -> str:
        """SELECTs of the edges at a vertex: key, doc, raw, prefix, and the id at the other end."""
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


class HopCompiler(StatementCompiler):
    """Compiles FOR v, e IN depth direction start edges."""

    def statement(self, node: ast.Statement) -> None:
        """One statement, traversals among them."""
        if isinstance(node, ast.Traversal):
            self.traversal(node)
        else:
            super().statement(node)

    def traversal(self, node: ast.Traversal) -> None:
        """One traversal."""
        if node.graph is not None:
            raise NotCompilable("a named graph")
        if node.options is not None or node.prune is not None or node.prune_variable is not None:
            raise NotCompilable("OPTIONS or PRUNE of a traversal")
        if len(node.variables) > 2 and node.variables[2] in self.mentioned:
            raise NotCompilable("the path of a traversal")
        low, high = self.depths(node.steps)
        if self.block.limit:
            self.wrap()
        start = self.start(node.start)
        edges = [self.edges(edge, node.direction) for edge in node.edges]
        alias = self.fresh("h")
        if (low, high) == (1, 1):
            text = " UNION ALL ".join(edge.at(start) for edge in edges)
        else:
            text = _walk(edges, start, self.parameters.add(low, "integer"), self.parameters.add(high, "integer"))
        self.unsorted()
        self.block.items.append(Item(lambda: f"LATERAL ({text}) {alias}"))
        if len(node.variables) > 1:
            columns = (f"{alias}.key", f"{alias}.doc", f"{alias}.raw", f"{alias}.prefix")
            self.bind(node.variables[1], DocumentVar(node.variables[1], *columns, nullable=low == 0))
        vertex = node.variables[0]
        if vertex in self.mentioned:
            found = self.looked_up(None, Term(f"{alias}.other", "text", True))
            self.scope.variables[vertex] = found

    def depths(self, steps: ast.Expr | None) -> tuple[int, int]:
        """From how many steps to how many."""
        if steps is None:
            return 1, 1
        ends = (steps.low, steps.high) if isinstance(steps, ast.Range) else (steps, steps)
        found = []
        for end in ends:
            if not self.constant(end):
                raise NotCompilable("the depth of a traversal that is no constant")
            value = self.folded(end).value
            if type(value) is not int or not 0 <= value <= _DEEPEST:
                raise NotCompilable("the depth of a traversal")
            found.append(value)
        if found[0] > found[1]:
            raise NotCompilable("the depth of a traversal")
        return found[0], found[1]

    def start(self, node: ast.Expr) -> str:
        """The id of the vertex from which it goes, as text; what is no id is refused as it runs (it warns)."""
        scope, place = self.scope, node
        while isinstance(place, ast.Variable):
            var = scope.find(place.name)
            if isinstance(var, DocumentVar):
                whole = f"({var.prefix} || {var.key})"
                return f"_crossfade.handle(to_jsonb{whole})" if var.nullable else whole
            if not isinstance(var, AliasVar):
                break
            place, scope = var.expression, var.scope
        term = self.term(self.hoisted(node, calls=True))
        if isinstance(term, Constant) and term.kind not in ("text", "object"):
            raise NotCompilable("the start of a traversal")
        return f"_crossfade.handle({self.json(term)})"

    def edges(self, edge: ast.Edges, direction: str) -> _Edges:
        """An edge collection of the traversal."""
        collection = edge.collection
        name = collection.name if isinstance(collection, ast.Collection) else source_name(self.binds, collection.name)
        table = self.table(name)
        if not table.edge:
            raise NotCompilable(f"collection {name} holds no edges")
        return _Edges(table, self.parameters.add(f"{name}/", "text"), edge.direction or direction)


def _walk(edges: list[_Edges], start: str, low: str, high: str) -> str:
    """Edges and ids that are between so many steps away, by every path that uses no edge twice."""
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
