"""Which SORTs by `_key` the primary index answers, in byte order; in all others strings are ordered by ICU.

    FOR d IN collection [FILTER …] [LET …] SORT d._key [DESC] …

ArangoDB drops such a SORT and scans the index instead. It cannot if the loop is inside another one, if the rows come
from elsewhere, if there are more sort keys, or if it uses an index for a filter: equality on `_key`, `_id`, `_from` or
`_to`, which always have one. It would use an index that a user created on another attribute as well, and ICU would
order the keys then. That is not known here; keys for which the two orders differ are rare.

The index then answers ranges of keys as well (`FILTER d._key > @last SORT d._key LIMIT 1000`), also in byte order: a
client that reads page by page would miss documents otherwise.
"""

from __future__ import annotations

from proxy.aql import ast
from proxy.aql.analyse import path_of
from proxy.aql.trees import conjuncts, is_collection

_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_INDEXED = frozenset({("_key",), ("_id",), ("_from",), ("_to",)})


def by_primary_index(statements: tuple[ast.Statement, ...], index: int) -> bool:
    """Return True if the SORT at `index` of the statements of a level gives the byte order of keys."""
    sort = statements[index]
    if not isinstance(sort, ast.Sort) or len(sort.keys) != 1:
        return False
    variable: str | None = None
    for statement in statements[:index]:
        if isinstance(statement, ast.For):
            if variable is not None or not isinstance(statement.variable, str) or statement.search is not None:
                return False
            if not is_collection(statement.source):
                return False
            variable = statement.variable
        elif isinstance(statement, ast.Filter):
            if variable is None or any(_indexed(part, variable) for part in conjuncts(statement.condition)):
                return False
        elif not isinstance(statement, ast.Let):
            return False
    return variable is not None and path_of(sort.keys[0].value) == (variable, ("_key",))


def key_range(statements: tuple[ast.Statement, ...], index: int, part: ast.Expr) -> tuple[str, ast.Expr] | None:
    """Return operator and bound of a condition on the key that the primary index answers in byte order, or None.

    index: of the FILTER whose conjunct the condition is.
    """
    if not isinstance(part, ast.Binary) or part.op not in _MIRRORED:
        return None
    if not any(by_primary_index(statements, later) for later in range(index + 1, len(statements))):
        return None
    variable = next(one.variable for one in statements if isinstance(one, ast.For))
    for key, op, bound in ((part.left, part.op, part.right), (part.right, _MIRRORED[part.op], part.left)):
        if path_of(key) == (variable, ("_key",)) and isinstance(bound, ast.Literal | ast.Parameter):
            return op, bound
    return None


def _indexed(node: ast.Expr, variable: str) -> bool:
    """Return True if an index that every collection has serves the condition."""
    if not isinstance(node, ast.Binary) or node.op not in ("==", "IN"):
        return False
    sides = (node.left, node.right) if node.op == "==" else (node.left,)
    paths = [path_of(side) for side in sides]
    return any(path is not None and path[0] == variable and path[1] in _INDEXED for path in paths)
