"""FOR: loops over values and collections, traversals and path searches."""

from __future__ import annotations

from proxy.aql import ast
from proxy.aql.grammar.clauses import collection_name, options
from proxy.aql.grammar.cursor import Parser, statement_of
from proxy.aql.grammar.expressions import expression
from proxy.aql.grammar.patterns import declare_pattern, target

_DIRECTIONS = frozenset({"OUTBOUND", "INBOUND", "ANY"})
_PATHS = frozenset({"SHORTEST_PATH", "K_SHORTEST_PATHS", "K_PATHS", "ALL_SHORTEST_PATHS"})
Targets = list[tuple[ast.Pattern, int]]  # with their offsets


@statement_of("FOR")
def for_statement(p: Parser) -> list[ast.Statement]:
    """Parse FOR."""
    at = p.advance().offset
    names: Targets = [target(p)]
    while p.accept(","):
        names.append(target(p))
    p.expect("IN")
    steps: ast.Expr | None = None
    if p.kind not in _DIRECTIONS:
        steps = expression(p)
        if p.kind not in _DIRECTIONS:
            return [_value_loop(p, names, steps, at)]
    direction = p.advance().kind
    if p.kind in _PATHS:
        return [_paths(p, names, direction, steps, at)]
    return [_traversal(p, names, direction, steps)]


def _value_loop(p: Parser, names: Targets, source: ast.Expr, at: int) -> ast.For:
    """Parse the rest of FOR variable IN source."""
    if len(names) > 1:
        p.error("Collections and views FOR loops only allow a single return variable", at)
    p.open_scope("for")
    declare_pattern(p, *names[0])
    search: ast.Expr | None = None
    if p.word("SEARCH"):
        p.advance()
        search = expression(p)
    if search is None and p.kind == "id" and not p.word("OPTIONS"):
        p.error(f"unexpected qualifier '{p.token.value}', expecting 'SEARCH' or 'OPTIONS'")
    if search is not None and not isinstance(source, (ast.Collection, ast.Parameter)):
        p.error("SEARCH condition used on non-view")
    return ast.For(names[0][0], source, search, options(p))


def _traversal(p: Parser, names: Targets, direction: str, steps: ast.Expr | None) -> ast.Traversal:
    """Parse the rest of FOR v, e, p IN steps direction."""
    start = expression(p)
    edges, graph = _subject(p)
    variables = _graph_variables(p, names, 3, "Traversals only have one, two or three return variables")
    prune_variable, prune = _prune(p)
    return ast.Traversal(variables, direction, steps, start, edges, graph, prune_variable, prune, options(p))


def _prune(p: Parser) -> tuple[str | None, ast.Expr | None]:
    """Parse [PRUNE [variable =] condition]."""
    if not p.word("PRUNE"):
        if p.kind == "id" and not p.word("OPTIONS"):
            p.error(f"unexpected qualifier '{p.token.value}', expecting 'PRUNE' or 'OPTIONS'")
        return None, None
    p.advance()
    variable = None
    if p.kind == "id" and p.peek().kind == "=":
        token = p.advance()
        p.advance()
        condition = expression(p)
        variable = p.declare(token.value, token.offset)
    else:
        condition = expression(p)
    if any(isinstance(node, ast.Subquery) for node in ast.walk(condition)):
        p.error("PRUNE condition must not use a subquery")
    return variable, condition


def _paths(p: Parser, names: Targets, direction: str, steps: ast.Expr | None, at: int) -> ast.Paths:
    """Parse the rest of FOR v, e IN direction SHORTEST_PATH and its relatives."""
    kind = p.advance().kind
    if steps is not None and kind != "K_PATHS":
        p.error(f"syntax error, unexpected {kind} keyword", at)
    start = expression(p)
    if not p.word("TO"):
        p.error("unexpected qualifier, expecting 'TO'")
    p.advance()
    target = expression(p)
    edges, graph = _subject(p)
    given = options(p)
    if kind == "SHORTEST_PATH":
        variables = _graph_variables(p, names, 2, "SHORTEST_PATH must have one or two return variables")
    else:
        variables = _graph_variables(p, names, 1, f"{kind} only has one return variable")
    return ast.Paths(kind, variables, direction, steps, start, target, edges, graph, given)


def _graph_variables(p: Parser, names: Targets, most: int, message: str) -> tuple[str, ...]:
    """Declare the output variables of a traversal or path search."""
    if len(names) > most:
        p.error(message, names[0][1])
    p.open_scope("for")
    plain: list[str] = []
    for name, at in names:
        if not isinstance(name, str):
            p.error("syntax error, unexpected destructuring in graph query", at)
        plain.append(p.declare(name, at))
    return tuple(plain)


def _subject(p: Parser) -> tuple[tuple[ast.Edges, ...], ast.Expr | None]:
    """Parse edge collections, or GRAPH and a name."""
    if p.accept("GRAPH"):
        if p.kind in ("id", "str"):
            token = p.advance()
            return (), ast.Literal(token.value)
        if p.kind in ("bind", "source"):
            return (), p.parameter()
        p.unexpected()
    found = [_edges(p)]
    while p.accept(","):
        found.append(_edges(p))
    return tuple(found), None


def _edges(p: Parser) -> ast.Edges:
    """Parse [direction] collection."""
    direction = p.advance().kind if p.kind in _DIRECTIONS else None
    return ast.Edges(direction, collection_name(p))
