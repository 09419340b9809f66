"""The left side of FOR and LET: a variable, or a pattern that destructures a value."""

from __future__ import annotations

from proxy.aql import ast
from proxy.aql.grammar.cursor import Parser


def target(p: Parser) -> tuple[ast.Pattern, int]:
    """Parse a variable or a destructuring pattern, and return it with its offset. It is not declared yet."""
    at = p.token.offset
    if p.kind == "[":
        return _array_pattern(p), at
    if p.kind == "{":
        return _object_pattern(p), at
    return p.expect("id").value, at


def _array_pattern(p: Parser) -> ast.ArrayPattern:
    """Parse [a, , b]."""
    p.deeper()
    p.advance()
    targets: list[ast.Pattern | None] = []
    while p.kind != "]":
        targets.append(None if p.kind == "," else target(p)[0])
        if not p.accept(","):
            break
    p.expect("]")
    p.depth -= 1
    return ast.ArrayPattern(tuple(targets))


def _object_pattern(p: Parser) -> ast.ObjectPattern:
    """Parse {a, b: c, , d: {e}}; an empty place between commas is ignored, as ArangoDB does."""
    p.deeper()
    p.advance()
    attributes: list[str] = []
    targets: list[ast.Pattern] = []
    while p.kind != "}":
        if p.accept(","):
            continue
        if p.kind not in ("id", "str"):
            p.unexpected("id")
        token = p.advance()
        attributes.append(token.value)
        if p.accept(":"):
            targets.append(target(p)[0])
        elif token.kind == "id":
            targets.append(token.value)
        else:
            p.unexpected(":")
        if not p.accept(","):
            break
    p.expect("}")
    p.depth -= 1
    return ast.ObjectPattern(tuple(attributes), tuple(targets))


def declare_pattern(p: Parser, pattern: ast.Pattern | None, at: int) -> None:
    """Declare every variable of a pattern."""
    if isinstance(pattern, str):
        p.declare(pattern, at)
    elif pattern is not None:
        for target in pattern.targets:
            declare_pattern(p, target, at)
