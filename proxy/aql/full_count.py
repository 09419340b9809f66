"""fullCount: the number of rows without the last LIMIT, as a separate query."""

from __future__ import annotations

from dataclasses import replace

from proxy.aql import ast


def without_limit(query: ast.Query) -> ast.Query | None:
    """Return the query without its last top-level LIMIT, if its number of rows is fullCount.

    None if it has no LIMIT, or if statements after the LIMIT drop or multiply rows. Kept with the query's tree.
    """
    if "unlimited" not in query.memo:
        query.memo["unlimited"] = _made(query)
    found = query.memo["unlimited"]
    return found if isinstance(found, ast.Query) else None


def _made(query: ast.Query) -> ast.Query | None:
    for index in range(len(query.statements) - 1, -1, -1):
        statement = query.statements[index]
        if isinstance(statement, ast.Limit):
            return replace(query, statements=query.statements[:index] + query.statements[index + 1 :], text="", memo={})
        if isinstance(statement, ast.Return):
            if statement.distinct:
                return None
        elif not isinstance(statement, ast.Let):
            return None
    return None
