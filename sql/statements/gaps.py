"""Statements of queries/gaps.sql."""

from __future__ import annotations

from sql.statement import Statement

ADD = Statement("gaps", "add")
