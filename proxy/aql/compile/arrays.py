"""Array operators as terms: expansions, tests, and comparisons with ANY, ALL and NONE (semantics page, section 5)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from proxy.aql import ast
from proxy.aql.compile.comparisons import comparison
from proxy.aql.compile.compilation import Compilation, term_of
from proxy.aql.compile.scope import ValueVar, VariableScope
from proxy.aql.sql_terms import AnyTerm, ConstantTerm, NotCompilable, Term, false_after

_MAX_AMOUNT: Final = 1 << 31


@term_of(ast.Expansion)
def expansion(c: Compilation, node: ast.Expansion) -> AnyTerm:
    """Compile base[* FILTER … LIMIT … RETURN …]; [] if the base is not an array."""
    if node.levels != 1:
        raise NotCompilable("an expansion that flattens")
    base = c.json(c.term(node.base))
    limit = ""
    if node.count is not None:
        offset = 0 if node.offset is None else _amount(c, node.offset)
        limit = f" LIMIT {c.parameters.add(_amount(c, node.count), 'bigint')}"
        limit += f" OFFSET {c.parameters.add(offset, 'bigint')}"
    with _current(c) as alias:
        where = "" if node.condition is None else f" WHERE {c.condition(node.condition)}"
        value = c.json(c.term(node.each if node.result is None else node.result))
    rows = f"jsonb_array_elements({_array_or_empty(base)}) WITH ORDINALITY AS {alias} (v, i){where}"
    if limit:
        return Term(
            f"(SELECT coalesce(jsonb_agg(q.v ORDER BY q.i), '[]'::jsonb) FROM (SELECT {value} AS v, {alias}.i AS i "
            f"FROM {rows} ORDER BY {alias}.i{limit}) q)"
        )
    return Term(f"(SELECT coalesce(jsonb_agg({value} ORDER BY {alias}.i), '[]'::jsonb) FROM {rows})")


@term_of(ast.ArrayTest)
def array_test(c: Compilation, node: ast.ArrayTest) -> Term:
    """Compile base[? quantifier FILTER condition]; false if the base is not an array."""
    if node.levels != 1:
        raise NotCompilable("an array test that flattens")
    base = c.json(c.term(node.base))
    with _current(c) as alias:
        test = "true" if node.condition is None else c.condition(node.condition)
    if node.quantifier == "":
        if node.amount is None or isinstance(node.amount, ast.Range):
            raise NotCompilable("a range of elements")
        wanted = f"{{matched}} = {c.parameters.add(_amount(c, node.amount), 'bigint')}"
    else:
        wanted = _wanted(c, node.quantifier or "ANY", node.amount)
    return _counted(base, alias, test, wanted)


@term_of(ast.Quantified)
def quantified(c: Compilation, node: ast.Quantified) -> Term:
    """Compile left ANY|ALL|NONE|AT LEAST op right; false if the left operand is not an array."""
    base, right = c.json(c.term(node.left)), c.term(node.right)
    alias = c.fresh("e")
    item = Term(f"{alias}.v")
    wanted = _wanted(c, node.quantifier, node.amount)
    if node.op not in ("IN", "NOT IN"):
        return _counted(base, alias, comparison(c, node.op, item, right), wanted)
    if isinstance(right, ConstantTerm) and right.kind not in ("texts", "scalars", "array"):
        return Term(false_after(Term(base)), "bool", scalar=True)
    whole = c.json(right)
    test = f"_crossfade.member({item.sql}, {whole})"
    found = _counted(base, alias, test if node.op == "IN" else f"(NOT {test})", wanted)
    return Term(f"(CASE WHEN jsonb_typeof({whole}) = 'array' THEN {found.sql} ELSE false END)", "bool", scalar=True)


@contextlib.contextmanager
def _current(c: Compilation) -> Iterator[str]:
    """Bind CURRENT to the element of an array operator, whose alias is given."""
    alias, before, depth = c.fresh("e"), c.scope, c.currents
    c.scope = VariableScope({"CURRENT": ValueVar(f"{alias}.v")}, before)
    c.currents += 1
    try:
        yield alias
    finally:
        c.scope, c.currents = before, depth


def _counted(base: str, alias: str, test: str, wanted: str) -> Term:
    """Compile the condition that as many elements as wanted pass a test."""
    # count(alias.v), not count(*): an aggregate over outer columns alone would belong to the outer query
    verdict = wanted.format(matched=f"count({alias}.v) FILTER (WHERE {test})")
    rows = f"jsonb_array_elements({_array_or_empty(base)}) AS {alias} (v)"
    return Term(
        f"(CASE WHEN jsonb_typeof({base}) = 'array' THEN (SELECT {verdict} FROM {rows}) ELSE false END)",
        "bool",
        scalar=True,
    )


def _wanted(c: Compilation, quantifier: str, amount: ast.Expr | None) -> str:
    """Return the condition that a quantifier puts on the number of elements that pass, `{matched}`."""
    if quantifier == "ALL":
        return "{matched} = count(*)"
    if quantifier == "NONE":
        return "{matched} = 0"
    least = 1 if quantifier == "ANY" or amount is None else _amount(c, amount)
    return f"{{matched}} >= {c.parameters.add(least, 'bigint')}"


def _amount(c: Compilation, node: ast.Expr) -> int:
    """Return a constant number of elements."""
    if not c.is_constant(node):
        raise NotCompilable("a number of elements that is not constant")
    value = c.folded(node).value
    if type(value) is not int or not 0 <= value < _MAX_AMOUNT:
        raise NotCompilable("a number of elements")
    return value


def _array_or_empty(sql: str) -> str:
    return f"CASE jsonb_typeof({sql}) WHEN 'array' THEN {sql} ELSE '[]'::jsonb END"
