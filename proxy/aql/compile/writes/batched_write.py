"""Queries that write documents in batches: they compute every change without reading documents but the changed ones.

    [FOR over arrays, LET, FILTER, SORT, LIMIT …] INSERT | UPSERT | UPDATE | REPLACE | REMOVE [LET, FILTER …, RETURN]

Such a query is decided by the rules that both stores share, and needs few statements: the documents are read together,
and written together. What it will need can be foreseen in part, so that it is taken before the query runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.aql import ast
from proxy.aql.compile.expressions import pure
from proxy.aql.signatures import NOT_PUSHED


@dataclass(frozen=True, slots=True)
class BatchedWrite:
    """reason: why the query is not one statement. rows: the number of its writes, keys: how many of them insert a
    document that gets a key from the collection; 0 if they cannot be foreseen.
    """

    reason: str
    rows: int
    keys: int


def batched_write(query: ast.Query, binds: Mapping[str, Any], reason: str) -> BatchedWrite | None:
    """Return what is known of a query that writes in batches; None if it is not one."""
    place = query.memo.get("batched")
    if place is None:
        place = query.memo["batched"] = _place(query)
    assert isinstance(place, int)
    if place < 0:
        return None
    before, node = query.statements[:place], query.statements[place]
    items = _items(before, binds)
    rows = len(items)
    return BatchedWrite(reason, rows, _keys(node, before, items, binds) if isinstance(node, ast.Insert) else 0)


def _place(query: ast.Query) -> int:
    """Return the place of the only modification among the statements; -1 if the query does not write in batches."""
    writing = (ast.Insert, ast.UpdateOrReplace, ast.Remove, ast.Upsert)
    if sum(isinstance(below, writing) for below in ast.walk(query)) != 1:
        return -1
    for place, node in enumerate(query.statements):
        if isinstance(node, writing):
            others = (*query.statements[:place], *query.statements[place + 1 :])
            batched = all(map(pure, others)) and _is_batched(node)
            return place if batched else -1
    return -1


def _is_batched(node: ast.Insert | ast.UpdateOrReplace | ast.Remove | ast.Upsert) -> bool:
    """Return True if the documents that a modification needs are named by values of its rows."""
    computed: list[ast.Expr] = []
    if isinstance(node, ast.Insert):
        named = node.document
    elif isinstance(node, ast.Remove):
        named = node.key
    elif isinstance(node, ast.UpdateOrReplace):
        named, computed = (node.document if node.key is None else node.key), [node.document]
    elif node.search is not None:
        named, computed = node.search, [node.insert, node.change]
    else:
        return False
    random = any(isinstance(below, ast.Call) and below.name in NOT_PUSHED for below in ast.walk(named))
    inner = any(isinstance(below, ast.Subquery) for below in ast.walk(named))
    return not random and not inner and all(map(pure, (named, *computed)))


# ---- what can be foreseen


def _items(before: Sequence[ast.Statement], binds: Mapping[str, Any]) -> Sequence[Any]:
    """Return one element for each row: of the array that FOR goes through. Empty if they cannot be foreseen."""
    loops = [node for node in before if not isinstance(node, ast.Let)]
    if not loops:
        return (None,)
    if len(loops) > 1 or not isinstance(loops[0], ast.For):
        return ()
    source = loops[0].source
    if isinstance(source, ast.Array):
        return source.items
    value = binds.get(source.name) if isinstance(source, ast.Parameter) else None
    return value if isinstance(value, list) else ()


def _keys(node: ast.Insert, before: Sequence[ast.Statement], items: Sequence[Any], binds: Mapping[str, Any]) -> int:
    """Return how many documents of an INSERT have no key."""
    document = node.document
    if isinstance(document, ast.Variable):
        looped = any(isinstance(one, ast.For) and one.variable == document.name for one in before)
        return sum(map(_lacks_key, items)) if looped else 0
    given = binds.get(document.name) if isinstance(document, ast.Parameter) else document
    return len(items) if _lacks_key(given) else 0


def _lacks_key(document: object) -> bool:
    """Return True if a document, or an object literal, certainly has no key."""
    if isinstance(document, ast.Object):
        return all(item.computed is None and item.name != "_key" for item in document.items)
    return isinstance(document, dict) and "_key" not in document
