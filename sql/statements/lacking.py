"""Statements of queries/lacking.sql."""

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


MARK = Statement("lacking", "mark", str)
ADD_DEAD_LETTER = Single("lacking", "add_dead_letter", RecordedLetterRow)
DEAD_LETTERS = Statement("lacking", "dead_letters", DeadLetterRow)
COUNT_DEAD_LETTERS = Single("lacking", "count_dead_letters", int)
END_DEAD_LETTERS = Statement("lacking", "end_dead_letters", str)
FLIPPED = Statement("lacking", "flipped", FlippedRow)
RECORDED_SINCE = Statement("lacking", "recorded_since", RecordedSinceRow)
NOW = Single("lacking", "now", datetime)
