"""Statements of queries/guard.sql."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sql.statement import Statement


class GuardRow(NamedTuple):
    collection: str
    epoch: int
    errors_percent: float
    seconds: float | None
    mismatches: int
    armed_at: datetime
    armed_by: str
    ended_at: datetime | None
    ended_by: str | None
    why: str | None
    stage: str
    weight: int
    mismatched: int


ARM = Statement("guard", "arm")
DISARM = Statement("guard", "disarm", str)
GUARDS = Statement("guard", "guards", GuardRow)
TOGETHER = Statement("guard", "together", str)
TRIPPED = Statement("guard", "tripped")
OVER = Statement("guard", "over")
