"""Statements of queries/outbox.sql."""

from __future__ import annotations

from typing import NamedTuple

from sql.statement import Single, Statement
from sql.statements.collections import RelationRow


class OutboxRow(NamedTuple):
    id: int
    collection: str
    key: str


class ChangeRow(NamedTuple):
    """kind, body: as the columns of the outbox say."""

    id: int
    collection: str
    kind: str
    body: str


class PresentRow(NamedTuple):
    """rev, raw: of the present document; rev alone if there is a tombstone."""

    key: str
    rev: int | None
    raw: str | None


class RefusedRow(NamedTuple):
    """key: empty for all documents of the collection."""

    collection: str
    key: str
    reason: str


class BacklogRow(NamedTuple):
    """age: of the oldest row, in seconds."""

    rows: int
    age: float
    refused: int


TAKE_LEASE = Statement("outbox", "take_lease", int)
LEFT_OPEN = Statement("outbox", "left_open", str)
RENEW = Statement("outbox", "renew", int)
SURPASS = Statement("outbox", "surpass", int)
GIVE_UP_LEASE = Statement("outbox", "give_up_lease")
ROWS = Statement("outbox", "rows", OutboxRow)
NEXT_CHANGE = Statement("outbox", "next_change", ChangeRow)
NOTE_DEFINITION = Statement("outbox", "note_definition")
RELATIONS = Statement("outbox", "relations", RelationRow)
PRESENT = Statement("outbox", "present", PresentRow)
CONFIRM = Statement("outbox", "confirm", int)
REFUSE = Statement("outbox", "refuse", str)
REFUSED = Statement("outbox", "refused", RefusedRow)
BACKLOG = Single("outbox", "backlog", BacklogRow)
NEWEST = Single("outbox", "newest", int)
OLDEST = Single("outbox", "oldest", int)
WAITING = Single("outbox", "waiting", bool)
