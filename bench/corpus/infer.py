"""Infers from a query which documents and bind variables make its filters hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.corpus.expressions import NOT_CONSTANT, Expressions, constant
from bench.corpus.holes import Hole
from proxy.aql import ast

_KINDS = {"IS_STRING": "string", "IS_NUMBER": "number", "IS_ARRAY": "array", "IS_LIST": "array", "IS_OBJECT": "object",
          "IS_DOCUMENT": "object", "IS_BOOL": "bool", "IS_NULL": "null"}  # fmt: skip
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_NEGATED = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">", "IN": "NOT IN", "NOT IN": "IN"}


class Edge:
    """A requirement of a traversal: a path from `start` to `vertex` over edges like `edge` in one of `collections`."""

    def __init__(self, start: Hole, vertex: Hole, edge: Hole, collections: list[tuple[str, str]], depth: int) -> None:
        self.start, self.vertex, self.edge, self.collections, self.depth = start, vertex, edge, collections, depth


class Inference(Expressions):
    """Everything inferred from one query."""

    def __init__(self, query: ast.Query, bind_names: list[str]) -> None:
        super().__init__(bind_names)
        self.edges: list[Edge] = []
        self.graphs: dict[str, str] = {}  # graph -> its edge collection
        self.edge_collections: set[str] = set()
        self.written: set[str] = set()
        self.rows = 0  # that a LIMIT skips
        self.withs = [self.collection(node) for node in query.with_collections]
        for name in self.withs:
            self.documents.setdefault(name, [])
        for node in ast.walk(query):  # holes that are only counted
            if isinstance(node, ast.Collection):
                self.documents.setdefault(node.name, [])
            elif (
                isinstance(node, ast.Call)
                and node.name == "COLLECTION_COUNT"
                and isinstance(node.arguments[0], ast.Literal)
            ):
                self.documents.setdefault(str(node.arguments[0].value), [])
        self.level(query, {})

    # --- statements

    def level(self, query: ast.Query, outer: dict[str, Hole]) -> Hole:
        """Visit one query or subquery; return the hole of one of its rows."""
        scope = dict(outer)
        for statement in query.statements:
            if isinstance(statement, ast.Return):
                return self.value(statement.value, scope)
            self.statement(statement, scope)
        return Hole()

    def statement(self, node: ast.Statement, scope: dict[str, Hole]) -> None:
        if isinstance(node, ast.For):
            if isinstance(node.source, ast.Collection) or (
                isinstance(node.source, ast.Parameter) and node.source.source
            ):
                self.bind(node.variable, self.document(self.collection(node.source)), scope)
            else:
                self.bind(node.variable, self.value(node.source, scope).item(), scope)
        elif isinstance(node, ast.Filter):
            self.require(node.condition, scope, wanted=True)
        elif isinstance(node, ast.Let):
            self.bind(node.target, self.value(node.value, scope), scope)
        elif isinstance(node, ast.Sort):
            for key in node.keys:
                self.value(key.value, scope)
                if isinstance(key.direction, ast.Parameter):
                    self.fixed.setdefault(key.direction.name, "DESC")
        elif isinstance(node, ast.Limit):
            for number, wanted in ((node.offset, 0), (node.count, 5)):
                for below in ast.walk(number) if number is not None else ():
                    if isinstance(below, ast.Parameter):
                        self.fixed.setdefault(below.name, wanted)
            skipped = constant(node.offset) if node.offset is not None else 0
            if isinstance(skipped, int):
                self.rows = max(self.rows, min(skipped, 200))
        elif isinstance(node, ast.Collect):
            self.collect(node, scope)
        elif isinstance(node, ast.Window):
            for assign in node.aggregates:
                self.value(assign.value, scope)
                scope[assign.name] = Hole("number")
            if node.value is not None:
                self.value(node.value, scope).used_as("number")
        elif isinstance(node, ast.Traversal | ast.Paths):
            self.traversal(node, scope)
        else:
            self.modification(node, scope)

    def bind(self, pattern: ast.Pattern, hole: Hole, scope: dict[str, Hole]) -> None:
        if isinstance(pattern, str):
            scope[pattern] = hole
        elif isinstance(pattern, ast.ObjectPattern):
            for name, target in zip(pattern.attributes, pattern.targets, strict=True):
                self.bind(target, hole.child(name), scope)
        else:
            for position in pattern.targets:
                if position is not None:
                    self.bind(position, hole.item(), scope)

    def collect(self, node: ast.Collect, scope: dict[str, Hole]) -> None:
        before = dict(scope)
        for assign in node.groups:
            scope[assign.name] = self.value(assign.value, before)
        for assign in node.aggregates:
            self.value(assign.value, before)
            scope[assign.name] = Hole("number")
            scope[assign.name].measured = Hole()
        if node.count_into is not None:
            scope[node.count_into] = Hole("number")
            scope[node.count_into].measured = Hole()
        if node.into is not None:
            rows = Hole("array")
            if node.into_value is not None:
                rows.item().join(self.value(node.into_value, before))
            else:
                for name in node.keep or node.ends:
                    if name in before:
                        rows.item().child(name).join(before[name])
            scope[node.into] = rows

    def traversal(self, node: ast.Traversal | ast.Paths, scope: dict[str, Hole]) -> None:
        collections: list[tuple[str, str]] = []
        if node.graph is not None:
            graph = self.graph_name(node.graph)
            collections.append((self.graphs.setdefault(graph, f"{graph}_edges"), node.direction))
        collections += [(self.collection(edge.collection), edge.direction or node.direction) for edge in node.edges]
        self.edge_collections.update(name for name, _ in collections)
        start = self.identity(self.value(node.start, scope))
        vertex, edge_hole = Hole("object"), Hole("object")
        target = Hole("object")
        if isinstance(node, ast.Paths):
            target = self.identity(self.value(node.target, scope))
        depth = 1
        for below in ast.walk(node.steps) if node.steps is not None else ():
            if isinstance(below, ast.Parameter):
                self.fixed.setdefault(below.name, 2)
        if isinstance(node.steps, ast.Range) and isinstance(node.steps.low, ast.Literal):
            depth = min(4, int(node.steps.low.value or 0))
        elif isinstance(node.steps, ast.Literal):
            depth = min(4, int(node.steps.value or 0))
        path = Hole("object")
        path.child("vertices").item().join(vertex)
        path.child("edges").item().join(edge_hole)
        found = [path] if isinstance(node, ast.Paths) and node.kind != "SHORTEST_PATH" else [vertex, edge_hole, path]
        scope.update(zip(node.variables, found, strict=False))
        if isinstance(node, ast.Traversal) and node.prune is not None:
            if node.prune_variable is not None:
                scope[node.prune_variable] = Hole("bool")
            self.value(node.prune, scope)
        if isinstance(node, ast.Paths):
            vertex.child("_id").join(target)
        self.edges.append(Edge(start, vertex, edge_hole, collections, depth))

    def graph_name(self, node: ast.Expr) -> str:
        if isinstance(node, ast.Parameter):
            return str(self.fixed.setdefault(node.name, "g_" + node.name.lower()))
        return str(node.value) if isinstance(node, ast.Literal) else "g"

    def modification(self, node: ast.Statement, scope: dict[str, Hole]) -> None:
        assert isinstance(node, ast.Insert | ast.UpdateOrReplace | ast.Remove | ast.Upsert)
        name = self.collection(node.collection)
        self.written.add(name)
        scope["NEW"] = new = Hole("object")
        if isinstance(node, ast.Insert):
            hole = self.value(node.document, scope).used_as("object")
            if "_from" in hole.root().children:
                self.edge_collections.add(name)
            for side in ("_from", "_to"):
                if side in hole.root().children:
                    self.identity(hole.child(side))
            new.child("_key")
            scope["OLD"] = Hole("object")
            return
        scope["OLD"] = old = self.document(name)
        scope["NEW"] = old
        if isinstance(node, ast.UpdateOrReplace):
            if node.key is not None:
                self.key(node.key, old, scope)
                self.value(node.document, scope).used_as("object")
            else:
                hole = self.value(node.document, scope).used_as("object")
                if hole.root() is not old.root():
                    hole.child("_key").join(old.child("_key"))
        elif isinstance(node, ast.Remove):
            self.key(node.key, old, scope)
        else:
            if node.search is not None:
                search = self.value(node.search, scope).used_as("object").root()
                for attribute, child in search.children.items():
                    if attribute not in ("_id", "_rev"):
                        old.child(attribute).join(child)
            else:
                assert node.condition is not None
                self.require(node.condition, {**scope, "CURRENT": old}, wanted=True)
            self.value(node.insert, scope).used_as("object")
            self.value(node.change, scope).used_as("object")

    def key(self, node: ast.Expr, old: Hole, scope: dict[str, Hole]) -> None:
        """Return the hole that selects the document to change: a key, or a document."""
        hole = self.value(node, scope).root()
        if "object" in hole.kinds or hole.children:
            if hole is not old.root():
                hole.child("_key").join(old.child("_key"))
        else:
            hole.join(old.child("_key"))

    # --- conditions

    def require(self, node: ast.Expr, scope: dict[str, Hole], *, wanted: bool) -> None:
        """Require the condition to be true, or false if not `wanted`."""
        if isinstance(node, ast.Logical):
            for operand in node.operands:
                self.require(operand, scope, wanted=wanted)
        elif isinstance(node, ast.Unary) and node.op in ("NOT", "!"):
            self.require(node.operand, scope, wanted=not wanted)
        elif isinstance(node, ast.Binary) and (node.op in _NEGATED or node.op in ("LIKE", "=~", "NOT LIKE", "!~")):
            self.comparison(node, scope, wanted)
        elif isinstance(node, ast.Quantified):
            left, right = self.value(node.left, scope), self.value(node.right, scope)
            if node.op == "==":
                left.item().join(right)
            elif node.op == "IN":
                left.item().join(right.item())
            elif isinstance(node.left, ast.Array):
                left.item()
            left.used_as("array")
        elif isinstance(node, ast.Ternary):
            self.value(node.condition, scope)
            for part in (node.then, node.otherwise):
                if part is not None and not isinstance(part, ast.Literal):
                    self.require(part, scope, wanted=wanted)
        elif isinstance(node, ast.Call):
            self.test(node, scope, wanted)
        elif not isinstance(node, ast.Literal):
            self.value(node, scope).used_as("truthy" if wanted else "falsy")

    def comparison(self, node: ast.Binary, scope: dict[str, Hole], wanted: bool) -> None:
        operator = node.op if wanted else _NEGATED.get(node.op, "!=")
        left, right = self.value(node.left, scope), self.value(node.right, scope)
        low, high = constant(node.left), constant(node.right)
        if node.op in ("LIKE", "NOT LIKE", "=~", "!~"):
            if wanted and node.op in ("LIKE", "=~"):
                self.pattern(left, right, high, "like" if node.op == "LIKE" else "match")
            return
        if operator in ("IN", "NOT IN"):
            if high is not NOT_CONSTANT and isinstance(high, list):
                left.asks(operator, high)
            elif operator == "IN":
                right.item().join(left)
            else:
                right.used_as("array")
            return
        if high is not NOT_CONSTANT:
            self.bounded(left, operator, high)
        elif low is not NOT_CONSTANT:
            self.bounded(right, _FLIPPED.get(operator, operator), low)
        elif left.root().measured is not None or right.root().measured is not None:
            for hole in (left, right):
                if hole.root().measured is None:
                    hole.used_as("small")
        elif operator == "==" or operator in ("<=", ">="):
            left.join(right)
        elif operator == "<":
            left.root().higher.append(right)
        elif operator == ">":
            right.root().higher.append(left)

    def bounded(self, hole: Hole, operator: str, value: Any) -> None:
        measured = hole.root().measured
        if measured is None:
            hole.asks(operator, value)
        elif isinstance(value, int) and operator in (">", ">=", "=="):
            if operator == "==" and value == 0:
                measured.used_as("empty")
            least = min(50, value + (operator == ">"))
            self.rows = max(self.rows, least)
            array: Hole | None = measured
            for _ in range(5):
                if array is not None:
                    array.root().length = max(array.root().length, least)
                    array = array.root().source

    def pattern(self, left: Hole, right: Hole, pattern: Any, operator: str) -> None:
        if isinstance(pattern, str):
            left.used_as("string").asks(operator, pattern)
        else:
            left.used_as("string")
            right.join(left)

    def test(self, node: ast.Call, scope: dict[str, Hole], wanted: bool) -> None:
        """Visit a function call as a condition."""
        name, arguments = node.name, node.arguments
        if name in ("NOOPT", "TO_BOOL", "ASSERT", "WARN") and arguments:
            self.require(arguments[0], scope, wanted=wanted)
            return
        values = [self.value(argument, scope) for argument in arguments]
        if not wanted and name != "IS_NULL":
            return
        if name in ("CONTAINS", "STARTS_WITH", "REGEX_TEST", "LIKE") and len(values) > 1:
            kind = {"REGEX_TEST": "match", "LIKE": "like"}.get(name, "has")
            self.pattern(values[0], values[1], constant(arguments[1]), kind)
        elif name in _KINDS and values:
            if wanted:
                values[0].used_as(_KINDS[name])
        elif name == "HAS" and len(values) > 1 and isinstance(text := constant(arguments[1]), str):
            values[0].child(text)
        elif name in ("POSITION", "CONTAINS_ARRAY") and len(values) > 1:
            values[0].item().join(values[1])
        elif name == "IS_SAME_COLLECTION" and len(values) > 1:
            self.same_collection(arguments[0], values[1])
        elif values and name in ("LENGTH", "COUNT"):
            values[0].used_as("truthy")

    def same_collection(self, node: ast.Expr, hole: Hole) -> None:
        name = constant(node)
        if isinstance(node, ast.Parameter):
            name = self.collection(node)
        elif isinstance(node, ast.Collection):
            name = node.name
        if isinstance(name, str):
            root = hole.root()
            identity = root.child("_id") if "object" in root.kinds or root.children else root
            if identity.root().prefix is None:
                identity.root().prefix, identity.root().tail = name, Hole()


def order(holes: Iterator[Hole]) -> dict[int, int]:
    """Return how many holes each must be greater than, in sequence, by identity of its root."""
    ranks: dict[int, int] = {}
    roots = list({id(hole.root()): hole.root() for hole in holes}.values())
    for _ in range(6):
        for root in roots:
            for other in root.higher:
                higher = id(other.root())
                ranks[higher] = max(ranks.get(higher, 0), ranks.get(id(root), 0) + 1)
    return ranks
