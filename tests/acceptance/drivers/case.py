"""One test of a driver's suite and what came of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Outcome(enum.StrEnum):
    """SKIPPED: by the suite itself. OUT_OF_SCOPE: named in the suite's scope file, whatever came of it."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    OUT_OF_SCOPE = "out of scope"


@dataclass(frozen=True, slots=True)
class Result:
    """What a suite reported of one of its tests. message: the first lines of a failure."""

    name: str
    outcome: Outcome
    message: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A result with its feature (documents, queries, …) and the scope of the suite applied."""

    name: str
    feature: str
    outcome: Outcome
    message: str = ""
