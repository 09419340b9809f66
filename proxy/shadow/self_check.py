"""Differences between two answers of ArangoDB to the same request. Pure."""

from __future__ import annotations

from typing import Any

from proxy.model import json_reader
from proxy.model.endpoint import Effect
from proxy.model.operations import Operation, Outcome
from proxy.shadow.diff.compare_answers import compare_answers, error_of
from proxy.shadow.diff.documents import Difference, NotComparable, TargetRows, compare_rows


def differs_from_itself(operation: Operation, first: Outcome, second: Outcome) -> Difference | None:
    """Return how two answers of one server differ. Raise NotComparable if one is not an answer to the request."""
    if operation.effect is not Effect.QUERY or error_of(first) is not None or error_of(second) is not None:
        if operation.effect is Effect.READ and first.body == second.body and first.status == second.status:
            return None
        return compare_answers(operation, first, second)
    ours, theirs = _rows(first), _rows(second)
    return compare_rows(ours, TargetRows(theirs, (1,) * len(theirs)))


def _rows(outcome: Outcome) -> list[Any]:
    found = json_reader.load(outcome.body)
    rows = found.get("result") if isinstance(found, dict) else None
    if not isinstance(rows, list):
        raise NotComparable("not understood")
    return rows
