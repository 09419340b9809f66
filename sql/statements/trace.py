"""Statements of queries/trace.sql."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sql.statement import Statement


class CollectionRow(NamedTuple):
    relation: str
    stage: str
    stamp_floor: int
    era: int


class DocumentRow(NamedTuple):
    rev: int
    mark: int
    tombstone: bool


class DeadLetterRow(NamedTuple):
    rev: int
    reason: str
    noted_at: datetime


class MarkRow(NamedTuple):
    reason: str
    instance: str
    marked_at: datetime


class MismatchRow(NamedTuple):
    id: int
    kind: str
    paths: list[str]
    seen: int
    last_seen: datetime


COLLECTION = Statement("trace", "collection", CollectionRow)
ROW = Statement("trace", "row", DocumentRow)
DEAD_LETTER = Statement("trace", "dead_letter", DeadLetterRow)
MARKS = Statement("trace", "marks", MarkRow)
MISMATCHES = Statement("trace", "mismatches", MismatchRow)
