"""COLLECT and WINDOW."""

from __future__ import annotations

from proxy.aql import ast
from proxy.aql.grammar.clauses import aggregates, assignments, options
from proxy.aql.grammar.cursor import Parser, statement_of
from proxy.aql.grammar.expressions import expression
from proxy.aql.grammar.operands import object_literal


@statement_of("COLLECT")
def collect_statement(p: Parser) -> list[ast.Collect]:
    """Parse COLLECT in all its forms. Every expression of it still sees the variables that end here."""
    at = p.advance().offset
    groups = () if p.kind in ("AGGREGATE", "WITH") else assignments(p)
    aggregated = aggregates(p) if p.accept("AGGREGATE") else ()
    into, into_value, count_into = None, None, None
    if p.kind == "WITH":
        count_into = _with_count(p, allowed=not aggregated)
    elif p.accept("INTO"):
        into = p.expect("id").value
        if p.accept("="):
            into_value = expression(p)
    keep = _keep(p, into) if p.word("KEEP") else None
    given = options(p)
    ends = _end_variables(p)
    for assign in (*groups, *aggregated):
        p.declare(assign.name, at)
    for name in (into, count_into):
        if name is not None:
            p.declare(name, at)
    return [ast.Collect(groups, aggregated, into, into_value, keep, count_into, given, ends)]


def _with_count(p: Parser, *, allowed: bool) -> str:
    """Parse WITH COUNT INTO name, which AGGREGATE excludes."""
    p.advance()
    if not p.word("COUNT"):
        p.error("unexpected qualifier, expecting 'COUNT'")
    p.advance()
    if not allowed:
        p.unexpected()
    p.expect("INTO")
    return str(p.expect("id").value)


def _keep(p: Parser, into: str | None) -> tuple[str, ...]:
    """Parse KEEP a, b."""
    if into is None:
        p.error("use of 'KEEP' without 'INTO'")
    p.advance()
    names: list[str] = []
    while True:
        token = p.expect("id")
        if not p.visible(token.value):
            p.error(f"use of unknown variable '{token.value}' for KEEP", token.offset)
        names.append(token.value)
        if not p.accept(","):
            return tuple(names)


def _end_variables(p: Parser) -> tuple[str, ...]:
    """End the variables of the level, and return those that INTO gathers.

    It gathers what was bound inside loops; without a loop, all variables of the query itself.
    """
    # at the top level without a loop the scope stays that of the query, in which DISTINCT is not allowed
    following = "main" if p.scopes[-1].kind == "main" else "collect"
    ended = p.end_nested() or tuple(p.scopes[-1].names)
    p.open_scope(following)
    return tuple(name for name in ended if name not in ("OLD", "NEW"))


@statement_of("WINDOW")
def window_statement(p: Parser) -> list[ast.Window]:
    """Parse WINDOW {preceding, following} AGGREGATE … and WINDOW value WITH {…} AGGREGATE …."""
    at = p.advance().offset
    value: ast.Expr | None = None
    bounds = expression(p)
    if p.accept("WITH"):
        value, bounds = bounds, object_literal(p)
    if not isinstance(bounds, ast.Object) or not bounds.items:
        p.error("At least one WINDOW bound must be specified ('preceding'/'following')", at)
    names = [item.name for item in bounds.items]
    for name in names:
        if name not in ("preceding", "following"):
            p.error(f'Invalid WINDOW attribute \'{name}\'; only "preceding" and "following" are supported', at)
        if names.count(name) > 1:
            p.error(f"WINDOW attribute '{name}' is specified multiple times", at)
    p.expect("AGGREGATE")
    aggregated = aggregates(p)
    for assign in aggregated:
        p.declare(assign.name, at)
    return [ast.Window(value, bounds, aggregated)]
