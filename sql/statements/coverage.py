"""Statements of queries/coverage.sql."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sql.statement import Statement


class ShapeKeyRow(NamedTuple):
    collection: str
    shape: str


class ShapeRow(NamedTuple):
    collection: str
    shape: str
    text: str
    seen: int
    compared: int
    matched: int
    mismatched: int
    ignored: int
    undecided: int
    unsupported: int
    skipped: int
    first_seen: datetime
    last_seen: datetime
    exempt_reason: str | None
    exempted_by: str | None
    exempted_at: datetime | None
    recent_compared: int
    recent_mismatched: int
    recent_undecided: int
    recent_unsupported: int
    origin_histogram: list[int]
    target_histogram: list[int]
    reasons: str


class LimitRow(NamedTuple):
    name: str
    value: float
    reason: str
    actor: str
    set_at: datetime


ADD_SEEN = Statement("coverage", "add_seen")
KEPT = Statement("coverage", "kept", ShapeKeyRow)
ADD_REASONS = Statement("coverage", "add_reasons")
ADD_COVERAGE = Statement("coverage", "add_coverage")
SHAPES = Statement("coverage", "shapes", ShapeRow)
EXEMPT = Statement("coverage", "exempt", str)
LIMITS = Statement("coverage", "limits", LimitRow)
SET_LIMIT = Statement("coverage", "set_limit")
RESET_LIMIT = Statement("coverage", "reset_limit", str)
