"""COLLECT: groups, aggregates, counts, INTO (semantics page, section 8). The present block, grouped, is the one FROM
item of a new one."""

from __future__ import annotations

from proxy.aql import ast
from proxy.aql.aggregates import AGGREGATES
from proxy.aql.compile.blocks import wrap_limited
from proxy.aql.compile.compilation import Compilation, statement_of
from proxy.aql.compile.output_columns import OutputColumns
from proxy.aql.compile.result_builder import Finish
from proxy.aql.compile.scope import Block, FromItem, OrderKey, RowsVar, ValueVar, VariableScope
from proxy.aql.compile.subqueries import hoisted
from proxy.aql.compile.subquery_rows import WantedColumns
from proxy.aql.sql_terms import NotCompilable, Term


@statement_of(ast.Collect)
def collect(c: Compilation, node: ast.Collect) -> None:
    """Compile COLLECT."""
    if node.groups and not c.catalog.icu:
        raise NotCompilable("order of groups without ICU")
    wrap_limited(c)
    inner, alias = c.block, c.fresh("g")
    outer = _Grouped(VariableScope(outer=c.scope.outer), Block(sorted_by="collect"))
    columns = _groups(c, node, alias, outer) + _aggregates(c, node, alias, outer)
    if node.count_into is not None:
        columns.append("count(*) AS n")
        outer.bind(node.count_into, ValueVar(f"{alias}.n", "int", scalar=True))
    inner.group = len(node.groups)
    order, inner.order = inner.order, []
    if node.into is not None:
        rows = _gathered(c, node, alias, order)
        outer.bind(node.into, RowsVar(rows.value, rows.output, rows.count))
        outer.block.items.append(FromItem(lambda: f"LATERAL ({inner.select([*columns, *rows.columns()])}) {alias}"))
    else:
        outer.block.items.append(FromItem(lambda: f"LATERAL ({inner.select(columns or ['1 AS one'])}) {alias}"))
    c.block, c.scope = outer.block, outer.scope


class _Grouped:
    """The scope and the block after COLLECT, in which only its own variables are known."""

    def __init__(self, scope: VariableScope, block: Block) -> None:
        self.scope = scope
        self.block = block

    def bind(self, name: str, var: ValueVar | RowsVar) -> None:
        """Add a variable."""
        self.block.owned.append(var)
        self.scope.variables[name] = var


def _groups(c: Compilation, node: ast.Collect, alias: str, outer: _Grouped) -> list[str]:
    """Bind the group keys, and return their columns."""
    columns = []
    for number, assign in enumerate(node.groups):
        term = c.term(hoisted(c, assign.value))
        name, kind, column = f"{alias}.k{number}", "json", f"_crossfade.group_key({c.json(term)})"
        if isinstance(term, Term) and term.kind == "number":  # jsonb forgets that it is a double, which prints 1e+15
            kind, column = "number", term.sql
        columns.append(f"{column} AS k{number}")
        outer.block.order.append(OrderKey(c.sort_key(Term(name, kind)), descending=False, guarded=False))
        outer.bind(assign.name, ValueVar(name, kind, scalar=True))
    return columns


def _aggregates(c: Compilation, node: ast.Collect, alias: str, outer: _Grouped) -> list[str]:
    """Bind the aggregates, and return their columns."""
    columns = []
    for number, assign in enumerate(node.aggregates):
        term = _aggregate(c, assign.value)
        columns.append(f"{term.sql} AS a{number}")
        kind = term.kind if term.kind in ("int", "number") else "json"
        outer.bind(assign.name, ValueVar(f"{alias}.a{number}", kind, term.scalar))
    return columns


def _aggregate(c: Compilation, node: ast.Expr) -> Term:
    """Compile one aggregate of the rows of a group."""
    if not isinstance(node, ast.Call):
        raise NotCompilable("an aggregate that is not a function")
    name = node.name
    if name in ("COUNT", "LENGTH"):
        return Term("count(*)", "int", scalar=True)
    if not node.arguments:
        raise NotCompilable(f"aggregate {name}")
    value = c.json(c.term(hoisted(c, node.arguments[0])))
    aggregate = AGGREGATES.get(name)
    if aggregate is None or aggregate.sql is None:
        raise NotCompilable(f"aggregate {name}")
    if aggregate.orders_strings and not c.catalog.icu:
        raise NotCompilable("order of strings without ICU")
    return aggregate.sql(value)


# --- INTO


class _Gathered(WantedColumns):
    """The columns of INTO that are needed. order: ORDER BY of the rows, or nothing."""

    order = ""

    def columns(self) -> list[str]:
        """Return the SELECT list of what is needed."""
        found = []
        if "v" in self.wanted:
            found.append(f"coalesce(jsonb_agg({self.value_column}{self.order}), '[]'::jsonb) AS gv")
        if "o" in self.wanted:
            found.append(f"coalesce(json_agg({self.output_column}{self.order}), '[]'::json) AS go")
        if "n" in self.wanted:
            found.append("count(*) AS gn")
        return found


def _gathered(c: Compilation, node: ast.Collect, alias: str, order: list[OrderKey]) -> _Gathered:
    """Compile what INTO gathers of the rows of each group, in the order of those rows."""
    if node.into_value is not None:
        value: ast.Expr = hoisted(c, node.into_value)
    else:
        names = node.ends if node.keep is None else node.keep
        value = ast.Object(tuple(ast.Item(name, None, ast.Variable(name)) for name in names))
    rows = _Gathered(alias, "g")
    rows.order = "" if any(key.guarded for key in order) else _ordering(order)
    columns = OutputColumns()
    try:
        expression = c.output(value, columns)
        rows.finish = Finish(tuple(columns.columns), expression)
        rows.output_column = columns.as_json()
    except NotCompilable as reason:
        rows.no_output = reason
    try:
        rows.value_column = c.json(c.term(value))
    except NotCompilable as reason:
        rows.no_value = reason
    return rows


def _ordering(order: list[OrderKey]) -> str:
    keys = [f"{key.sql} DESC" if key.descending else key.sql for key in order]
    return f" ORDER BY {', '.join(keys)}" if keys else ""
