"""Comparisons, IN, LIKE and arithmetic as terms: two-valued, in the order of all types.

Semantics page, sections 2 and 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from proxy.aql import ast
from proxy.aql.compile.compilation import Compilation, term_of
from proxy.aql.functions.patterns import like_condition
from proxy.aql.operators import COMPARISONS
from proxy.aql.sql_terms import (
    SCALAR_KINDS,
    AnyTerm,
    ConstantTerm,
    NotCompilable,
    Term,
    false_after,
    json_parameter,
    plain_text,
)

_MIRRORED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


@term_of(ast.Binary)
def binary(c: Compilation, node: ast.Binary) -> AnyTerm:
    """Compile a binary operator."""
    compiler = _OPERATORS.get(node.op)
    if compiler is None:
        raise NotCompilable(f"operator {node.op}")
    return compiler(c, node)


def _arithmetic(c: Compilation, node: ast.Binary) -> Term:
    """Compile + - * / % of doubles. A division by zero, which warns, is refused while the statement runs."""
    left, right = c.number(c.term(node.left)), c.number(c.term(node.right))
    if node.op == "%":
        return Term(f"_crossfade.remainder({left}, {right})", "number", scalar=True)
    return Term(f"({left} {node.op} {right})", "number", scalar=True)


def _like(c: Compilation, node: ast.Binary) -> Term:
    sql = like_condition(c, c.term(node.left), c.term(node.right), ignore_case=False)
    return Term(sql if node.op == "LIKE" else f"(NOT {sql})", "bool", scalar=True)


def _comparison(c: Compilation, node: ast.Binary) -> Term:
    return Term(comparison(c, node.op, c.term(node.left), c.term(node.right)), "bool", scalar=True)


# --- == != < <= > >=


def comparison(c: Compilation, op: str, left: AnyTerm, right: AnyTerm) -> str:
    """Compile a comparison to a boolean that is never NULL."""
    if isinstance(left, ConstantTerm):
        if isinstance(right, ConstantTerm):  # an attribute that an object literal does not have
            return "true" if COMPARISONS[op](left.value, right.value) else "false"
        left, right, op = right, left, _MIRRORED[op]
    if op in ("==", "!="):
        sql = _equality(c, left, right)
        return sql if op == "==" else f"(NOT {sql})"
    if not c.catalog.icu and not (isinstance(right, ConstantTerm) and right.kind in SCALAR_KINDS - {"text", "odd"}):
        raise NotCompilable("order of strings without ICU")
    if left.kind in ("int", "number") and isinstance(right, ConstantTerm) and right.kind in ("count", "float"):
        number = c.parameters.constant(right, "double precision", float, "double")
        if left.kind == "int":
            return f"({left.sql} {op} {number})"
    if left.scalar or (right.kind in SCALAR_KINDS if isinstance(right, ConstantTerm) else right.scalar):
        return f"({c.sort_key(left)} {op} {c.sort_key(right)})"
    return f"(_crossfade.compare({c.json(left)}, {c.json(right)}) {op} 0)"


def _equality(c: Compilation, left: Term, right: AnyTerm) -> str:
    """Compile == to a boolean that is never NULL."""
    if isinstance(right, ConstantTerm):
        return _equals_constant(c, left, right)
    if left.kind == "text" and right.kind == "text":
        return f"({left.sql} = {right.sql})"
    if any(term.scalar and term.kind not in ("json", "number") for term in (left, right)):  # one is never null
        return f"coalesce({c.json(left)} = {c.json(right)}, false)"
    return f"_crossfade.same({c.json(left)}, {c.json(right)})"


def _equals_constant(c: Compilation, left: Term, right: ConstantTerm) -> str:
    if right.kind == "null":
        return c.is_null(left)
    if right.kind not in SCALAR_KINDS:
        return f"_crossfade.same({c.json(left)}, {c.json(right)})"
    if left.kind == "bool":
        if right.kind != "bool":
            return false_after(left)
        return left.sql if right.value else f"(NOT {left.sql})"
    if left.kind == "text":
        if right.kind == "odd":
            raise NotCompilable("text that jsonb does not hold")
        return f"({left.sql} = {c.text(right)})" if right.kind == "text" else false_after(left)
    return f"coalesce({c.json(left)} = {c.json(right)}, false)"


# --- IN, NOT IN


def _membership(c: Compilation, node: ast.Binary) -> Term:
    """Compile IN and NOT IN; both are false if the right operand is not an array."""
    wanted = node.op == "IN"
    array = c.term(node.right)
    left = c.term(node.left)
    if isinstance(array, ConstantTerm):
        if array.kind not in ("texts", "scalars", "array"):
            return Term(false_after(left), "bool", scalar=True)
        if array.kind != "array" or all(not isinstance(item, list | dict) for item in array.value):
            sql = _in_constants(c, left, array)
            return Term(sql if wanted else f"(NOT {sql})", "bool", scalar=True)
    value, whole = c.json(left), c.json(array)
    if wanted:
        return Term(f"_crossfade.member({value}, {whole})", "bool", scalar=True)
    sql = f"(jsonb_typeof({whole}) IS NOT DISTINCT FROM 'array' AND NOT _crossfade.member({value}, {whole}))"
    return Term(sql, "bool", scalar=True)


def _in_constants(c: Compilation, left: AnyTerm, array: ConstantTerm) -> str:
    if isinstance(left, Term) and left.kind == "text":
        return f"({left.sql} = ANY ({c.parameters.constant(array, 'text[]', _plain_texts, 'texts')}))"
    return f"(coalesce({c.json(left)}, 'null') = ANY ({c.parameters.constant(array, 'jsonb[]', _each_json, 'each')}))"


def _plain_texts(values: list[Any]) -> list[str]:
    """Return the elements that a text can be equal to."""
    return [item for item in values if isinstance(item, str) and plain_text(item)]


def _each_json(values: list[Any]) -> list[str]:
    return [json_parameter(item) for item in values]


_OPERATORS: Final[dict[str, Callable[[Compilation, ast.Binary], Term]]] = {
    **dict.fromkeys(("+", "-", "*", "/", "%"), _arithmetic),
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), _comparison),
    **dict.fromkeys(("LIKE", "NOT LIKE"), _like),
    **dict.fromkeys(("IN", "NOT IN"), _membership),
}
