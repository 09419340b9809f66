"""A modification -> an equivalent one that also returns the key of each document that it wrote or removed. Pure.

Each modification is followed by `LET k = NEW._key` (of a removal `OLD._key`), and rows become `[row, k, …]`. With
`versions` each k is `[key, OLD, NEW]`, where a version that cannot be there is null. A query in
which a later statement would drop or multiply rows, and keys with them, is not rewritten.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from proxy.aql import ast
from proxy.aql.check import collection_name
from proxy.aql.printer import print_query

_MODIFICATIONS = (ast.Insert, ast.UpdateOrReplace, ast.Remove, ast.Upsert)
_KEEPS_ROWS = (ast.Let, ast.Sort, ast.Return, *_MODIFICATIONS)
_LOOPS = (ast.For, ast.Traversal, ast.Paths)


@dataclass(frozen=True, slots=True)
class Keyed:
    """A modification that returns its keys.

    text: the query to run. collections: one for each key in a row, by name, or `@` and the bind variable's name.
    returns: rows are `[value, key, …]` and the client gets the values; else they are `[key, …]` and it gets none.
    removes: in the same order, whether the modification removes. once: there is no loop, so each modification runs at
    most once: too few writes for an intermediate commit, unless the request sets a very low limit for one.
    """

    text: str
    collections: tuple[str, ...]
    removes: tuple[bool, ...]
    returns: bool
    once: bool


def removed_from(query: ast.Query) -> frozenset[str]:
    """Return the collections that the query removes from, by name, or `@` and the bind variable's name."""
    return frozenset(collection_name(node.collection) for node in ast.walk(query) if isinstance(node, ast.Remove))


def keyed(query: ast.Query, *, versions: bool = False) -> Keyed | str:
    """Return the modification with its keys, or the reason why it cannot be rewritten."""
    statements = query.statements
    found = [index for index, statement in enumerate(statements) if isinstance(statement, _MODIFICATIONS)]
    if len(found) != sum(isinstance(node, _MODIFICATIONS) for node in ast.walk(query)):
        return "modification in a subquery"
    for statement in statements[found[0] :] if found else ():
        if not isinstance(statement, _KEEPS_ROWS):
            return f"{type(statement).__name__.upper()} after a modification"
    last = statements[-1]
    returned = last if isinstance(last, ast.Return) else None
    if returned is not None and returned.distinct:
        return "RETURN DISTINCT after a modification"
    prefix = next(name for n in count() if (name := f"written{n}_") not in query.text)
    changed: list[ast.Statement] = []
    keys: list[ast.Expr] = []
    for statement in statements if returned is None else statements[:-1]:
        changed.append(statement)
        if isinstance(statement, _MODIFICATIONS):
            name = f"{prefix}{len(keys)}"
            version = ast.Variable("OLD" if isinstance(statement, ast.Remove) else "NEW")
            key = ast.Attribute(version, "_key")
            changed.append(ast.Let(name, ast.Array((key, *_versions(statement))) if versions else key))
            keys.append(ast.Variable(name))
    value = () if returned is None else (returned.value,)
    changed.append(ast.Return(ast.Array((*value, *keys))))
    modifications = [statement for statement in statements if isinstance(statement, _MODIFICATIONS)]
    return Keyed(
        print_query(ast.Query(query.with_collections, tuple(changed))),
        tuple(collection_name(statement.collection) for statement in modifications),
        tuple(isinstance(statement, ast.Remove) for statement in modifications),
        returned is not None,
        not any(isinstance(statement, _LOOPS) for statement in statements),
    )


def shows_versions(query: ast.Query) -> bool:
    """Return True if it is known where OLD exists: the text of an INSERT tells what it does with a key that exists."""
    inserts = [node for node in ast.walk(query) if isinstance(node, ast.Insert)]
    return all(_overwrites(insert) is not None for insert in inserts)


def _versions(statement: ast.Statement) -> tuple[ast.Expr, ast.Expr]:
    """Return OLD and NEW of a modification. ArangoDB knows no OLD of an INSERT that replaces or updates nothing."""
    null, old, new = ast.Literal(None), ast.Variable("OLD"), ast.Variable("NEW")
    if isinstance(statement, ast.Remove):
        return old, null
    if isinstance(statement, ast.Insert):
        return old if _overwrites(statement) else null, new
    return old, new


def _overwrites(insert: ast.Insert) -> bool | None:
    """Return whether an INSERT replaces or updates a document that exists; None if its text does not tell."""
    if insert.options is None:
        return False
    for item in insert.options.items:
        if item.name is None:
            return None
        if item.name in ("overwriteMode", "overwrite"):
            mode = item.value.value if isinstance(item.value, ast.Literal) else None
            if item.name == "overwrite" or mode not in ("conflict", "ignore", "replace", "update"):
                return None
            return mode in ("replace", "update")
    return False
