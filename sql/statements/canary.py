"""Statements of queries/canary.sql."""

from __future__ import annotations

from typing import NamedTuple

from sql.statement import Statement


class CanaryRow(NamedTuple):
    rev: int
    raw: str


PUT = Statement("canary", "put")
READ = Statement("canary", "read", CanaryRow)
REMOVE = Statement("canary", "remove")
