"""The verdict on two answers after tolerances and ArangoDB's own differences. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.model.operations import Operation, Outcome
from proxy.shadow.diff.compare_answers import TargetAnswer, compare_answers
from proxy.shadow.diff.documents import Difference
from proxy.shadow.diff.tolerances import Tolerance, apply_tolerances, without_baseline

Own = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ComparisonResult:
    """difference: what remains, None if nothing. rules: the tolerances that removed a part of it; own: the (class,
    path) that were removed because ArangoDB differs from itself in them.
    """

    difference: Difference | None
    rules: tuple[Tolerance, ...] = ()
    own: tuple[tuple[str, str], ...] = ()


def judge(
    operation: Operation,
    origin: Outcome,
    target: TargetAnswer,
    rules: tuple[Tolerance, ...] = (),
    own: Own = frozenset(),
) -> ComparisonResult:
    """Compare the answers as they are; if they differ and there are tolerances, compare again with these applied.

    own: (class, path) in which ArangoDB differs from itself for this shape. Raise NotComparable.
    """
    difference = compare_answers(operation, origin, target)
    if difference is None or not (rules or own):
        return ComparisonResult(difference)
    if rules:
        difference = compare_answers(operation, *apply_tolerances(operation, origin, target, rules))
    if difference is None or not own:
        return ComparisonResult(difference, rules)
    left, taken = without_baseline(difference, own)
    return ComparisonResult(left, rules, taken)
