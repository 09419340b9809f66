"""Where a SORT by `_key` is answered by the primary index, which is in byte order; everywhere else strings sort by ICU.

    FOR d IN collection [FILTER …] [LET …] SORT d._key [DESC] …

ArangoDB drops such a SORT and goes through the index instead. It cannot where the loop stands inside another one, where
the rows come from elsewhere, where there are further sort keys, or where an index is taken for a filter: equality on
`_key`, `_id`, `_from` or `_to`, which always have one. An index that somebody made for another attribute would be taken
as well, and then ICU orders the keys; nothing here can know of it, and keys that both orders tell apart are rare.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.aql import ast
from proxy.aql.analyse import path_of

_INDEXED = frozenset({("_key",), ("_id",), ("_from",), ("_to",)})


def by_primary_index(statements: tuple[ast.Statement, ...], index: int) -> bool:
    """Whether the SORT at `index` of a query's (or subquery's) statements comes in the byte order of keys."""
    sort = statements[index]
    if not isinstance(sort, ast.Sort) or len(sort.keys) != 1:
        return False
    variable: str | None = None
    for statement in statements[:index]:
        if isinstance(statement, ast.For):
            if variable is not None or not isinstance(statement.variable, str) or statement.search is not None:
                return False
            if not ast.is_collection(statement.source):
                return False
            variable = statement.variable
        elif isinstance(statement, ast.Filter):
            if variable is None or any(_indexed(part, variable) for part in _conjuncts(statement.condition)):
                return False
        elif not isinstance(statement, ast.Let):
            return False
    return variable is not None and path_of(sort.keys[0].value) == (variable, ("_key",))


def _conjuncts(node: ast.Expr) -> Iterator[ast.Expr]:
    if isinstance(node, ast.Logical) and node.op == "AND":
        for operand in node.operands:
            yield from _conjuncts(operand)
    else:
        yield node


def _indexed(node: ast.Expr, variable: str) -> bool:
    """Whether a condition is looked up in an index that every collection has."""
    if not isinstance(node, ast.Binary) or node.op not in ("==", "IN"):
        return False
    sides = (node.left, node.right) if node.op == "==" else (node.left,)
    paths = [path_of(side) for side in sides]
    return any(path is not None and path[0] == variable and path[1] in _INDEXED for path in paths)
