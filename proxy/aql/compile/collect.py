"""COLLECT: groups, aggregates, counts, INTO (semantics page, section 8)."""

from __future__ import annotations

from proxy.aql import ast
from proxy.aql.compile.output import Sink
from proxy.aql.compile.result_builder import Finish
from proxy.aql.compile.scope import Block, Item, OrderKey, RowsVar, Scope, ValueVar
from proxy.aql.compile.sql_terms import NotCompilable, Term
from proxy.aql.compile.subquery_rows import Wanted
from proxy.aql.compile.traversal_joins import HopCompiler


class CollectCompiler(HopCompiler):
    """Compiles COLLECT: the present block, grouped, is the one FROM item of a new one."""

    def collect(self, node: ast.Collect) -> None:
        if node.groups and not self.catalog.icu:
            raise NotCompilable("order of groups without ICU")
        if self.block.limit:
            self.wrap()
        inner, outer_scope, alias = self.block, self.scope.outer, self.fresh("g")
        columns: list[str] = []
        fresh = Scope(outer=outer_scope)
        block = Block()
        for number, assign in enumerate(node.groups):
            term = self.term(self.hoisted(assign.value))
            columns.append(f"_crossfade.group_key({self.json(term)}) AS k{number}")
            block.order.append(OrderKey(f"_crossfade.sort_key({alias}.k{number})", False, False))
            self._own(block, fresh, assign.name, ValueVar(assign.name, f"{alias}.k{number}", "json", True))
        for number, assign in enumerate(node.aggregates):
            term = self.aggregate(assign.value)
            columns.append(f"{term.sql} AS a{number}")
            kind = term.kind if term.kind in ("int", "number") else "json"
            self._own(block, fresh, assign.name, ValueVar(assign.name, f"{alias}.a{number}", kind, term.scalar))
        if node.count_into is not None:
            columns.append("count(*) AS n")
            self._own(block, fresh, node.count_into, ValueVar(node.count_into, f"{alias}.n", "int", True))
        inner.group = len(node.groups)
        order, inner.order = inner.order, []
        if node.into is not None:
            rows = self.gathered_rows(node, alias, order)
            self._own(block, fresh, node.into, RowsVar(node.into, rows.value, rows.output, rows.count))
            block.items.append(Item(lambda: f"LATERAL ({inner.select([*columns, *rows.columns()])}) {alias}"))
        else:
            block.items.append(Item(lambda: f"LATERAL ({inner.select(columns or ['1 AS one'])}) {alias}"))
        block.sorted_by = "collect"
        self.block, self.scope = block, fresh

    @staticmethod
    def _own(block: Block, scope: Scope, name: str, var: ValueVar | RowsVar) -> None:
        block.owned.append(var)
        scope.variables[name] = var

    # --- INTO

    def gathered_rows(self, node: ast.Collect, alias: str, order: list[OrderKey]) -> _Gathered:
        """What INTO gathers of the rows of each group, in the order that these come in."""
        if node.into_value is not None:
            value: ast.Expr = self.hoisted(node.into_value)
        else:
            names = node.ends if node.keep is None else node.keep
            value = ast.Object(tuple(ast.Item(name, None, ast.Variable(name)) for name in names))
        rows = _Gathered(alias, "g")
        rows.order = "" if any(key.guarded for key in order) else _ordering(order)
        sink = Sink()
        try:
            rows.finish = Finish((), self.output(value, sink))
            rows.finish = Finish(tuple(sink.columns), rows.finish.expression)
            rows.output_column = f"json_build_array({', '.join(sink.sql)})"
        except NotCompilable as reason:
            rows.no_output = reason
        try:
            rows.value_column = self.json(self.term(value))
        except NotCompilable as reason:
            rows.no_value = reason
        return rows

    # --- AGGREGATE

    def aggregate(self, node: ast.Expr) -> Term:
        """One aggregate of the rows of a group."""
        if not isinstance(node, ast.Call):
            raise NotCompilable("an aggregate that is no function")
        name = node.name
        if name in ("COUNT", "LENGTH"):
            return Term("count(*)", "int", True)
        if not node.arguments:
            raise NotCompilable(f"aggregate {name}")
        value = self.json(self.term(self.hoisted(node.arguments[0])))
        if name in ("SUM", "AVG", "AVERAGE"):
            mixed = f"bool_or(jsonb_typeof({value}) NOT IN ('null', 'number'))"
            only = f"FILTER (WHERE jsonb_typeof({value}) = 'number')"
            if name != "SUM":
                return Term(
                    f"CASE WHEN NOT coalesce({mixed}, false) THEN avg(_crossfade.number({value})) {only} END",
                    "number",
                    True,
                )
            total = f"coalesce(sum(_crossfade.number({value})) {only}, 0)"
            return Term(f"CASE WHEN count(*) > 0 AND NOT coalesce({mixed}, false) THEN {total} END", "number", True)
        if name in ("MIN", "MAX"):
            if not self.catalog.icu:
                raise NotCompilable("order of strings without ICU")
            way = " DESC" if name == "MAX" else ""
            found = (
                f"(array_agg({value} ORDER BY _crossfade.sort_key({value}){way}) FILTER (WHERE {value} <> 'null'))[1]"
            )
            return Term(f"_crossfade.group_key({found})", "json", True)
        if name in ("COUNT_DISTINCT", "COUNT_UNIQUE"):
            return Term(f"count(DISTINCT _crossfade.canonical({value}))", "int", True)
        raise NotCompilable(f"aggregate {name}")


def _ordering(order: list[OrderKey]) -> str:
    keys = [f"{key.sql} DESC" if key.descending else key.sql for key in order]
    return f" ORDER BY {', '.join(keys)}" if keys else ""


class _Gathered(Wanted):
    """The columns of INTO that are wanted. order: ORDER BY of the rows, or nothing."""

    order = ""

    def columns(self) -> list[str]:
        """The SELECT list of what is wanted."""
        found = []
        if "v" in self.wanted:
            found.append(f"coalesce(jsonb_agg({self.value_column}{self.order}), '[]'::jsonb) AS gv")
        if "o" in self.wanted:
            found.append(f"coalesce(json_agg({self.output_column}{self.order}), '[]'::json) AS go")
        if "n" in self.wanted:
            found.append("count(*) AS gn")
        return found
