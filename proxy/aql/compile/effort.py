"""The effort to build the result of a compiled query.

If it is in proportion to the size of the statement's rows, the result may be built in the process that serves clients.
Operations that may take longer for the same rows must not run there: regular expressions, ranges, loops within loops,
and everything else that is not listed here or marked `linear` in the registry of functions.
"""

from __future__ import annotations

from typing import Final

from proxy.aql import ast
from proxy.aql.compile.result_builder import Finish
from proxy.aql.signatures import LINEAR

_MAX_NODES: Final = 200
_PLAIN: Final = (
    *(ast.Literal, ast.Variable, ast.Parameter, ast.Attribute, ast.BoundAttribute, ast.Index, ast.Object, ast.Item),
    *(ast.Array, ast.Unary, ast.Logical, ast.Ternary, ast.Passthru),
)
_OPERATORS: Final = frozenset({"+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">="})


def is_proportional(finish: Finish) -> bool:
    """Return True if building the result takes time in proportion to the rows of the statement."""
    if not _bounded(finish.expression):
        return False
    return all(column.rows is None or is_proportional(column.rows) for column in finish.columns)


def _bounded(expression: ast.Expr) -> bool:
    loops = 0
    for number, node in enumerate(ast.walk(expression)):
        if isinstance(node, ast.Expansion):
            loops += 1
        elif isinstance(node, ast.Binary):
            if node.op not in _OPERATORS:
                return False
        elif isinstance(node, ast.Call):
            if node.name not in LINEAR:
                return False
        elif not isinstance(node, _PLAIN):
            return False
        if number > _MAX_NODES or loops > 1:
            return False
    return True
