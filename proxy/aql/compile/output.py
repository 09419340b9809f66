"""What is returned: an expression over columns that the statement gives, for the finishing.

Documents come as their stored text, and whatever is a part of one is taken from that; what only SQL knows (groups,
aggregates, counts, rows of subqueries) comes as columns of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

from proxy.aql import ast
from proxy.aql.analyse import source_name
from proxy.aql.compile.dates import DateCompiler
from proxy.aql.compile.expressions import pure
from proxy.aql.compile.result_builder import Column, Finish
from proxy.aql.compile.scope import AliasVar, Block, DocumentVar, ElementVar, RowsVar, Scope, ValueVar
from proxy.aql.compile.sql_terms import AnyTerm, NotCompilable, Term
from proxy.aql.signatures import FETCHING

_NOTHING: frozenset[str] = frozenset()


@dataclass(slots=True)
class Sink:
    """The columns of one level's rows."""

    columns: list[Column] = field(default_factory=list)
    sql: list[str] = field(default_factory=list)
    _known: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, sql: str, kind: str, rows: Finish | None = None) -> ast.Variable:
        """The variable that a column is."""
        name = self._known.get((sql, kind))
        if name is None:
            name = self._known[sql, kind] = f"#{len(self.columns)}"
            self.columns.append(Column(name, kind, rows))
            self.sql.append(sql)
        return ast.Variable(name)


