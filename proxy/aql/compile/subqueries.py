"""Subqueries: levels of statements inside an expression, as scalar subqueries or as FROM items that run once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from proxy.aql import ast
from proxy.aql.compile.blocks import wrap_limited
from proxy.aql.compile.compilation import Compilation, term_of
from proxy.aql.compile.expressions import pure
from proxy.aql.compile.lookups import lookup
from proxy.aql.compile.output_columns import OutputColumns
from proxy.aql.compile.result_builder import Finish
from proxy.aql.compile.scope import Block, FromItem, RowsVar, VariableScope
from proxy.aql.compile.subquery_rows import SubqueryRows
from proxy.aql.primary_index_order import by_primary_index
from proxy.aql.sql_terms import AnyTerm, NotCompilable, Term


def compile_level(c: Compilation, query: ast.Query) -> ast.Return:
    """Compile all statements but the last into the present block, and return that one. Raise NotCompilable."""
    for index, statement in enumerate(query.statements[:-1]):
        c.by_key = by_primary_index(query.statements, index)
        c.place = (query.statements, index)
        c.statement(statement)
    final = query.statements[-1]
    if not isinstance(final, ast.Return):
        raise NotCompilable(type(final).__name__.upper())
    return ast.Return(hoisted(c, final.value, calls=True), final.distinct)


@contextlib.contextmanager
def subquery_level(c: Compilation, query: ast.Query) -> Iterator[ast.Return]:
    """Compile the level of a subquery: inside, its block and scope are the present ones."""
    scope, block = c.scope, c.block
    c.scope, c.block = VariableScope(outer=scope), Block()
    try:
        yield compile_level(c, query)
    finally:
        c.scope, c.block = scope, block


# --- as a scalar subquery


@term_of(ast.Subquery)
def subquery(c: Compilation, node: ast.Subquery) -> AnyTerm:
    """Compile a subquery to the jsonb array of its rows."""
    with subquery_level(c, node.query) as final:
        _refuse_distinct(final)
        column = c.json(c.term(final.value))
        return Term(f"({_gathered(c, column, 'jsonb_agg')})")


def subquery_count(c: Compilation, node: ast.Subquery) -> str:
    """Compile the number of rows of a subquery."""
    with subquery_level(c, node.query) as final:
        _refuse_distinct(final)
        c.block.order = []
        return f"(SELECT count(*) FROM ({c.block.select(['1 AS t'])}) q)"


def rows_output(c: Compilation, node: ast.Subquery) -> tuple[str, Finish]:
    """Compile a subquery's rows to a json array of tuples, and return how each becomes a row."""
    with subquery_level(c, node.query) as final:
        columns = OutputColumns()
        c.block.distinct = final.distinct
        expression = c.output(final.value, columns)
        finish = Finish(tuple(columns.columns), expression, final.distinct)
        return f"({_gathered(c, columns.as_json(), 'json_agg')})", finish


def _refuse_distinct(final: ast.Return) -> None:
    if final.distinct:
        raise NotCompilable("RETURN DISTINCT in a condition")


def _gathered(c: Compilation, column: str, aggregate: str) -> str:
    """Select the rows of the present block as one array, in their order."""
    kind = "json" if aggregate == "json_agg" else "jsonb"
    guard = c.block.guard("q")
    value = f"coalesce({aggregate}(q.t), '[]'::{kind})"
    if guard:
        value = f"_crossfade.unless(bool_or({guard}), {value})"
    return f"SELECT {value} FROM ({c.block.select([f'{column} AS t'])}) q"


# --- as a FROM item


def hoisted(c: Compilation, node: Any, *, calls: bool = False) -> Any:
    """Return the expression with each subquery over documents replaced by a variable, so that it runs once.

    calls: DOCUMENT() as well. LENGTH of a subquery stays, because it needs no rows.
    """
    if isinstance(node, ast.Subquery):
        return node if pure(node) else _rows_variable(c, node)
    if not isinstance(node, ast.Node) or pure(node):
        return node
    if isinstance(node, ast.Call):
        if node.name in ("LENGTH", "COUNT") and isinstance(node.arguments[0], ast.Subquery):
            return node
        if node.name == "DOCUMENT" and calls:
            call = replace(node, arguments=tuple(hoisted(c, item, calls=True) for item in node.arguments))
            name = c.fresh("#")
            c.scope.variables[name] = lookup(c, call)
            return ast.Variable(name)
    changed: dict[str, Any] = {}
    for name in node.__dataclass_fields__:
        value = getattr(node, name)
        if isinstance(value, ast.Node):
            changed[name] = hoisted(c, value, calls=calls)
        elif isinstance(value, tuple) and any(isinstance(item, ast.Node) for item in value):
            changed[name] = tuple(hoisted(c, item, calls=calls) for item in value)
    return replace(node, **changed) if changed else node


def _rows_variable(c: Compilation, node: ast.Subquery) -> ast.Variable:
    """Add a subquery as a lateral FROM item, with those columns that turn out to be needed."""
    name = c.fresh("#")
    alias = c.fresh("l")
    wrap_limited(c)
    rows = SubqueryRows(alias)
    with subquery_level(c, node.query) as final:
        block = c.block
        block.distinct = final.distinct
        columns = OutputColumns()
        try:
            expression = c.output(final.value, columns)
            rows.finish = Finish(tuple(columns.columns), expression, final.distinct)
            rows.output_column = columns.as_json()
        except NotCompilable as reason:
            rows.no_output = reason
        try:
            _refuse_distinct(final)
            rows.value_column = c.json(c.term(final.value))
        except NotCompilable as reason:
            rows.no_value = reason
    if rows.no_output is not None and rows.no_value is not None:
        raise rows.no_output
    c.block.items.append(FromItem(lambda: rows.text(block)))
    c.bind(name, RowsVar(rows.value, rows.output, rows.count))
    return ast.Variable(name)
