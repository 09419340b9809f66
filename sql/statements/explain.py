"""Statements of queries/explain.sql."""

from __future__ import annotations

from sql.statement import Single, Statement

PLAN = Statement("explain", "plan", str)
MEASURED_PLAN = Statement("explain", "measured_plan", str)
PLAN_TREE = Single("explain", "plan_tree", str)
