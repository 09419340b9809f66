"""Statements of queries/missing_writes.sql."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sql.statement import Single, Statement


class RecordedLetterRow(NamedTuple):
    superseded: bool
    new: bool


class DeadLetterRow(NamedTuple):
    key: str
    rev: int


class FlippedRow(NamedTuple):
    collection: str
    weight: int


class RecordedSinceRow(NamedTuple):
    collection: str
    reason: str


MARK = Statement("missing_writes", "mark", str)
ADD_DEAD_LETTER = Single("missing_writes", "add_dead_letter", RecordedLetterRow)
DEAD_LETTERS = Statement("missing_writes", "dead_letters", DeadLetterRow)
COUNT_DEAD_LETTERS = Single("missing_writes", "count_dead_letters", int)
END_DEAD_LETTERS = Statement("missing_writes", "end_dead_letters", str)
FLIPPED = Statement("missing_writes", "flipped", FlippedRow)
RECORDED_SINCE = Statement("missing_writes", "recorded_since", RecordedSinceRow)
NOW = Single("missing_writes", "now", datetime)
