"""The values of RETURN and INTO: an expression over columns of the statement, which the result builder evaluates.

Documents come as their stored text, and parts of a document are taken from it. Values that only SQL knows (groups,
aggregates, counts, rows of subqueries) come as columns.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from proxy.aql import ast
from proxy.aql.analyse import source_name
from proxy.aql.compile.calls import length
from proxy.aql.compile.compilation import Compilation, output_of
from proxy.aql.compile.expressions import pure
from proxy.aql.compile.lookups import lookup
from proxy.aql.compile.output_columns import OutputColumns
from proxy.aql.compile.result_builder import Finish
from proxy.aql.compile.scope import AliasVar, DocumentVar, ElementVar, RowsVar, ValueVar, VariableScope
from proxy.aql.compile.subqueries import rows_output, subquery_count
from proxy.aql.signatures import FETCHING
from proxy.aql.sql_terms import NotCompilable, Term
from proxy.aql.trees import pattern_names


@output_of(ast.Variable)
def variable(c: Compilation, node: ast.Variable, columns: OutputColumns, hidden: frozenset[str]) -> ast.Expr:
    """Select the value of a variable."""
    if node.name in hidden or node.name == "CURRENT":
        return node
    var = c.find(node.name)
    if isinstance(var, AliasVar):
        return _in_scope(c, var.scope, var.expression, columns, hidden)
    if isinstance(var, DocumentVar):
        return columns.add(var.raw, "raw")
    if isinstance(var, RowsVar):
        sql, finish = var.output()
        assert isinstance(finish, Finish)
        return columns.add(var.at(sql), "rows", finish)
    if isinstance(var, ElementVar) and not _contains_rows(var.source, var.scope):
        source = _in_scope(c, var.scope, var.source, columns, hidden)
        return ast.Index(source, columns.add(f"({var.place} - 1)", "value"))
    if isinstance(var, ValueVar) and var.kind != "json":
        return columns.add(var.sql, "number" if var.kind == "number" else "value")
    return columns.add(var.sql, "json")


def _in_scope(
    c: Compilation, scope: VariableScope, node: ast.Expr, columns: OutputColumns, hidden: frozenset[str]
) -> ast.Expr:
    """Rewrite an expression with the variables of the scope in which it was written."""
    with c.in_scope(scope):
        found: ast.Expr = c.output(node, columns, hidden)
        return found


def _contains_rows(node: ast.Expr, scope: VariableScope) -> bool:
    """Return True if an array is, or contains, rows of a subquery over documents: then its elements are columns."""
    if not pure(node):
        return True
    for below in ast.walk(node):
        if isinstance(below, ast.Variable):
            var = scope.find(below.name)
            if isinstance(var, RowsVar):
                return True
            if isinstance(var, AliasVar) and _contains_rows(var.expression, var.scope):
                return True
    return False


@output_of(ast.Attribute)
def attribute(c: Compilation, node: ast.Attribute, columns: OutputColumns, hidden: frozenset[str]) -> ast.Expr:
    """Select _key and _id of a document by themselves, so that its text need not be read for them."""
    if isinstance(node.base, ast.Variable) and node.name in ("_key", "_id"):
        var = None if node.base.name in hidden else c.scope.find(node.base.name)
        if isinstance(var, DocumentVar):
            return columns.add(var.key if node.name == "_key" else f"({var.prefix} || {var.key})", "value")
    copied: ast.Expr = c.output_children(node, columns, hidden)
    return copied


@output_of(ast.Subquery)
def subquery(c: Compilation, node: ast.Subquery, columns: OutputColumns, hidden: frozenset[str]) -> ast.Expr:
    """Select the rows of a subquery over documents; any other is evaluated by the result builder."""
    if not pure(node):
        sql, finish = rows_output(c, node)
        return columns.add(sql, "rows", finish)
    copied: ast.Expr = c.output_children(node, columns, hidden | set(_bound_names(node)))
    return copied


@output_of(ast.Call)
def call(c: Compilation, node: ast.Call, columns: OutputColumns, hidden: frozenset[str]) -> ast.Expr:
    """Select documents and numbers of documents; any other function is evaluated by the result builder."""
    if node.name == "DOCUMENT":
        return columns.add(f"{lookup(c, node).raw}", "raw")
    if node.name in ("LENGTH", "COUNT", "COLLECTION_COUNT"):
        counted = _counted(c, node.arguments[0], columns, hidden)
        if counted is not None:
            return counted
    if node.name in FETCHING:
        raise NotCompilable(f"function {node.name}")
    if "::" in node.name:
        raise NotCompilable(f"user function {node.name}")
    arguments = tuple(
        ast.Literal(name) if (name := c.collection_name(item)) else c.output(item, columns, hidden)
        for item in node.arguments
    )
    return replace(node, arguments=arguments)


def _counted(c: Compilation, node: ast.Expr, columns: OutputColumns, hidden: frozenset[str]) -> ast.Expr | None:
    """Select the size of a collection or of a subquery over documents; None for any other argument of LENGTH."""
    if c.collection_name(node) is not None:
        term = length(c, node)
        assert isinstance(term, Term)
        return columns.add(term.sql, "value")
    rows = c.rows_of(node, hidden)
    if rows is not None:
        return columns.add(rows.at(rows.count()), "value")
    if isinstance(node, ast.Subquery) and not pure(node):
        with contextlib.suppress(NotCompilable):
            return columns.add(subquery_count(c, node), "value")
    return None


@output_of(ast.Collection, ast.Traversal, ast.Paths)
def not_a_value(_c: Compilation, node: ast.Node, _columns: OutputColumns, _hidden: frozenset[str]) -> ast.Expr:
    """Refuse what the result builder cannot evaluate."""
    raise NotCompilable(type(node).__name__.lower())


@output_of(ast.Parameter)
def parameter(c: Compilation, node: ast.Parameter, _columns: OutputColumns, _hidden: frozenset[str]) -> ast.Expr:
    """Leave a bind variable to the result builder, unless it names a collection."""
    if node.source:
        raise NotCompilable(f"collection {source_name(c.binds, node.name)} as a value")
    return node


def _bound_names(node: ast.Node) -> Iterator[str]:
    """Yield the variables that a subquery binds, at any depth."""
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
