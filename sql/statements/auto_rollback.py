"""Statements of queries/auto_rollback.sql."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sql.statement import Statement


class AutoRollbackRow(NamedTuple):
    collection: str
    epoch: int
    max_error_percent: float
    max_p99_seconds: float | None
    max_mismatches: int
    armed_at: datetime
    armed_by: str
    ended_at: datetime | None
    ended_by: str | None
    reason: str | None
    stage: str
    weight: int
    mismatched: int


ARM = Statement("auto_rollback", "arm")
DISARM = Statement("auto_rollback", "disarm", str)
ALL = Statement("auto_rollback", "all", AutoRollbackRow)
TOGETHER = Statement("auto_rollback", "together", str)
TRIPPED = Statement("auto_rollback", "tripped")
OVER = Statement("auto_rollback", "over")
