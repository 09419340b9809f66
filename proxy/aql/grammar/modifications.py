"""INSERT, UPDATE, REPLACE, REMOVE and UPSERT."""

from __future__ import annotations

from proxy.aql import ast
from proxy.aql.grammar.clauses import options
from proxy.aql.grammar.cursor import Parser, statement_of
from proxy.aql.grammar.expressions import expression
from proxy.aql.grammar.operands import object_literal


@statement_of("INSERT")
def insert_statement(p: Parser) -> list[ast.Statement]:
    """Parse INSERT document INTO collection."""
    p.advance()
    document = _last_expression(p)
    return _declared(p, ast.Insert(document, *_into(p)), "NEW", "OLD")


@statement_of("UPDATE", "REPLACE")
def change_statement(p: Parser) -> list[ast.Statement]:
    """Parse UPDATE and REPLACE [key WITH] document IN collection."""
    kind = p.advance().kind
    key: ast.Expr | None = None
    document = _last_expression(p)
    if p.accept("WITH"):
        key, document = document, _last_expression(p)
    return _declared(p, ast.UpdateOrReplace(kind, key, document, *_into(p)), "NEW", "OLD")


@statement_of("REMOVE")
def remove_statement(p: Parser) -> list[ast.Statement]:
    """Parse REMOVE key IN collection."""
    p.advance()
    key = _last_expression(p)
    return _declared(p, ast.Remove(key, *_into(p)), "OLD")


@statement_of("UPSERT")
def upsert_statement(p: Parser) -> list[ast.Statement]:
    """Parse UPSERT search|FILTER condition INSERT document UPDATE|REPLACE change IN collection."""
    p.advance()
    search: ast.Expr | None = None
    condition: ast.Expr | None = None
    if p.accept("FILTER"):
        p.current_depth += 1
        condition = expression(p)
        p.current_depth -= 1
    elif p.kind == "{":
        at = p.token.offset
        search = object_literal(p)
        if not _literal_names(search):
            p.error("expecting object literal with literal attribute names in example", at)
    elif p.kind in ("bind", "source"):
        search = p.parameter()
    else:
        p.unexpected()
    p.expect("INSERT")
    p.scopes[-1].names["OLD"] = None
    document = expression(p)
    if p.kind not in ("UPDATE", "REPLACE"):
        p.unexpected()
    kind = p.advance().kind
    change = _last_expression(p)
    return _declared(p, ast.Upsert(search, condition, document, kind, change, *_into(p)), "NEW", "OLD")


def _last_expression(p: Parser) -> ast.Expr:
    """Parse the expression before `IN collection`, whose last IN is not an operator."""
    before, p.into_mode = p.into_mode, True
    value = expression(p)
    p.into_mode = before
    return value


def _into(p: Parser) -> tuple[ast.Collection | ast.Parameter, ast.Object | None]:
    """Parse IN|INTO collection [OPTIONS …]."""
    if p.kind not in ("IN", "INTO"):
        p.unexpected()
    p.advance()
    target: ast.Collection | ast.Parameter
    if p.kind in ("id", "str"):
        token = p.advance()
        target = ast.Collection(token.value)
    elif p.kind == "source":
        target = p.parameter()
    else:
        p.unexpected()
    return target, options(p)


def _declared(p: Parser, statement: ast.Modification, *names: str) -> list[ast.Statement]:
    """Declare OLD and NEW, which are visible after a modification."""
    for name in names:
        p.scopes[-1].names[name] = None
    return [statement]


def _literal_names(node: ast.Expr) -> bool:
    """Return True if all attribute names of an object literal, and of those inside it, are fixed or bind variables."""
    if not isinstance(node, ast.Object):
        return True
    return all(
        (item.computed is None or isinstance(item.computed, ast.Parameter)) and _literal_names(item.value)
        for item in node.items
    )
