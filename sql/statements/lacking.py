"""Statements of queries/lacking.sql."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sql.statement import Single, Statement


class LetterRow(NamedTuple):
    overtaken: bool
    new: bool


class DeadLetterRow(NamedTuple):
    key: str
    rev: int


class FlippedRow(NamedTuple):
    collection: str
    weight: int


class SaidSinceRow(NamedTuple):
    collection: str
    reason: str


MARK = Statement("lacking", "mark", str)
DEAD_LETTER = Single("lacking", "dead_letter", LetterRow)
LETTERS = Statement("lacking", "letters", DeadLetterRow)
COUNT_LETTERS = Single("lacking", "count_letters", int)
AGREED = Statement("lacking", "agreed", str)
FLIPPED = Statement("lacking", "flipped", FlippedRow)
SAID_SINCE = Statement("lacking", "said_since", SaidSinceRow)
NOW = Single("lacking", "now", datetime)
