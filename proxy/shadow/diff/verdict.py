"""What two answers come to, noise and ArangoDB's own differences taken into account. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.model.operations import Operation, Outcome
from proxy.shadow.diff.compare_answers import TargetAnswer, compare_answers
from proxy.shadow.diff.documents import Difference
from proxy.shadow.diff.tolerances import Rule, apply_tolerances, without_baseline

Own = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ComparisonResult:
    """difference: what is left, None where nothing is. rules: those of noise, where they made a part of it go; own: the
    (class, path) that were taken away because ArangoDB differs from itself in them.
    """

    difference: Difference | None
    rules: tuple[Rule, ...] = ()
    own: tuple[tuple[str, str], ...] = ()


def judge(
    operation: Operation, origin: Outcome, target: TargetAnswer, rules: tuple[Rule, ...] = (), own: Own = frozenset()
) -> ComparisonResult:
    """Compares as they are; where that differs and there are rules of noise, once more without the noise.

    own: (class, path) in which ArangoDB differs from itself for this shape. Raises NotComparable.
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
