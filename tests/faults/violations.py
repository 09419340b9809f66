"""What checking clients, and comparisons of both databases, may find: contradictions of a guarantee, by kind. Pure."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple


class Kind(enum.StrEnum):
    """What is contradicted."""

    STALE = "stale"  # an older version than was known when the read began
    LOST = "lost"  # an acknowledged document is not there
    RESURRECTED = "resurrected"  # a removed document is there
    UNWRITTEN = "unwritten"  # what nobody wrote, or a refused write
    REVISION = "revision"  # of two versions, or two of one version, or an older one of a newer version
    DIFFERENT = "different"  # both databases, or a row and its document, or a count


class Violation(NamedTuple):
    """One contradiction."""

    kind: Kind
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


def by_kind(violations: Iterable[Violation]) -> dict[Kind, int]:
    """Return how many there are of each kind, of every kind."""
    counted = Counter(one.kind for one in violations)
    return {kind: counted[kind] for kind in Kind}
