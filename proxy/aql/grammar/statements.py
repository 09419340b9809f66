"""LET, FILTER, SORT, LIMIT and RETURN."""

from __future__ import annotations

from proxy.aql import ast
from proxy.aql.grammar.cursor import OPERANDS, Parser, statement_of
from proxy.aql.grammar.expressions import expression
from proxy.aql.grammar.patterns import declare_pattern, target


@statement_of("LET")
def let_statement(p: Parser) -> list[ast.Let]:
    """Parse LET a = 1, b = 2, which is one statement for each variable."""
    p.advance()
    found: list[ast.Let] = []
    while True:
        pattern, at = target(p)
        p.expect("=")
        value = expression(p)
        declare_pattern(p, pattern, at)
        found.append(ast.Let(pattern, value))
        if not p.accept(","):
            return found


@statement_of("FILTER")
def filter_statement(p: Parser) -> list[ast.Filter]:
    """Parse FILTER condition."""
    p.advance()
    return [ast.Filter(expression(p))]


@statement_of("SORT")
def sort_statement(p: Parser) -> list[ast.Sort]:
    """Parse SORT a, b DESC, c @direction."""
    p.advance()
    keys = [_sort_key(p)]
    while p.accept(","):
        keys.append(_sort_key(p))
    return [ast.Sort(tuple(keys))]


def _sort_key(p: Parser) -> ast.SortKey:
    """Parse one key and its direction, which may be a literal or a bind variable."""
    value = expression(p)
    if p.kind in ("ASC", "DESC"):
        return ast.SortKey(value, p.advance().kind)
    if p.kind in ("bind", "str", "num", "NULL", "TRUE", "FALSE"):
        return ast.SortKey(value, OPERANDS[p.kind](p))
    return ast.SortKey(value, "ASC")


@statement_of("LIMIT")
def limit_statement(p: Parser) -> list[ast.Limit]:
    """Parse LIMIT count, and LIMIT offset, count."""
    p.advance()
    first = expression(p)
    if p.accept(","):
        return [ast.Limit(first, expression(p))]
    return [ast.Limit(None, first)]


@statement_of("RETURN")
def return_statement(p: Parser) -> list[ast.Return]:
    """Parse RETURN [DISTINCT] value."""
    p.advance()
    distinct = False
    if p.kind == "DISTINCT":
        if p.scopes[-1].kind in ("main", "sub"):
            p.error("cannot use DISTINCT modifier on top-level query element")
        p.advance()
        distinct = True
    return [ast.Return(expression(p), distinct)]
