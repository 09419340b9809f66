"""The results of the suites, as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.acceptance.drivers.case import Case, Outcome
from tests.acceptance.servers import Kind


@dataclass(frozen=True, slots=True)
class Run:
    """One suite on one target.

    error: why it did not run. apart: what differed between both databases after it; marked: collections whose copy was
    not known to be complete.
    """

    suite: str
    target: Kind
    goal: float
    cases: Sequence[Case]
    error: str = ""
    apart: Sequence[str] = ()
    marked: Sequence[str] = ()

    def number(self, outcome: Outcome, feature: str | None = None) -> int:
        return sum(case.outcome is outcome and feature in (None, case.feature) for case in self.cases)

    @property
    def rate(self) -> float:
        """The share of tests that passed, of those in scope and not skipped."""
        passed = self.number(Outcome.PASSED)
        judged = passed + self.number(Outcome.FAILED)
        return passed / judged if judged else 0.0

    @property
    def reached(self) -> bool:
        return not self.error and not self.apart and self.rate >= self.goal


def lines(runs: Sequence[Run], *, names: bool = True) -> list[str]:
    """Format a table: a line per suite and target, one per feature, and the names of what failed."""
    found = [_line("suite", "target", [outcome.value for outcome in Outcome], "rate")]
    for run in runs:
        if run.error:
            found.append(f"{run.suite:<22}{run.target:<13}did not run: {run.error.strip()}")
            continue
        rate = f"{run.rate:.1%} (goal {run.goal:.0%}{'' if run.reached else ', missed'})"
        found.append(_line(run.suite, run.target, [str(run.number(outcome)) for outcome in Outcome], rate))
        for feature in sorted(Counter(case.feature for case in run.cases)):
            found.append(_line("", f"  {feature}", [str(run.number(outcome, feature)) for outcome in Outcome], ""))
        found += [f"{run.suite} {run.target} apart: {one}" for one in run.apart]
    if names:
        for run in runs:
            failed = [case for case in run.cases if case.outcome is Outcome.FAILED]
            found += [f"{run.suite} {run.target} failed: {case.name}" for case in failed]
            found += [f"{run.suite} {run.target} marked: {one}" for one in run.marked]
    return found


def as_json(runs: Sequence[Run]) -> list[dict[str, Any]]:
    return [{**asdict(run), "rate": run.rate, "reached": run.reached} for run in runs]


def _line(suite: str, target: str, counts: Sequence[str], rate: str) -> str:
    passed, failed, skipped, out = counts
    return f"{suite:<22}{target:<17}{passed:>8}{failed:>8}{skipped:>9}{out:>14}  {rate}".rstrip()
