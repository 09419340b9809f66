"""Verdicts of the rehearsal of a write, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Equal:
    """The rules give ArangoDB's answer."""


@dataclass(frozen=True, slots=True)
class Different:
    """The rules give another answer.

    paths: where it differs. origin, target: both answers, as JSON. keys: of the documents concerned.
    """

    paths: tuple[str, ...]
    origin: bytes
    target: bytes
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NoVerdict:
    """What the write met is not known, or the answer is no matter of the rules. reason: of a closed set."""

    reason: str


Verdict = Equal | Different | NoVerdict

EQUAL: Final = Equal()
