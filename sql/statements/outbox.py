"""Statements of queries/outbox.sql."""

from __future__ import annotations

from typing import NamedTuple

from sql.statement import Statement
from sql.statements.collections import RelationRow


class OutboxRow(NamedTuple):
    """rev, raw: of the present document; rev alone if there is a tombstone."""

    id: int
    key: str
    rev: int | None
    raw: str | None


TAKE_LEASE = Statement("outbox", "take_lease", int)
COLLECTIONS = Statement("outbox", "collections", RelationRow)
READ = Statement("outbox", "read", OutboxRow)
CONFIRM = Statement("outbox", "confirm", int)
