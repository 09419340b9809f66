"""FOR over a collection, a range, a subquery or an array, and LET."""

from __future__ import annotations

from typing import Final

from proxy.aql import ast
from proxy.aql.compile.blocks import begin_loop, derive, order_by_place, wrap_limited
from proxy.aql.compile.compilation import Compilation, statement_of
from proxy.aql.compile.expressions import pure
from proxy.aql.compile.scope import AliasVar, CollectionScan, DocumentVar, ElementVar, FromItem, ValueVar
from proxy.aql.compile.subqueries import hoisted, subquery_level
from proxy.aql.sql_terms import ConstantTerm, NotCompilable

_MAX_BOUND: Final = 1 << 40  # of a range of constants


@statement_of(ast.Let)
def let(c: Compilation, node: ast.Let) -> None:
    """Compile LET: the expression replaces the variable."""
    if not isinstance(node.target, str):
        raise NotCompilable("destructuring")
    c.scope.variables[node.target] = AliasVar(hoisted(c, node.value, calls=True), c.scope)


@statement_of(ast.For)
def loop(c: Compilation, node: ast.For) -> None:
    """Compile FOR."""
    if node.search is not None:
        raise NotCompilable("SEARCH")
    if not isinstance(node.variable, str):
        raise NotCompilable("destructuring")
    wrap_limited(c)
    begin_loop(c)
    collection = c.collection_name(node.source)
    if collection is not None:
        _scan(c, node.variable, collection)
    elif isinstance(node.source, ast.Range):
        _numbers(c, node.variable, node.source)
    elif isinstance(node.source, ast.Subquery) and not pure(node.source):
        with subquery_level(c, node.source.query) as final:
            if final.distinct:
                raise NotCompilable("RETURN DISTINCT in a loop")
            inner, scope = c.block, c.scope
        c.scope.variables[node.variable] = AliasVar(final.value, scope)
        derive(c, inner, c.fresh("s"))
    else:
        _elements(c, node.variable, hoisted(c, node.source))


def _scan(c: Compilation, variable: str, collection: str) -> None:
    table, alias = c.table(collection), c.fresh("d")
    c.block.items.append(FromItem(lambda: f"{table.relation} {alias}"))
    c.block.where.append(f"{alias}.doc IS NOT NULL")
    order_by_place(c, f"{alias}.key", loose=not table.small)
    prefix = c.parameters.add(f"{collection}/", "text")
    var = DocumentVar(f"{alias}.key", f"{alias}.doc", f"{alias}.raw", prefix, collection)
    var.edges = alias if table.edge else None
    var.indexed = table.indexed
    c.scans[var.doc] = CollectionScan(collection)
    c.bind(variable, var)


def _numbers(c: Compilation, variable: str, node: ast.Range) -> None:
    low, high = (_bound(c, end) for end in (node.low, node.high))
    alias = c.fresh("e")
    step = f"CASE WHEN {low} <= {high} THEN 1 ELSE -1 END"
    c.block.items.append(
        FromItem(lambda: f"LATERAL generate_series({low}, {high}, {step}) WITH ORDINALITY AS {alias} (v, i)")
    )
    order_by_place(c, f"{alias}.i")
    c.bind(variable, ValueVar(f"{alias}.v", "int", scalar=True))


def _bound(c: Compilation, node: ast.Expr) -> str:
    """Compile an end of a range to a bigint."""
    term = c.term(hoisted(c, node))
    if isinstance(term, ConstantTerm):
        if type(term.value) is not int or abs(term.value) > _MAX_BOUND:
            raise NotCompilable("a range of values that are not integers")
        return c.parameters.add(term.value, "bigint")
    if term.kind == "int":
        return term.sql
    if term.kind == "number":
        return f"trunc(coalesce({term.sql}, 0))::bigint"
    raise NotCompilable("a range of values that are not numbers")


def _elements(c: Compilation, variable: str, source: ast.Expr) -> None:
    value, alias = c.json(c.term(source)), c.fresh("e")
    call = f"jsonb_array_elements(_crossfade.loop({value}))"
    c.block.items.append(FromItem(lambda: f"LATERAL {call} WITH ORDINALITY AS {alias} (v, i)"))
    order_by_place(c, f"{alias}.i")
    c.bind(variable, ElementVar(f"{alias}.v", f"{alias}.i", source, c.scope))
