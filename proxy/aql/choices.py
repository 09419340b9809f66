"""Choices in a query's result that the data does not determine: which rows, and the order inside them. Pure.

ArangoDB guarantees no order for a scan. A result that depends on that order is a *choice* (`level_choices` describes
them), and the data does not determine the result of a query with a choice. One kind of choice is common: a LIMIT at the
outermost level without a SORT before it, followed only by LET, SORT and RETURN (`takes_any`). Any rows of the right
number are a correct answer then, and the comparison checks them by membership (`shadow.unordered_limit` finds the same
queries by their tokens).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from proxy.aql import ast
from proxy.aql.signatures import ORDER_FREE
from proxy.aql.trees import is_collection

LIMITED: Final = "LIMIT without SORT"
_GATHERED: Final = "COLLECT INTO keeps the order of a scan"


def levels(query: ast.Query) -> Iterator[tuple[ast.Statement, ...]]:
    """Yield the statements of the query, and of each of its subqueries."""
    yield query.statements
    for node in ast.walk(query):
        if isinstance(node, ast.Subquery):
            yield node.query.statements


def level_choices(statements: tuple[ast.Statement, ...]) -> Iterator[str]:
    """Yield how the rows of one level depend on the order of a scan."""
    scanned = ordered = False
    for place, statement in enumerate(statements):
        if isinstance(statement, (ast.For, ast.Traversal, ast.Paths)):
            if not isinstance(statement, ast.For) or is_collection(statement.source):
                scanned, ordered = True, False
        elif isinstance(statement, ast.Sort):
            ordered = True
        elif isinstance(statement, ast.Collect):
            ordered = True
            if statement.into is not None and scanned and not _counts_only(statement.into, statements[place + 1 :]):
                yield _GATHERED
        elif isinstance(statement, ast.Limit) and scanned and not ordered:
            yield LIMITED


def ordered(statements: tuple[ast.Statement, ...]) -> bool:
    """Return True if the order of a subquery's rows does not depend on a scan."""
    scanned = False
    for statement in statements:
        if isinstance(statement, (ast.Traversal, ast.Paths)) or (
            isinstance(statement, ast.For) and is_collection(statement.source)
        ):
            scanned = True
        elif isinstance(statement, (ast.Sort, ast.Collect)):
            scanned = False
    return not scanned


def takes_any(query: ast.Query) -> bool:
    """Return True if a LIMIT is the last statement that decides which rows there are, and the only LIMIT of the query.

    Several LIMITs in a row count as one.
    """
    places = [place for place, statement in enumerate(query.statements) if isinstance(statement, ast.Limit)]
    inner = sum(
        isinstance(node, ast.Limit) or (isinstance(node, ast.Expansion) and node.count is not None)
        for node in ast.walk(query)
    )
    if not places or len(places) != inner or places[-1] - places[0] != len(places) - 1:
        return False
    limits, following = query.statements[places[0] : places[-1] + 1], query.statements[places[-1] + 1 :]
    plain = all(
        isinstance(number, (ast.Literal, ast.Parameter))
        for limit in limits
        if isinstance(limit, ast.Limit)
        for number in (limit.offset or limit.count, limit.count)
    )
    return plain and all(
        (isinstance(statement, ast.Let | ast.Sort) or (isinstance(statement, ast.Return) and not statement.distinct))
        and not any(isinstance(node, ast.Subquery) for node in ast.walk(statement))
        for statement in following
    )


def _counts_only(name: str, statements: tuple[ast.Statement, ...]) -> bool:
    """Return True if an array is used only where its order does not matter, in the statements after its COLLECT."""
    uses = free = 0
    for statement in statements:
        if isinstance(statement, ast.Collect):  # a later INTO gathers the variables that end there
            return False
        for node in ast.walk(statement):
            if isinstance(node, ast.Variable):
                uses += node.name == name
            elif isinstance(node, ast.Call) and node.name in ORDER_FREE and len(node.arguments) == 1:
                free += _elements_of(node.arguments[0], name)
    return uses == free


def _elements_of(node: ast.Expr, name: str) -> bool:
    """Return True for the array of that name, and for `name[*]` with attributes of its elements."""
    if isinstance(node, ast.Expansion) and node.levels == 1 and not (node.condition or node.count or node.result):
        node = node.base
    return isinstance(node, ast.Variable) and node.name == name
