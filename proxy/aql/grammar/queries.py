"""Queries and subqueries: sequences of statements, each parsed by its keyword."""

from __future__ import annotations

from proxy.aql import ast
from proxy.aql.grammar.cursor import STATEMENTS, Parser

_MODIFICATIONS = (ast.Insert, ast.UpdateOrReplace, ast.Remove, ast.Upsert)
_MAX_STATEMENTS = 4000


def statements(p: Parser) -> tuple[ast.Statement, ...]:
    """Parse statements up to a RETURN, or to the end if the last one is a modification."""
    found: list[ast.Statement] = []
    while p.kind in STATEMENTS:
        if len(found) > _MAX_STATEMENTS:
            raise p.too_deep()
        found.extend(p.statement())
        if isinstance(found[-1], ast.Return):
            break
    if not found or not isinstance(found[-1], (ast.Return, *_MODIFICATIONS)):
        p.unexpected()
    p.end_nested()
    return tuple(found)


def subquery(p: Parser) -> ast.Subquery:
    """Parse a query inside another one."""
    p.deeper()
    before, p.into_mode = p.into_mode, False
    height = len(p.scopes)
    p.open_scope("sub")
    found = statements(p)
    del p.scopes[height:]
    p.into_mode = before
    p.depth -= 1
    return ast.Subquery(ast.Query((), found))
