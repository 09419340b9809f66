"""Clauses that several statements have: OPTIONS, names of collections, assignments, aggregates."""

from __future__ import annotations

from proxy.aql import ast
from proxy.aql.grammar.cursor import Parser
from proxy.aql.grammar.expressions import expression
from proxy.aql.grammar.operands import object_literal


def options(p: Parser) -> ast.Object | None:
    """Parse [OPTIONS {…}]."""
    if p.kind != "id":
        return None
    if not p.word("OPTIONS"):
        p.error(f"unexpected qualifier '{p.token.value}', expecting 'OPTIONS'")
    p.advance()
    return object_literal(p)


def collection_name(p: Parser) -> ast.Collection | ast.Parameter:
    """Parse a collection in WITH or in a list of edge collections."""
    if p.kind in ("bind", "source"):
        return p.parameter()
    token = p.expect("id")
    return ast.Collection(token.value)


def assignments(p: Parser) -> tuple[ast.Assign, ...]:
    """Parse a = x, b = y."""
    found: list[ast.Assign] = []
    while True:
        name = p.expect("id").value
        p.expect("=")
        found.append(ast.Assign(name, expression(p)))
        if not p.accept(","):
            return tuple(found)


def aggregates(p: Parser) -> tuple[ast.Assign, ...]:
    """Parse a = F(x), b = G(y), in which each right side is one call."""
    found: list[ast.Assign] = []
    while True:
        name = p.expect("id").value
        p.expect("=")
        at = p.token.offset
        value = expression(p)
        if not isinstance(value, ast.Call):
            p.error("aggregate expression must be a function call", at, number=1574)
        found.append(ast.Assign(name, value))
        if not p.accept(","):
            return tuple(found)
