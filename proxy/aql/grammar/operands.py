"""Operands: literals, references, calls, parentheses, arrays and objects, by the kind of their first token.

Accesses can follow all of them but plain literals.
"""

from __future__ import annotations

from proxy.aql import ast
from proxy.aql.grammar.accesses import accesses
from proxy.aql.grammar.cursor import STATEMENTS, Parser, operand_of
from proxy.aql.grammar.expressions import nested
from proxy.aql.grammar.queries import subquery
from proxy.base.arango_errors import ARANGO_ERRORS

_CONSTANTS: dict[str, bool | None] = {"NULL": None, "TRUE": True, "FALSE": False}


@operand_of("str", "num")
def literal(p: Parser) -> ast.Literal:
    """Parse a string or number."""
    return ast.Literal(p.advance().value)


@operand_of("vast")
def vast_number(p: Parser) -> ast.Literal:
    """Parse a number that no double holds: null, with a warning."""
    p.warnings.append((1504, ARANGO_ERRORS[1504].message))
    p.advance()
    return ast.Literal(None)


@operand_of(*_CONSTANTS)
def constant(p: Parser) -> ast.Literal:
    """Parse null, true or false."""
    return ast.Literal(_CONSTANTS[p.advance().kind])


@operand_of("bind", "source")
def parameter(p: Parser) -> ast.Expr:
    """Parse @name or @@name."""
    return accesses(p, p.parameter())


@operand_of("id")
def call_or_name(p: Parser) -> ast.Expr:
    """Parse a function call, a variable, CURRENT, or a collection."""
    following = p.peek().kind
    token = p.token
    if following == "(":
        return accesses(p, ast.Call(token.value.upper(), _arguments(p), token.offset))
    if following == "::":
        name = p.advance().value
        while p.accept("::"):
            name += "::" + p.token.value
            if p.kind != "id":
                p.unexpected("id")
            if p.peek().kind != "::":
                break
            p.advance()
        return accesses(p, ast.Call(name.upper(), _arguments(p), token.offset))
    p.advance()
    name = token.value
    if p.visible(name) or (name == "CURRENT" and p.current_depth):
        return accesses(p, ast.Variable(name))
    return accesses(p, ast.Collection(name))


@operand_of("LIKE")
def like_call(p: Parser) -> ast.Expr:
    """Parse a call of the function LIKE, which is a keyword as well."""
    if p.peek().kind != "(":
        p.unexpected()
    return accesses(p, ast.Call("LIKE", _arguments(p), p.token.offset))


def _arguments(p: Parser) -> tuple[ast.Expr, ...]:
    """Parse the name of a function, which is the present token, and its arguments, which may be bare queries."""
    p.advance()
    p.expect("(")
    values: list[ast.Expr] = []
    if p.kind != ")":
        values.append(_argument(p))
        while p.accept(","):
            values.append(_argument(p))
    p.expect(")")
    return tuple(values)


def _argument(p: Parser) -> ast.Expr:
    return subquery(p) if p.kind in STATEMENTS else nested(p)


@operand_of("(")
def parentheses(p: Parser) -> ast.Expr:
    """Parse (expression) or (query)."""
    p.advance()
    value: ast.Expr
    if p.kind in STATEMENTS:
        value = subquery(p)
    else:
        value = nested(p)
        if isinstance(value, ast.Expansion):
            value = ast.Passthru(value)
    p.expect(")")
    return accesses(p, value)


@operand_of("[")
def array(p: Parser) -> ast.Expr:
    """Parse [a, b, …]; a comma may follow the last element."""
    p.advance()
    items: list[ast.Expr] = []
    while p.kind != "]":
        items.append(nested(p))
        if not p.accept(","):
            break
    p.expect("]")
    return accesses(p, ast.Array(tuple(items)))


@operand_of("{")
def object_operand(p: Parser) -> ast.Expr:
    """Parse an object as an operand."""
    return accesses(p, object_literal(p))


def object_literal(p: Parser) -> ast.Object:
    """Parse {a: 1, "b": 2, @c: 3, [d]: 4, e}; a comma may follow the last attribute."""
    p.expect("{")
    items: list[ast.Item] = []
    while p.kind != "}":
        items.append(_item(p))
        if not p.accept(","):
            break
    p.expect("}")
    return ast.Object(tuple(items))


def _item(p: Parser) -> ast.Item:
    """Parse one attribute of an object literal."""
    kind, token = p.kind, p.token
    if kind in ("id", "str"):
        p.advance()
        if kind == "id" and p.kind in (",", "}"):
            if not p.visible(token.value):
                p.error(f"use of unknown variable '{token.value}' in object literal", token.offset, number=1512)
            return ast.Item(token.value, None, ast.Variable(token.value))
        p.expect(":")
        return ast.Item(token.value, None, nested(p))
    computed: ast.Expr
    if kind == "bind":
        computed = p.parameter()
    elif kind == "[":
        p.advance()
        computed = nested(p)
        p.expect("]")
    else:
        p.unexpected()
    p.expect(":")
    return ast.Item(None, computed, nested(p))
