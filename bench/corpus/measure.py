"""The measurement of one query."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.corpus.evaluated import evaluate_in
from bench.corpus.infer import Inference
from bench.corpus.literals import NAME, with_stored_literals
from bench.corpus.postgres import INEXACT_DATA, Refused, Target
from bench.corpus.world import Filler, World, system, ways
from proxy.aql import Query, Result, analyse, ast, parse, print_query
from proxy.base.errors import ArangoError
from proxy.shadow.diff.documents import TargetRows, compare_rows

# ArangoDB refuses the text itself, whatever the documents: an unknown function, a wrong number of arguments, a
# collection where a value is required
_QUERY_ERRORS = frozenset({1501, 1540, 1541, 1568})
_UNSUPPORTED = 9
_UNORDERED = frozenset({"UNIQUE", "UNION", "UNION_DISTINCT", "INTERSECTION", "OUTERSECTION", "MINUS", "VALUES",
                         "ATTRIBUTES", "REMOVE_VALUE", "REMOVE_VALUES"})  # fmt: skip


@dataclass
class Verdict:
    """parsed, evaluated, executed, compiled: True on success; rows: of the evaluation, None if it failed.

    notes: problems.
    """

    identifier: str
    tier: int
    kind: str
    parsed: bool = False
    evaluated: bool = False
    compiled: bool = False
    batched: bool = False  # of a query that writes: not one statement, but its documents are written together
    executed: bool = False  # of a query that writes: on PostgreSQL, with the evaluator's result
    refused: bool = False  # as ArangoDB itself refuses it
    rows: int | None = None
    notes: dict[str, str] = field(default_factory=dict)


async def measure_query(record: dict[str, Any], target: Target | None) -> Verdict:
    """Return the verdict on one query of a corpus. target: runs compiled statements; None compiles nothing."""
    verdict = Verdict(str(record["id"]), int(record["tier"]), str(record["kind"]))
    try:
        query = parse(record["query"])
        verdict.parsed = parse(print_query(query)) == query
        if not verdict.parsed:
            verdict.notes["parsed"] = "printed otherwise than it was parsed"
    except ArangoError as error:
        verdict.notes["parsed"] = str(error)
        return verdict
    outcome = _evaluate(query, list(record["bind_vars"]), verdict)
    if outcome is None or target is None:
        return verdict
    if verdict.kind != "read" or analyse(query, outcome[0].binds).modifies:
        verdict.executed, way, reason = await target.writes.executed(query, *outcome)
        verdict.compiled, verdict.batched = way == "compiled", way == "batched"
        if reason:
            verdict.notes["compiled" if verdict.executed else "executed"] = reason
        return verdict
    verdict.compiled, reason = await check_compiled(query, *outcome, target)
    if reason.startswith(
        INEXACT_DATA
    ):  # arrays and objects in unexpected places: the evaluator answers; without them …
        verdict.notes["odd documents"] = reason
        calmer = _evaluate(query, list(record["bind_vars"]), verdict, calm=True)
        if calmer is not None:
            verdict.compiled, reason = await check_compiled(query, *calmer, target)
    if not verdict.compiled:
        verdict.notes["compiled"] = reason
    return verdict


def _evaluate(query: Query, names: list[str], verdict: Verdict, *, calm: bool = False) -> tuple[World, Result] | None:
    """Evaluate over one world after the other until there are rows; return the last successful one."""
    found, best, failure = Inference(query, names), None, None
    for way in ways(calm=calm):
        world = Filler(found, way).world()
        try:
            result = evaluate_in(query, world)
        except ArangoError as error:
            failure = failure or error
            if error.number in _QUERY_ERRORS or error.number == _UNSUPPORTED:
                break
            continue
        if best is None or result.rows:
            best = world, result
        if result.rows or verdict.kind != "read":
            break
    if best is None:
        assert failure is not None
        verdict.refused = verdict.evaluated = failure.number in _QUERY_ERRORS
        verdict.notes["refused" if verdict.refused else "evaluated"] = str(failure)
        return None
    verdict.evaluated = True
    verdict.rows = len(best[1].rows)
    return best


async def check_compiled(query: Query, world: World, expected: Result, target: Target) -> tuple[bool, str]:
    """Return whether a compiled statement agrees with the evaluator, and why not."""
    try:
        statement, rows = await target.answer(query, world.binds, await target.fill(world))
    except Refused as refusal:
        return False, str(refusal)
    analysis = analyse(query, world.binds)
    if analysis.choices:  # nothing determines the rows: only their number can be compared
        return len(rows) == len(
            expected.rows
        ), f"another number of rows, which nothing determines: {analysis.choices[0]}"
    cut = expected.cut or (None, None)
    groups = expected.groups if statement.order else None
    if expected.groups is not None and not statement.order and len(expected.rows) > 1:
        return False, "WRONG: its order is determined, the statement's is not"
    difference = compare_rows(rows, TargetRows(expected.rows, groups, cut[0], cut[1], analysis.unordered))
    return difference is None, "" if difference is None else f"WRONG: {difference.kind} at {difference.paths[:4]}"


# ---- answers that a real server gave


@dataclass
class Example:
    """An example of the page and its three answers: unchanged, with stored literals evaluated, and compiled."""

    name: str
    plain: bool = False
    stored: bool = False
    compiled: bool = False
    notes: dict[str, str] = field(default_factory=dict)


async def example(record: dict[str, Any], target: Target | None) -> Example:
    """Evaluate an example of `aql.jsonl`, which has no collections."""
    verdict = Example(str(record["name"]))
    query = parse(record["query"])
    loose = any(isinstance(node, ast.Call) and node.name in _UNORDERED for node in ast.walk(query))
    empty = World({}, {})
    try:
        rows = evaluate_in(query, empty).rows
        verdict.plain = close(record["result"], rows, loose=loose)
        if not verdict.plain:
            verdict.notes["plain"] = f"got {str(rows)[:200]}"
        changed, literals = with_stored_literals(query)
        world = World({NAME: [system(NAME, {"_key": "1", **literals})]}, {})
        expected = evaluate_in(changed, world)
        verdict.stored = close([record["result"]], expected.rows, loose=loose)
        if not verdict.stored:
            verdict.notes["stored"] = f"got {str(expected.rows)[:200]}"
    except ArangoError as error:
        verdict.notes["evaluated"] = str(error)
        return verdict
    if target is not None:
        try:
            _, found = await target.answer(changed, {}, await target.fill(world))
            verdict.compiled = close([record["result"]], found, loose=loose)
            if not verdict.compiled:
                verdict.notes["compiled"] = f"WRONG: got {str(found)[:200]}"
        except Refused as refusal:
            verdict.notes["compiled"] = str(refusal)
    return verdict


def close(one: Any, other: Any, *, loose: bool) -> bool:
    """Return True if two values are equal, up to the last digits of doubles and, if loose, the order of arrays."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return False
        pairs: Sequence[tuple[Any, Any]] = list(zip(one, other, strict=True))
        if all(close(a, b, loose=loose) for a, b in pairs):
            return True
        return loose and all(
            close(a, b, loose=loose) for a, b in zip(sorted(one, key=repr), sorted(other, key=repr), strict=True)
        )
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close(one[name], other[name], loose=loose) for name in one)
    return bool(one == other)
