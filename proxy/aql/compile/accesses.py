"""Attribute and element accesses as terms: base.name, base.@parameter, base[index], and paths of them."""

from __future__ import annotations

from typing import TypeAlias

from proxy.aql import ast
from proxy.aql.access import bound_path
from proxy.aql.compile.compilation import Compilation, term_of
from proxy.aql.compile.lookups import lookup
from proxy.aql.compile.scope import AliasVar, DocumentVar
from proxy.aql.sql_terms import AnyTerm, ConstantTerm, NotCompilable, Term
from proxy.base.errors import ArangoError

Names: TypeAlias = tuple[str | int, ...]  # of attributes and array elements
_INTEGER = 1 << 31


@term_of(ast.Attribute)
def attribute(c: Compilation, node: ast.Attribute) -> AnyTerm:
    """Compile base.name."""
    return path(c, node.base, (node.name,))


@term_of(ast.BoundAttribute)
def bound_attribute(c: Compilation, node: ast.BoundAttribute) -> AnyTerm:
    """Compile base.@parameter."""
    try:
        names = bound_path(node.parameter.name, c.binds.get(node.parameter.name))
    except ArangoError as error:
        raise NotCompilable(str(error)) from None
    return path(c, node.base, names)


@term_of(ast.Index)
def index(c: Compilation, node: ast.Index) -> AnyTerm:
    """Compile base[index]."""
    term = c.term(node.index)
    if not isinstance(term, ConstantTerm):
        return _computed_index(c, node.base, term)
    value = term.value
    if isinstance(value, float):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise NotCompilable("an index of another type")
    if isinstance(value, str) and value.lstrip("+-").isdigit():
        raise NotCompilable("an index of digits")
    if isinstance(value, int) and not -_INTEGER <= value < _INTEGER:
        raise NotCompilable("a large index")
    return path(c, node.base, (value,))


def _computed_index(c: Compilation, base: ast.Expr, term: Term) -> AnyTerm:
    """Compile {constant}[expression]: a lookup in a constant object."""
    inner = c.term(base)
    if term.kind == "text" or not isinstance(inner, ConstantTerm) or not isinstance(inner.value, dict):
        raise NotCompilable("an index that is not constant")
    # numbers as names would be found by a number too; without them only a text finds an attribute
    if any(name.lstrip("+-").replace(".", "").isdigit() for name in inner.value):
        raise NotCompilable("an index that is not constant")
    sql = c.json(term)
    return Term(f"({c.json(inner)} -> CASE jsonb_typeof({sql}) WHEN 'string' THEN ({sql} #>> '{{}}') END)")


def path(c: Compilation, base: ast.Expr, names: Names) -> AnyTerm:
    """Compile accesses by name and position, one after the other, to a base."""
    if isinstance(base, ast.Variable):
        var = c.find(base.name)
        if isinstance(var, AliasVar):
            with c.in_scope(var.scope):
                return path(c, var.expression, names)
        if isinstance(var, DocumentVar):
            return document_path(c, var, names)
    if isinstance(base, ast.Call) and base.name == "DOCUMENT":
        return document_path(c, lookup(c, base), names)
    if isinstance(base, ast.Object) and isinstance(names[0], str) and all(i.computed is None for i in base.items):
        return _of_literal(c, base, names)
    if isinstance(base, ast.Attribute):
        return path(c, base.base, (base.name, *names))
    if isinstance(base, ast.Index) and c.is_constant(base.index):
        value = c.folded(base.index).value
        if isinstance(value, int) and not isinstance(value, bool) and -_INTEGER <= value < _INTEGER:
            return path(c, base.base, (value, *names))
    return _of_value(c, c.term(base), names)


def _of_literal(c: Compilation, base: ast.Object, names: Names) -> AnyTerm:
    """Compile an access to an object literal: the value of the attribute alone."""
    for item in reversed(base.items):
        if item.name == names[0]:
            return c.term(item.value) if len(names) == 1 else path(c, item.value, names[1:])
    return ConstantTerm(None)


def _of_value(c: Compilation, inner: AnyTerm, names: Names) -> AnyTerm:
    """Compile accesses to a term."""
    if isinstance(inner, ConstantTerm):
        node: ast.Expr = ast.Literal(inner.value)
        for name in names:
            node = ast.Attribute(node, name) if isinstance(name, str) else ast.Index(node, ast.Literal(name))
        return c.folded(node)
    return _steps(c, inner.sql, names) if inner.kind == "json" else ConstantTerm(None)


def _steps(c: Compilation, sql: str, names: Names) -> Term:
    """Compile accesses to a jsonb."""
    member = None
    for name in names:
        if isinstance(name, str):
            member = (sql, c.parameters.name(name))
            sql = f"({member[0]} -> {member[1]})"
        else:
            member = None
            sql = f"_crossfade.element({sql}, {c.parameters.add(name, 'integer')})"
    return Term(sql, member=member)


def document_path(c: Compilation, var: DocumentVar, names: Names) -> AnyTerm:
    """Compile accesses to a document, whose jsonb does not contain _key, _id and _rev."""
    first = names[0]
    if first in ("_key", "_id", "_rev"):
        if len(names) > 1:
            return ConstantTerm(None)
        if first == "_rev":
            return Term(f"to_jsonb({var.raw} ->> '_rev')", "json", scalar=True)
        sql = var.key if first == "_key" else f"({var.prefix} || {var.key})"
        return Term(f"to_jsonb({sql})", "json", scalar=True) if var.nullable else Term(sql, "text", scalar=True)
    if not isinstance(first, str):
        name = c.parameters.add(str(first), "text")
        return _steps(c, f"({var.doc} -> {name})", names[1:])
    return _steps(c, var.doc, names)
