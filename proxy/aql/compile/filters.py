"""FILTER: the conditions of WHERE, and beside them conditions that follow from these and that an index serves."""

from __future__ import annotations

from typing import Any, Final

from proxy.aql import ast
from proxy.aql.compile.accesses import document_path
from proxy.aql.compile.blocks import wrap_limited
from proxy.aql.compile.compilation import Compilation, statement_of
from proxy.aql.compile.scope import AliasVar, DocumentVar, VariableScope
from proxy.aql.compile.subqueries import hoisted
from proxy.aql.primary_index_order import key_range
from proxy.aql.sql_terms import SCALAR_KINDS, AnyTerm, BoundTerm, ConstantTerm, Term, json_parameter, plain_text
from proxy.aql.trees import conjuncts

_SYSTEM: Final = ("_key", "_id", "_rev")
_ENDS: Final = {("_from",): "from_id", ("_to",): "to_id"}


@statement_of(ast.Filter)
def filter_statement(c: Compilation, node: ast.Filter) -> None:
    """Compile FILTER."""
    place = c.place
    wrap_limited(c)
    for part in conjuncts(hoisted(c, node.condition)):
        if isinstance(part, ast.Binary) and part.op == "==":
            c.block.where.extend(_implied_by_equality(c, part))
        elif isinstance(part, ast.Binary) and part.op == "IN":
            c.block.where.extend(_implied_by_membership(c, part))
        c.block.where.append(_range_of_bytes(c, part, place) or _conjunct(c, part))


def _range_of_bytes(c: Compilation, part: ast.Expr, place: tuple[tuple[ast.Statement, ...], int]) -> str | None:
    """Compile a range of keys that the primary index answers, in byte order, which is that of the column."""
    found = key_range(*place, part)
    if found is None or not isinstance(part, ast.Binary):
        return None
    bound = c.term(found[1])
    key = c.term(part.left if found[1] is part.right else part.right)
    if not isinstance(bound, ConstantTerm) or bound.kind != "text" or not isinstance(key, Term):
        return None
    return f"({key.sql} {found[0]} {c.text(bound)})"


def _conjunct(c: Compilation, node: ast.Expr) -> str:
    """Compile a condition of WHERE, where NULL is false: in the plain form that an index on the expression serves."""
    sql = c.condition(node)
    plain = "coalesce(("
    if sql.startswith(plain) and sql.endswith(", false)") and isinstance(node, ast.Binary) and node.op == "==":
        return sql[len("coalesce(") : -len(", false)")]
    return sql


# --- ==


def _implied_by_equality(c: Compilation, node: ast.Binary) -> list[str]:
    """Return the conditions that an equality implies in a form that indexes serve."""
    found: list[str] = []
    for attribute, value in ((node.left, node.right), (node.right, node.left)):
        place = _attribute_of_document(c, attribute)
        if place is None or any(isinstance(below, ast.Subquery) for below in ast.walk(value)):
            continue
        var, path = place
        if var not in c.block.owned:  # of an outer query: no scan of this one is narrowed
            continue
        term = c.term(value)
        if path[0] in _SYSTEM:
            found += _system_attribute(c, var, path, term)
        elif isinstance(term, ConstantTerm):
            if term.kind != "null" and term.kind in SCALAR_KINDS:
                found = _equal_to_constant(c, var, path, term, found)
        elif var.edges and path in _ENDS:
            found.append(f"{var.edges}.{_ENDS[path]} = {_text_or_null(c, term)}")
        elif term.kind == "text":
            found.append(f"{var.doc} @> {_object_with(c, path, term)}")
    return found


def _system_attribute(c: Compilation, var: DocumentVar, path: tuple[str, ...], term: AnyTerm) -> list[str]:
    if path == ("_id",):
        return [f"{var.key} = {_key_of_id(c, var, term)}"]
    if path == ("_key",) and isinstance(term, Term) and term.kind != "text":
        return [f"{var.key} = ({c.json(term)} #>> '{{}}')"]
    return []


def _equal_to_constant(
    c: Compilation, var: DocumentVar, path: tuple[str, ...], term: ConstantTerm, found: list[str]
) -> list[str]:
    """Return `found` with the conditions that `doc.path == constant` implies.

    Containment narrows a scan by the index on whole documents. Once an index on one attribute serves the scan, the
    planner must not choose containment as well: those conditions are taken out again.
    """
    _record_equality(c, var, path)
    if len(path) == 1 and path[0] in var.indexed:
        var.served = True
        c.block.where = [sql for sql in c.block.where if sql not in var.narrowing]
        found = [sql for sql in found if sql not in var.narrowing]
    if not var.served:
        var.narrowing.append(f"{var.doc} @> {_containing(c, path, term)}")
        found.append(var.narrowing[-1])
    if var.edges and path in _ENDS and term.kind == "text":
        found.append(f"{var.edges}.{_ENDS[path]} = {c.text(term)}")
    return found


