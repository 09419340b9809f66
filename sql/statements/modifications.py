"""Statements of queries/modifications.sql."""

from __future__ import annotations

from sql.statement import Statement

DRAW_REVISIONS = Statement("modifications", "draw_revisions", int)
WRITE_SEEN = Statement("modifications", "write_seen", str)
COMPILED = Statement("modifications", "compiled", tuple)
