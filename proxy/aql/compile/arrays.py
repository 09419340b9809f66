"""Arrays in conditions: expansions, tests, ANY, ALL and NONE, sets (semantics page, sections 5 and 10)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from proxy.aql import ast
from proxy.aql.compile.functions import FunctionCompiler
from proxy.aql.compile.scope import Scope, ValueVar
from proxy.aql.compile.sql_terms import AnyTerm, Constant, NotCompilable, Term

_MOST: Final = 1 << 31


class ArrayCompiler(FunctionCompiler):
    """Compiles what goes through the elements of one array."""

    @contextlib.contextmanager
    def current(self) -> Iterator[str]:
        """The alias of an element, which CURRENT stands for."""
        alias, before, depth = self.fresh("e"), self.scope, self.currents
        self.scope = Scope({"CURRENT": ValueVar("CURRENT", f"{alias}.v")}, before)
        self.currents += 1
        try:
            yield alias
        finally:
            self.scope, self.currents = before, depth

    def array_of(self, node: ast.Expr) -> str:
        """What is to be an array, as jsonb."""
        return self.json(self.term(node))

    def expansion(self, node: ast.Expansion) -> AnyTerm:
        """base[* FILTER … LIMIT … RETURN …]; [] of what is no array."""
        if node.levels != 1:
            raise NotCompilable("an expansion that flattens")
        base = self.array_of(node.base)
        limit = ""
        if node.count is not None:
            offset = 0 if node.offset is None else self.amount(node.offset)
            limit = f" LIMIT {self.parameters.add(self.amount(node.count), 'bigint')}"
            limit += f" OFFSET {self.parameters.add(offset, 'bigint')}"
        with self.current() as alias:
            where = "" if node.condition is None else f" WHERE {self.condition(node.condition)}"
            value = self.json(self.term(node.each if node.result is None else node.result))
        rows = f"jsonb_array_elements({_array(base)}) WITH ORDINALITY AS {alias} (v, i){where}"
        if limit:
            return Term(
                f"(SELECT coalesce(jsonb_agg(q.v ORDER BY q.i), '[]'::jsonb) FROM (SELECT {value} AS v, {alias}.i AS i "
                f"FROM {rows} ORDER BY {alias}.i{limit}) q)"
            )
        return Term(f"(SELECT coalesce(jsonb_agg({value} ORDER BY {alias}.i), '[]'::jsonb) FROM {rows})")

    def array_test(self, node: ast.ArrayTest) -> Term:
        """base[? quantifier FILTER condition]; false of what is no array."""
        if node.levels != 1:
            raise NotCompilable("an array test that flattens")
        base = self.array_of(node.base)
        with self.current() as alias:
            test = "true" if node.condition is None else self.condition(node.condition)
        if node.quantifier == "":
            if node.amount is None or isinstance(node.amount, ast.Range):
                raise NotCompilable("a range of elements")
            judged = f"{{matched}} = {self.parameters.add(self.amount(node.amount), 'bigint')}"
        else:
            judged = self.judged(node.quantifier or "ANY", node.amount)
        return self.counted(base, alias, test, judged)

    def quantified(self, node: ast.Quantified) -> Term:
        """left ANY|ALL|NONE|AT LEAST op right; false where the left side is no array."""
        base, right = self.array_of(node.left), self.term(node.right)
        alias = self.fresh("e")
        item = Term(f"{alias}.v")
        judged = self.judged(node.quantifier, node.amount)
        if node.op not in ("IN", "NOT IN"):
            return self.counted(base, alias, self.comparison(node.op, item, right), judged)
        if isinstance(right, Constant) and right.kind not in ("texts", "scalars", "array"):
            return Term("false", "bool", True)
        whole = self.json(right)
        test = f"_crossfade.member({item.sql}, {whole})"
        found = self.counted(base, alias, test if node.op == "IN" else f"(NOT {test})", judged)
        return Term(f"(CASE WHEN jsonb_typeof({whole}) = 'array' THEN {found.sql} ELSE false END)", "bool", True)

    def counted(self, base: str, alias: str, test: str, judged: str) -> Term:
        """Whether as many elements pass a test as are wanted."""
        # of the element: an aggregate all of whose variables are a query's further out belongs to that
        told = judged.format(matched=f"count({alias}.v) FILTER (WHERE {test})")
        rows = f"jsonb_array_elements({_array(base)}) AS {alias} (v)"
        return Term(
            f"(CASE WHEN jsonb_typeof({base}) = 'array' THEN (SELECT {told} FROM {rows}) ELSE false END)", "bool", True
        )

    def judged(self, quantifier: str, amount: ast.Expr | None) -> str:
        """What a quantifier wants of the number of elements that pass."""
        if quantifier == "ALL":
            return "{matched} = count(*)"
        if quantifier == "NONE":
            return "{matched} = 0"
        least = 1 if quantifier == "ANY" or amount is None else self.amount(amount)
        return f"{{matched}} >= {self.parameters.add(least, 'bigint')}"

    def amount(self, node: ast.Expr) -> int:
        """A number of elements that is known."""
        if not self.constant(node):
            raise NotCompilable("a number of elements that is no constant")
        value = self.folded(node).value
        if type(value) is not int or not 0 <= value < _MOST:
            raise NotCompilable("a number of elements")
        return value

    # --- sets

    def call(self, node: ast.Call) -> AnyTerm:
        name = node.name
        if name in ("INTERSECTION", "MINUS", "UNIQUE") and len(node.arguments) == (1 if name == "UNIQUE" else 2):
            # of what is no array they are null and warn: refused as it runs
            first, *others = [f"_crossfade.loop({self.array_of(item)})" for item in node.arguments]
            where = f" WHERE {'NOT ' if name == 'MINUS' else ''}_crossfade.member(u.v, {others[0]})" if others else ""
            return _distinct(first, where)
        if name in ("UNION", "UNION_DISTINCT"):
            joined = " || ".join(f"_crossfade.loop({self.array_of(item)})" for item in node.arguments)
            return Term(f"({joined})") if name == "UNION" else _distinct(f"({joined})", "")
        if name in ("FLOOR", "CEIL"):
            # what is added makes 0 of -0
            return Term(f"({name.lower()}({self.number(self.term(node.arguments[0]))}) + 0)", "number", True)
        if name == "SQRT":
            value = self.number(self.term(node.arguments[0]))
            return Term(f"(CASE WHEN {value} >= 0 THEN sqrt({value}) END)", "number", True)
        return super().call(node)


def _array(sql: str) -> str:
    return f"CASE jsonb_typeof({sql}) WHEN 'array' THEN {sql} ELSE '[]'::jsonb END"


def _distinct(array: str, where: str) -> Term:
    """The elements of an array, each once, at the place of the first; where: what those have to be, of u.v."""
    return Term(
        "(SELECT coalesce(jsonb_agg(u.v ORDER BY u.i), '[]'::jsonb) FROM (SELECT DISTINCT ON "
        f"(_crossfade.canonical(x.v)) x.v, x.i FROM jsonb_array_elements({array}) WITH ORDINALITY AS x (v, i) "
        f"ORDER BY _crossfade.canonical(x.v), x.i) u{where})"
    )