def _record_equality(c: Compilation, var: DocumentVar, path: tuple[str, ...]) -> None:
    """Record an attribute that is compared by ==, for the advice which index would serve the scan."""
    scan, sql = c.scans.get(var.doc), c.json(document_path(c, var, path))
    if scan is not None and "\x01" not in sql:
        scan.equal[sql.replace(var.doc, "doc")] = None


def _containing(c: Compilation, path: tuple[str, ...], term: ConstantTerm, *, array: bool = False) -> str:
    """Return the jsonb {a: {b: value}}, or {a: {b: [value]}}, as a parameter."""
    return c.parameters.constant(
        term,
        "jsonb",
        lambda value: json_parameter(_nested(path, [value] if array else value)),
        ("containing", path, array),
    )


def _object_with(c: Compilation, path: tuple[str, ...], term: Term) -> str:
    """Return SQL that builds {a: {b: term}}."""
    build = term.sql
    for name in reversed(path):
        build = f"jsonb_build_object({c.parameters.name(name)}, {build})"
    return build


def _nested(path: tuple[str, ...], value: Any) -> Any:
    """Return {a: {b: value}} for the path a, b."""
    for name in reversed(path):
        value = {name: value}
    return value


# --- IN


def _implied_by_membership(c: Compilation, node: ast.Binary) -> list[str]:
    """Return the conditions that `value IN doc.path` and `doc._id IN values` imply."""
    place = _attribute_of_document(c, node.right)
    if place is not None and place[1][0] not in _SYSTEM:
        term = c.term(node.left)
        if isinstance(term, ConstantTerm) and term.kind != "null" and term.kind in SCALAR_KINDS:
            return [f"{place[0].doc} @> {_containing(c, place[1], term, array=True)}"]
    place = _attribute_of_document(c, node.left)
    if place is not None and place[1] == ("_id",):
        term = c.term(node.right)
        prefix = _prefix_of(place[0])
        if isinstance(term, ConstantTerm) and isinstance(term.value, list) and prefix is not None:
            ids = [item for item in term.value if isinstance(item, str) and plain_text(item)]
            keys = [item[len(prefix) :] for item in ids if item.startswith(prefix)]
            return [f"{place[0].key} = ANY ({c.parameters.add(keys, 'text[]')})"]
    return []


# --- documents and ids


def _attribute_of_document(c: Compilation, node: ast.Expr) -> tuple[DocumentVar, tuple[str, ...]] | None:
    """Return the document and the path of `doc.a.b`; None for other expressions and documents that may be missing."""
    path: list[str] = []
    scope: VariableScope = c.scope
    while True:
        if isinstance(node, ast.Attribute):
            path.append(node.name)
            node = node.base
        elif isinstance(node, ast.Variable):
            var = scope.find(node.name)
            if not isinstance(var, AliasVar):
                break
            node, scope = var.expression, var.scope
        else:
            return None
    if not isinstance(var, DocumentVar) or var.nullable or not path:
        return None
    return var, tuple(reversed(path))


def _prefix_of(var: DocumentVar) -> str | None:
    """Return `collection/` of a document whose collection is known."""
    return None if var.collection is None else f"{var.collection}/"


def _key_of_id(c: Compilation, var: DocumentVar, term: AnyTerm) -> str:
    """Return SQL of the key in an _id of this document's collection; NULL for any other value."""
    prefix = _prefix_of(var)
    if isinstance(term, ConstantTerm) and not (isinstance(term, BoundTerm) and term.kind == "text"):
        value = term.value
        if prefix is not None and isinstance(value, str) and value.startswith(prefix) and plain_text(value):
            return c.parameters.add(value[len(prefix) :], "text")
        return "NULL::text"
    text = c.text(term) if isinstance(term, ConstantTerm) else _text_or_null(c, term)
    size = f"char_length({var.prefix})"
    return f"CASE WHEN left({text}, {size}) = {var.prefix} THEN substr({text}, {size} + 1) END"


def _text_or_null(c: Compilation, term: Term) -> str:
    """Return the text of a string; for other values any text or NULL, which the exact condition beside it sorts out."""
    return term.sql if term.kind == "text" else f"({c.json(term)} #>> '{{}}')"
