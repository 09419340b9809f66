"""Collections that DOCUMENT names, as far as they follow from a query's text and bind variables. Pure.

Constants, bind variables, CONCAT of these, and arrays of these have a known value; others (attributes, variables) are
known only while the query runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.aql import ast
from proxy.aql.trees import is_collection


def depends_on_binds(call: ast.Call) -> bool:
    """Return True if values of bind variables decide which collection is named."""
    return any(isinstance(node, ast.Parameter) and not node.source for node in ast.walk(call))


def collections_of(call: ast.Call, binds: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the collections that a call of DOCUMENT names by value; None if they are not known."""
    if not call.arguments:
        return frozenset()
    first = call.arguments[0]
    if is_collection(first):
        return frozenset()
    known = _value(first, binds)
    if known is None:
        return None
    (value,) = known
    if len(call.arguments) == 2:  # the first names the collection; the id of another one finds nothing
        return frozenset({value}) if isinstance(value, str) and value else frozenset()
    ids = value if isinstance(value, list) else [value]
    names = (one.partition("/") for one in ids if isinstance(one, str))
    return frozenset(name for name, slash, _ in names if slash and name)


def _value(node: ast.Expr, binds: Mapping[str, Any]) -> tuple[Any] | None:
    """Return the value, in a tuple; None if it is not known."""
    if isinstance(node, ast.Literal):
        return (node.value,)
    if isinstance(node, ast.Parameter):
        return (binds[node.name],) if node.name in binds else None
    if isinstance(node, ast.Array):
        items = [_value(item, binds) for item in node.items]
        return None if None in items else ([item[0] for item in items if item is not None],)
    if isinstance(node, ast.Call) and node.name == "CONCAT":
        parts = [_value(part, binds) for part in node.arguments]
        texts = [part[0] for part in parts if part is not None and isinstance(part[0], str)]
        return ("".join(texts),) if len(texts) == len(parts) else None
    if isinstance(node, ast.Call) and node.name == "NOOPT" and len(node.arguments) == 1:
        return _value(node.arguments[0], binds)
    return None
