"""Operators: a Pratt parser with ArangoDB's precedence (grammar.y; semantics page, section 1).

From loose to tight: ?: (right), OR, AND, quantifiers, == != LIKE =~ !~, IN and NOT IN, < <= > >=, .., + -, * / %,
unary. NOT binds tighter than every binary operator: `NOT a == b` is `(NOT a) == b`. Operands are
parsed by the functions registered with `operand_of`.
"""

from __future__ import annotations

from proxy.aql import ast
from proxy.aql.grammar.cursor import MAX_CHAIN, OPERANDS, STATEMENTS, Parser

_BINARY = {
    "==": 6,
    "!=": 6,
    "LIKE": 6,
    "=~": 6,
    "!~": 6,
    "IN": 7,
    "<": 8,
    "<=": 8,
    ">": 8,
    ">=": 8,
    "..": 9,
    "+": 10,
    "-": 10,
    "*": 11,
    "/": 11,
    "%": 11,
}
_TERNARY, _OR, _AND, _QUANTIFIER, _AT_LEAST, _EQUAL, _IN = 1, 2, 3, 4, 5, 6, 7
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "IN", "NOT"})
QUANTIFIERS = frozenset({"ALL", "ANY", "NONE"})
# what may follow `IN collection` at the end of a modification
_AFTER_TARGET = STATEMENTS | {"end", ")", ",", "id"}


def expression(p: Parser, minimum: int = 0) -> ast.Expr:
    """Parse an expression whose operators bind at least as tightly as `minimum`."""
    p.deeper()
    left = _unary(p)
    for _ in range(MAX_CHAIN):
        grown = _infix(p, left, minimum)
        if grown is None:
            p.depth -= 1
            return left
        left = grown
    raise p.too_deep()


def nested(p: Parser) -> ast.Expr:
    """Parse an expression inside brackets of any kind, where IN is an operator again."""
    before, p.into_mode = p.into_mode, False
    value = expression(p)
    p.into_mode = before
    return value


def _infix(p: Parser, left: ast.Expr, minimum: int) -> ast.Expr | None:
    """Parse the operator after `left` and its other operand; None if no operator follows."""
    kind = p.kind
    power = _BINARY.get(kind)
    if power is not None:
        if power < minimum or (kind == "IN" and p.into_mode and _target_follows(p)):
            return None
        p.advance()
        right = expression(p, power + 1)
        return ast.Range(left, right) if kind == ".." else ast.Binary(kind, left, right)
    if kind in ("AND", "OR"):
        power = _AND if kind == "AND" else _OR
        return None if power < minimum else _logical(p, left, kind, power)
    if kind == "NOT":
        return None if minimum > _IN else _negated(p, left)
    if kind == "?":
        return None if minimum > _TERNARY else _ternary(p, left)
    if kind in QUANTIFIERS:
        if minimum > _QUANTIFIER or p.peek().kind not in _COMPARISONS:
            return None
        return _quantified(p, left, p.advance().kind, None)
    if kind == "id" and at_least(p) and minimum <= _AT_LEAST:
        return _quantified(p, left, "AT LEAST", at_least_amount(p))
    return None


def _logical(p: Parser, left: ast.Expr, kind: str, power: int) -> ast.Expr:
    """Parse a chain of AND, or of OR, into one flat node."""
    operands = [left]
    while p.kind == kind:
        p.advance()
        operands.append(expression(p, power + 1))
    return ast.Logical(kind, tuple(operands))


def _negated(p: Parser, left: ast.Expr) -> ast.Expr | None:
    """Parse NOT IN, NOT LIKE, NOT =~ and NOT !~."""
    following = p.peek().kind
    if following == "IN":
        p.advance()
        p.advance()
        return ast.Binary("NOT IN", left, expression(p, _IN + 1))
    if following not in ("LIKE", "=~", "!~"):
        return None
    p.advance()
    p.advance()
    op = {"LIKE": "NOT LIKE", "=~": "!~", "!~": "=~"}[following]
    return ast.Binary(op, left, expression(p, _EQUAL + 1))


def _ternary(p: Parser, condition: ast.Expr) -> ast.Expr:
    """Parse condition ? a : b, and condition ?: b."""
    p.expect("?")
    then = None
    if p.kind != ":":
        then = expression(p)
    p.expect(":")
    return ast.Ternary(condition, then, expression(p, _TERNARY))


def at_least(p: Parser) -> bool:
    """Return True if AT LEAST follows."""
    following = p.peek()
    return p.word("AT") and following.kind == "id" and following.value.upper() == "LEAST"


def at_least_amount(p: Parser) -> ast.Expr:
    """Parse the number of AT LEAST (number)."""
    p.advance()
    p.advance()
    p.expect("(")
    value = nested(p)
    p.expect(")")
    return value


def _quantified(p: Parser, left: ast.Expr, quantifier: str, amount: ast.Expr | None) -> ast.Expr:
    """Parse the rest of: left quantifier op right."""
    op = p.kind
    if op not in _COMPARISONS:
        p.unexpected()
    p.advance()
    if op == "NOT":
        p.expect("IN")
        op = "NOT IN"
    power = _IN if op == "NOT IN" else _BINARY[op]
    return ast.Quantified(quantifier, amount, op, left, expression(p, power + 1))


def _target_follows(p: Parser) -> bool:
    """Return True if `IN name` names the collection of the modification, and IN is not an operator."""
    return p.peek().kind in ("id", "str", "source") and p.peek(2).kind in _AFTER_TARGET


def _unary(p: Parser) -> ast.Expr:
    """Parse prefix operators and their operand."""
    kind = p.kind
    if kind in ("NOT", "-", "+"):
        p.advance()
        p.deeper()
        operand = _unary(p)
        p.depth -= 1
        return ast.Unary(kind, operand)
    parse = OPERANDS.get(p.kind)
    if parse is None:
        p.unexpected()
    return parse(p)