class OutputCompiler(DateCompiler):
    """Compiles what RETURN and INTO give."""

    def output(self, node: Any, sink: Sink, hidden: frozenset[str] = _NOTHING) -> Any:
        """An expression over columns. hidden: variables that the expression itself binds."""
        self.budget -= 1
        if self.budget < 0:
            raise NotCompilable("an expression that grows too large")
        if isinstance(node, ast.Variable):
            if node.name in hidden or node.name == "CURRENT":
                return node
            return self.output_variable(node, sink, hidden)
        if isinstance(node, ast.Attribute) and isinstance(node.base, ast.Variable) and node.name in ("_key", "_id"):
            var = None if node.base.name in hidden else self.scope.find(node.base.name)
            if isinstance(var, DocumentVar):
                return sink.add(var.key if node.name == "_key" else f"({var.prefix} || {var.key})", "value")
        if isinstance(node, ast.Subquery):
            if not pure(node):
                sql, finish = self.rows_output(node)
                return sink.add(sql, "rows", finish)
            hidden |= set(bound_names(node))
        if isinstance(node, ast.Call):
            if node.name == "DOCUMENT":
                return sink.add(f"{self.lookup(node).raw}", "raw")
            if node.name in ("LENGTH", "COUNT", "COLLECTION_COUNT"):
                if self.collection_name(node.arguments[0]) is not None:
                    term = self.length(node.arguments[0])
                    assert isinstance(term, Term)
                    return sink.add(term.sql, "value")
                rows = self.rows_of(node.arguments[0], hidden)
                if rows is not None:
                    return sink.add(rows.at(rows.count()), "value")
                if isinstance(node.arguments[0], ast.Subquery) and not pure(node.arguments[0]):
                    with contextlib.suppress(NotCompilable):
                        return sink.add(self.subquery_count(node.arguments[0]), "value")
            if node.name in FETCHING:
                raise NotCompilable(f"function {node.name}")
            if "::" in node.name:
                raise NotCompilable(f"user function {node.name}")
            arguments = tuple(
                ast.Literal(name) if (name := self.collection_name(item)) else self.output(item, sink, hidden)
                for item in node.arguments
            )
            return replace(node, arguments=arguments)
        if isinstance(node, (ast.Collection, ast.Traversal, ast.Paths)):
            raise NotCompilable(type(node).__name__.lower())
        if isinstance(node, ast.Parameter) and node.source:
            raise NotCompilable(f"collection {source_name(self.binds, node.name)} as a value")
        if isinstance(node, ast.Node):
            return self.output_children(node, sink, hidden)
        return node

    def output_children(self, node: ast.Node, sink: Sink, hidden: frozenset[str]) -> ast.Node:
        """A node with all below it rewritten."""
        changed: dict[str, Any] = {}
        for part in fields(node):
            value = getattr(node, part.name)
            if not part.compare:
                continue
            if isinstance(value, ast.Node):
                changed[part.name] = self.output(value, sink, hidden)
            elif isinstance(value, tuple) and any(isinstance(item, ast.Node) for item in value):
                changed[part.name] = tuple(self.output(item, sink, hidden) for item in value)
        return replace(node, **changed) if changed else node

    def rows_of(self, node: ast.Expr, hidden: frozenset[str]) -> RowsVar | None:
        """The rows that an expression is, if it is a variable for some."""
        scope: Scope = self.scope
        while isinstance(node, ast.Variable) and node.name not in hidden:
            var = scope.find(node.name)
            if isinstance(var, RowsVar):
                return var
            if not isinstance(var, AliasVar):
                break
            node, scope = var.expression, var.scope
        return None

    def output_variable(self, node: ast.Variable, sink: Sink, hidden: frozenset[str]) -> ast.Expr:
        """A variable."""
        var = self.find(node.name)
        if isinstance(var, AliasVar):
            return self.output_within(var.scope, var.expression, sink, hidden)
        if isinstance(var, DocumentVar):
            return sink.add(var.raw, "raw")
        if isinstance(var, RowsVar):
            sql, finish = var.output()
            assert isinstance(finish, Finish)
            return sink.add(var.at(sql), "rows", finish)
        if isinstance(var, ElementVar) and not self.from_rows(var.source, var.scope):
            source = self.output_within(var.scope, var.source, sink, hidden)
            return ast.Index(source, sink.add(f"({var.place} - 1)", "value"))
        if isinstance(var, ValueVar) and var.kind != "json":
            return sink.add(var.sql, "number" if var.kind == "number" else "value")
        return sink.add(var.sql, "json")

    def output_within(self, scope: Scope, node: ast.Expr, sink: Sink, hidden: frozenset[str]) -> ast.Expr:
        """An expression that was written where other variables were in scope."""
        before, self.scope = self.scope, scope
        try:
            found: ast.Expr = self.output(node, sink, hidden)
            return found
        finally:
            self.scope = before

    def from_rows(self, node: ast.Expr, scope: Scope) -> bool:
        """Whether an array is, or has in it, rows of a subquery over documents: its elements come alone then."""
        if not pure(node):
            return True
        for below in ast.walk(node):
            if isinstance(below, ast.Variable):
                var = scope.find(below.name)
                if isinstance(var, RowsVar):
                    return True
                if isinstance(var, AliasVar) and self.from_rows(var.expression, var.scope):
                    return True
        return False

    # --- subqueries

    @contextlib.contextmanager
    def inside(self, query: ast.Query) -> Iterator[ast.Return]:
        """The level of a subquery: its statements done, its block and scope the present ones."""
        scope, block = self.scope, self.block
        self.scope, self.block = Scope(outer=scope), Block()
        try:
            yield self.statements(query)
        finally:
            self.scope, self.block = scope, block

    def statements(self, query: ast.Query) -> ast.Return:
        """Compiles all statements but the RETURN, which it gives."""
        raise NotImplementedError

    def rows_output(self, node: ast.Subquery) -> tuple[str, Finish]:
        """A subquery's rows as a json array of tuples, and how each is finished."""
        with self.inside(node.query) as final:
            sink = Sink()
            self.block.distinct = final.distinct
            expression = self.output(final.value, sink)
            finish = Finish(tuple(sink.columns), expression, final.distinct)
            column = f"json_build_array({', '.join(sink.sql)})"
            return f"({self.gathered(column, 'json_agg')})", finish

    def gathered(self, column: str, aggregate: str) -> str:
        """The rows of the present block as one array, in their order."""
        kind = "json" if aggregate == "json_agg" else "jsonb"
        guard = self.block.guard("q")
        value = f"coalesce({aggregate}(q.t), '[]'::{kind})"
        if guard:
            value = f"_crossfade.unless(bool_or({guard}), {value})"
        return f"SELECT {value} FROM ({self.block.select([f'{column} AS t'])}) q"

    def subquery(self, node: ast.Subquery) -> AnyTerm:
        with self.inside(node.query) as final:
            if final.distinct:
                raise NotCompilable("RETURN DISTINCT in a condition")
            column = self.json(self.term(final.value))
            return Term(f"({self.gathered(column, 'jsonb_agg')})")

    def subquery_count(self, node: ast.Subquery) -> str:
        with self.inside(node.query) as final:
            if final.distinct:
                raise NotCompilable("RETURN DISTINCT in a condition")
            self.block.order = []
            return f"(SELECT count(*) FROM ({self.block.select(['1 AS t'])}) q)"


def bound_names(node: ast.Node) -> Iterator[str]:
    """The variables that a subquery binds, at any depth."""
    for below in ast.walk(node):
        if isinstance(below, ast.For):
            yield from pattern_names(below.variable)
        elif isinstance(below, ast.Let):
            yield from pattern_names(below.target)
        elif isinstance(below, ast.Collect):
            yield from (assign.name for assign in (*below.groups, *below.aggregates))
            yield from (name for name in (below.into, below.count_into) if name is not None)
        elif isinstance(below, ast.Window):
            yield from (assign.name for assign in below.aggregates)


def pattern_names(pattern: ast.Pattern | None) -> Iterator[str]:
    """The names in a pattern."""
    if isinstance(pattern, str):
        yield pattern
    elif pattern is not None:
        for target in pattern.targets:
            yield from pattern_names(target)
