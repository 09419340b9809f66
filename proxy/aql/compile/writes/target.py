"""Which document of the collection a row names: a variable that is the document, or its key, or a constant key."""

from __future__ import annotations

from dataclasses import dataclass, replace

from proxy.aql import ast
from proxy.aql.compile.compilation import Compilation
from proxy.aql.compile.lookups import looked_up
from proxy.aql.compile.scope import DocumentVar
from proxy.aql.requests import WriteOptions
from proxy.aql.sql_terms import BoundTerm, ConstantTerm, NotCompilable
from proxy.aql.trees import is_collection, written


@dataclass(frozen=True, slots=True)
class WrittenTarget:
    """var: the columns of the document; its key is NULL if there is none. repeats: rows may name the same document."""

    var: DocumentVar
    repeats: bool


def target_of(
    c: Compilation, collection: str, key: ast.Expr, options: WriteOptions, before: tuple[ast.Statement, ...]
) -> WrittenTarget:
    """Return the target that a key expression names. before: the statements that choose the rows. Raise NotCompilable.

    A target that does not exist, or that several rows name, makes the statement fail: errors and repeated writes are
    left to the evaluator.
    """
    var = _document(c, collection, key, options)
    if var.collection != collection:
        raise NotCompilable("a document of another collection")
    found = loops(before)
    return WrittenTarget(replace(var), repeats=bool(found) and not (len(found) == 1 and _is_loop_of(c, found[0], var)))


def loops(statements: tuple[ast.Statement, ...]) -> list[ast.Statement]:
    """Return the statements that may make several rows of one."""
    return [node for node in statements if isinstance(node, (ast.For, ast.Traversal, ast.Paths))]


def _is_loop_of(c: Compilation, node: ast.Statement, var: DocumentVar) -> bool:
    """Return True if a statement goes through a collection, and its variable is the document."""
    if not isinstance(node, ast.For) or not is_collection(node.source) or not isinstance(node.variable, str):
        return False
    return c.resolved(ast.Variable(node.variable)) is var


def _document(c: Compilation, collection: str, key: ast.Expr, options: WriteOptions) -> DocumentVar:
    var = c.resolved(key)
    if isinstance(var, DocumentVar):
        return var
    if isinstance(key, ast.Attribute) and key.name == "_key":
        var = c.resolved(key.base)
        if isinstance(var, DocumentVar):
            return var
    if c.is_constant(key):
        return _with_key(c, collection, c.term(key), options)
    if isinstance(key, ast.Object) and all(item.computed is None for item in key.items):
        items = {item.name: item.value for item in written(key)}
        if "_key" in items and (options.ignore_revs or "_rev" not in items):
            return _document(c, collection, items["_key"], options)
    raise NotCompilable("a key that is computed")


def _with_key(c: Compilation, collection: str, key: object, options: WriteOptions) -> DocumentVar:
    """Look up the document with a constant key."""
    assert isinstance(key, ConstantTerm)
    if isinstance(key, BoundTerm) and key.kind == "text":
        return looked_up(c, collection, key)
    value = key.value
    if isinstance(value, dict):
        if not options.ignore_revs and "_rev" in value:
            raise NotCompilable("a revision that must match")
        value = value.get("_key")
    key = ConstantTerm(value)
    if key.kind != "text":
        raise NotCompilable("a key that is not a text")
    return looked_up(c, collection, key)
