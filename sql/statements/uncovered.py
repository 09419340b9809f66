"""Statements of queries/uncovered.sql."""

from __future__ import annotations

from sql.statement import Statement

ADD = Statement("uncovered", "add")
