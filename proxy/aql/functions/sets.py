"""Arrays as sets: union, intersection, difference, similarity. The order of results is not defined by ArangoDB."""

from __future__ import annotations

import math
from collections.abc import Hashable

from proxy.aql.functions.registry import function, is_number
from proxy.aql.functions.sql_calls import SqlCall, sql_form
from proxy.aql.query_context import QueryContext
from proxy.aql.sql_terms import Term
from proxy.aql.values import Value, hash_key, unique


def _arrays(context: QueryContext, name: str, values: tuple[Value, ...], *, expected: bool = False) -> bool:
    """Return True if all are arrays; else warn 1542, or 1563 if the function expects arrays."""
    if all(value.__class__ is list for value in values):
        return True
    if expected:
        context.warn_no_array(name)
    else:
        context.warn_invalid_argument(name)
    return False


def _keys(value: list[Value]) -> dict[Hashable, Value]:
    return {hash_key(item): item for item in reversed(value)}


@function("UNION", arguments=(2, None))
def union(context: QueryContext, *values: Value) -> Value:
    """UNION(a, b, …): repetitions are kept"""
    if not _arrays(context, "UNION", values):
        return None
    return [item for value in values for item in value]


@function("UNION_DISTINCT", arguments=(2, None))
def union_distinct(context: QueryContext, *values: Value) -> Value:
    """UNION_DISTINCT(a, b, …)"""
    if not _arrays(context, "UNION_DISTINCT", values):
        return None
    return unique(item for value in values for item in value)


@sql_form("UNION", "UNION_DISTINCT")
def union_sql(call: SqlCall) -> Term:
    """Concatenate arrays; another value, which warns, is refused as it runs."""
    joined = " || ".join(f"_crossfade.loop({call.json(position)})" for position in range(call.count))
    return Term(f"({joined})") if call.name == "UNION" else distinct_elements(f"({joined})", "")


@function("INTERSECTION", arguments=(2, None))
def intersection(context: QueryContext, *values: Value) -> Value:
    """INTERSECTION(a, b, …)"""
    if not _arrays(context, "INTERSECTION", values, expected=True):
        return None
    others = [_keys(value) for value in values[1:]]
    return [item for item in unique(values[0]) if all(hash_key(item) in other for other in others)]


@function("MINUS", arguments=(2, None))
def minus(context: QueryContext, *values: Value) -> Value:
    """MINUS(a, b, …): the elements that are only in the first"""
    if not _arrays(context, "MINUS", values):
        return None
    unwanted = {hash_key(item) for value in values[1:] for item in value}
    return [item for item in unique(values[0]) if hash_key(item) not in unwanted]


@sql_form("INTERSECTION", "MINUS")
def intersection_sql(call: SqlCall) -> Term | None:
    """Filter the first of two arrays; another value, which warns, is refused as it runs."""
    if call.count != 2:
        return None
    first, other = (f"_crossfade.loop({call.json(position)})" for position in range(2))
    negation = "NOT " if call.name == "MINUS" else ""
    return distinct_elements(first, f" WHERE {negation}_crossfade.member(u.v, {other})")


def distinct_elements(array: str, where: str) -> Term:
    """Return the elements of an array, each once, at the position of the first. where: a condition on them, as u.v."""
    return Term(
        "(SELECT coalesce(jsonb_agg(u.v ORDER BY u.i), '[]'::jsonb) FROM (SELECT DISTINCT ON "
        f"(_crossfade.canonical(x.v)) x.v, x.i FROM jsonb_array_elements({array}) WITH ORDINALITY AS x (v, i) "
        f"ORDER BY _crossfade.canonical(x.v), x.i) u{where})"
    )


@function("OUTERSECTION", arguments=(2, None))
def outersection(context: QueryContext, *values: Value) -> Value:
    """OUTERSECTION(a, b, …): the elements that occur exactly once in all of them"""
    if not _arrays(context, "OUTERSECTION", values, expected=True):
        return None
    counts: dict[Hashable, int] = {}
    for value in values:
        for item in value:
            key = hash_key(item)
            counts[key] = counts.get(key, 0) + 1
    return [item for value in values for item in value if counts[hash_key(item)] == 1]


@function("JACCARD", arguments=2)
def jaccard(context: QueryContext, a: Value, b: Value) -> Value:
    """JACCARD(a, b): size of the intersection by that of the union; 1 for two empty arrays"""
    if not _arrays(context, "JACCARD", (a, b), expected=True):
        return None
    first, second = _keys(a), _keys(b)
    either = len(first.keys() | second.keys())
    return len(first.keys() & second.keys()) / either if either else 1


@function("MINHASH_COUNT", arguments=1)
def minhash_count(context: QueryContext, error: Value) -> Value:
    """MINHASH_COUNT(error): the number of hashes that keeps the error below that"""
    if not is_number(error) or error <= 0:
        context.warn_invalid_argument("MINHASH_COUNT")
        return None
    share = error * error
    return math.ceil(1 / share) if share > 1e-18 else None  # more hashes than 64 bits can count: no result


@function("MINHASH_ERROR", arguments=1)
def minhash_error(context: QueryContext, count: Value) -> Value:
    """MINHASH_ERROR(count): the error of that number of hashes"""
    if not is_number(count) or count <= 0:
        context.warn_invalid_argument("MINHASH_ERROR")
        return None
    return 1 / math.sqrt(count)
