"""fullCount: how many rows a query would give without its last LIMIT, as a query of its own."""

from __future__ import annotations

from dataclasses import replace

from proxy.aql import ast


def unlimited(query: ast.Query) -> ast.Query | None:
    """The query without its last top-level LIMIT, whose number of rows is fullCount; None where that is not so: it has
    no LIMIT, or statements behind it drop or multiply rows. Kept with the query's tree."""
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
