"""Statements of queries/startup.sql."""

from __future__ import annotations

from sql.statement import Single, Statement

HELD_BY_ORIGIN = Statement("startup", "held_by_origin", str)
COMPLETE = Single("startup", "complete", bool)
