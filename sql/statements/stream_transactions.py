"""Statements of queries/stream_transactions.sql."""

from __future__ import annotations

from sql.statement import Statement

LOCK_WRITERS = Statement("stream_transactions", "lock_writers", str)
LOCK_TO_WRITE = Statement("stream_transactions", "lock_to_write")
LOCK_EXCLUSIVELY = Statement("stream_transactions", "lock_exclusively")
