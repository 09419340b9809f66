"""Statements of queries/mirror.sql."""

from __future__ import annotations

from typing import NamedTuple

from sql.statement import Single, Statement
from sql.statements.collections import RelationRow
from sql.statements.documents import KeyRevisionRow


class DeadLetterRow(NamedTuple):
    collection: str
    key: str


class TimelineRow(NamedTuple):
    present: int
    noted: int | None


class ExpiredRow(NamedTuple):
    moment: float
    key: str


class IndexRow(NamedTuple):
    name: str
    columns: list[str]


RAISE_ERA = Single("mirror", "raise_era", int)
DEAD_LETTER_COLLECTIONS = Statement("mirror", "dead_letter_collections", str)
END_SUPERSEDED = Statement("mirror", "end_superseded", str)
RETRIED = Statement("mirror", "retried", DeadLetterRow)
PROBE = Single("mirror", "probe", bool)
OLD_TOMBSTONES = Statement("mirror", "old_tombstones", str)
RAISE_STAMP_FLOOR = Statement("mirror", "raise_stamp_floor")
PURGE = Statement("mirror", "purge")
OF_ORIGIN = Statement("mirror", "of_origin", RelationRow)
HAS_INDEX = Single("mirror", "has_index", bool)
EXPIRED = Statement("mirror", "expired", ExpiredRow)
ALIVE = Statement("mirror", "alive", KeyRevisionRow)
EDGE_COLUMNS = Statement("mirror", "edge_columns")
EDGE = Statement("mirror", "edge")
EDGES_OF = Statement("mirror", "edges_of", str)
TIMELINE = Single("mirror", "timeline", TimelineRow)
NOTE_TIMELINE = Statement("mirror", "note_timeline")
MOVE_TIMELINE = Statement("mirror", "move_timeline", int)
LEAP = Statement("mirror", "leap", str)
LEAP_REVISIONS = Statement("mirror", "leap_revisions")
DROPPED = Statement("mirror", "dropped")
OWN_INDEXES = Statement("mirror", "own_indexes", IndexRow)
