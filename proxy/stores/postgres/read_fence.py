"""What stops a query on the target: a fence that does not hold, and the limits of what one may fetch."""

from __future__ import annotations

from dataclasses import dataclass


class ReadFenceError(Exception):
    """A statement's fence did not hold: the target may not answer."""


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """What one query may fetch. Above: Unsupported, and the origin answers (or the comparison is not made)."""

    rows: int = 20_000
    bytes: int = 48 << 20
