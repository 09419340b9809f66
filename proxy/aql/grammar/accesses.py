"""Accesses after an operand: attributes, elements, and the array operators [*] and [?]."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from proxy.aql import ast
from proxy.aql.grammar.cursor import MAX_CHAIN, Parser
from proxy.aql.grammar.expressions import QUANTIFIERS, at_least, at_least_amount, expression, nested


def accesses(p: Parser, base: ast.Expr) -> ast.Expr:
    """Parse everything after an operand that begins with a dot or a bracket."""
    for _ in range(MAX_CHAIN // 4):
        if p.kind == ".":
            p.advance()
            if p.kind == "id":
                name = p.advance().value
                base = _extend(base, partial(ast.Attribute, name=name))
            elif p.kind in ("bind", "source"):
                bound = p.parameter()
                base = _extend(base, partial(ast.BoundAttribute, parameter=bound))
            else:
                p.unexpected("id")
        elif p.kind == "[":
            base = _bracket(p, base)
        else:
            return base
    raise p.too_deep()


def _bracket(p: Parser, base: ast.Expr) -> ast.Expr:
    """Parse base[index], base[*…], base[?…]."""
    p.advance()
    levels, star = 0, p.kind
    if star not in ("*", "?"):
        index = nested(p)
        p.expect("]")
        return _extend(base, lambda inner: ast.Index(inner, index))
    while p.accept(star):
        levels += 1
    if levels > 1 and isinstance(base, ast.Expansion):
        base = ast.Passthru(base)
    p.current_depth += 1
    before, p.into_mode = p.into_mode, False
    built = _expansion(p, levels) if star == "*" else _array_test(p, levels)
    p.into_mode = before
    p.current_depth -= 1
    p.expect("]")
    if isinstance(base, ast.Expansion):  # of the array that each element gives, not of its elements
        return replace(base, each=replace(built, base=base.each))
    return replace(built, base=base)


def _expansion(p: Parser, levels: int) -> ast.Expansion:
    """Parse the inside of [* … ]; the caller fills in the base."""
    condition = offset = count = result = None
    if p.accept("FILTER"):
        condition = expression(p)
    if p.accept("LIMIT"):
        count = expression(p)
        if p.accept(","):
            offset, count = count, expression(p)
    if p.accept("RETURN"):
        result = expression(p)
    current = ast.Variable("CURRENT")
    return ast.Expansion(current, levels, condition, offset, count, result, current)


def _array_test(p: Parser, levels: int) -> ast.ArrayTest:
    """Parse the inside of [? … ]; the caller fills in the base."""
    current = ast.Variable("CURRENT")
    if p.kind == "]":
        return ast.ArrayTest(current, levels, None, None, None)
    quantifier, amount = None, None
    if p.kind in QUANTIFIERS:
        quantifier = p.advance().kind
    elif at_least(p):
        quantifier, amount = "AT LEAST", at_least_amount(p)
    elif p.kind != "FILTER":
        quantifier, amount = "", expression(p)
    p.expect("FILTER")
    return ast.ArrayTest(current, levels, quantifier, amount, expression(p))


def _extend(base: ast.Expr, grow: Callable[[ast.Expr], ast.Expr]) -> ast.Expr:
    """Apply an access to a base; after an expansion it applies to each element, so it goes to the innermost `each`."""
    if isinstance(base, ast.Expansion):
        return replace(base, each=_extend(base.each, grow))
    return grow(base)
