"""Statements of queries/modifications.sql."""

from __future__ import annotations

from sql.statement import Single, Statement

DRAW_REVISIONS = Statement("modifications", "draw_revisions", int)
WRITE_SEEN = Statement("modifications", "write_seen", str)
WAIT_FOR_KEYS = Single("modifications", "wait_for_keys", int)
COMPILED = Statement("modifications", "compiled", tuple)
