"""What of a suite is in scope, and which feature each of its tests is about: data in `scope/<suite>.json`.

`goal`: the part of what is in scope that must pass. `features`: pairs of a feature and a pattern of names, of which the
first that fits holds. `out_of_scope`: patterns of names with the reason why Crossfade does not serve what they test.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from tests.acceptance.drivers.case import Case, Outcome, Result

_FOLDER: Final = Path(__file__).parent / "scope"


@dataclass(frozen=True, slots=True)
class Scope:
    """One suite's scope."""

    goal: float
    features: list[tuple[str, str]]
    out_of_scope: dict[str, str]

    def feature(self, name: str) -> str:
        return next((feature for feature, pattern in self.features if _fits(name, pattern)), "other")

    def reason(self, name: str) -> str | None:
        """Return why a test is out of scope, or None if it is in scope."""
        return next((reason for pattern, reason in self.out_of_scope.items() if _fits(name, pattern)), None)

    def applied(self, results: Iterable[Result]) -> list[Case]:
        cases = []
        for result in results:
            reason = self.reason(result.name)
            outcome = result.outcome if reason is None else Outcome.OUT_OF_SCOPE
            cases.append(Case(result.name, self.feature(result.name), outcome, reason or result.message))
        return cases


def load(suite: str) -> Scope:
    """Return the scope of a suite by its name."""
    found = json.loads((_FOLDER / f"{suite}.json").read_text("utf-8"))
    return Scope(float(found["goal"]), [tuple(pair) for pair in found["features"]], found["out_of_scope"])


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern.replace("[", "[[]"))
