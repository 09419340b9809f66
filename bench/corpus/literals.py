"""A query with every literal moved into a stored document, so that nothing can be folded and all goes through storage.

    RETURN LENGTH("abc")   ->   FOR stored IN stored RETURN (RETURN LENGTH(stored.l0))

What the grammar wants constant stays: LIMIT, OPTIONS, bounds of WINDOW, directions, names.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from proxy.aql import ast

NAME = "stored"
_CONSTANT = (ast.Limit, ast.Window)


def with_stored_literals(query: ast.Query) -> tuple[ast.Query, dict[str, Any]]:
    """Return the query, whose only row is the array of the given query's rows, and the document's attributes."""
    values: dict[str, Any] = {}
    inner = _query(query, values)
    source = ast.For(NAME, ast.Collection(NAME))
    return ast.Query(query.with_collections, (source, ast.Return(ast.Subquery(inner)))), values


def _query(query: ast.Query, values: dict[str, Any]) -> ast.Query:
    return ast.Query(query.with_collections, tuple(_node(statement, values) for statement in query.statements))


def _node(node: Any, values: dict[str, Any]) -> Any:
    if isinstance(node, tuple):
        return tuple(_node(item, values) for item in node)
    if isinstance(node, ast.Literal):
        name = f"l{len(values)}"
        values[name] = node.value
        return ast.Attribute(ast.Variable(NAME), name)
    if isinstance(node, ast.Query):
        return _query(node, values)
    if not isinstance(node, ast.Node) or isinstance(node, _CONSTANT):
        return node
    changes = {
        entry.name: _node(getattr(node, entry.name), values)
        for entry in dataclasses.fields(node)
        if entry.compare and entry.name not in ("options", "direction", "steps")
    }
    return dataclasses.replace(node, **changes)
