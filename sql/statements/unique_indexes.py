"""Statements of queries/unique_indexes.sql."""

from __future__ import annotations

from typing import NamedTuple

from sql.statement import Single, Statement


class FillRow(NamedTuple):
    """last: the key to continue after; None: all documents have their entries. conflict, holder: keys, or None."""

    last: str | None
    conflict: str | None
    holder: str | None


class BuildRow(NamedTuple):
    """definition: as clients see it, JSON. progress: in percent."""

    definition: str
    progress: float


class HolderRow(NamedTuple):
    """place: of the value among those asked for, from 1. key: of the document that has it."""

    place: int
    key: str


CREATE = Statement("unique_indexes", "create")
FILL = Single("unique_indexes", "fill", FillRow)
NOTE_BUILD = Statement("unique_indexes", "note_build")
FORGET_BUILD = Statement("unique_indexes", "forget_build")
BUILDS = Statement("unique_indexes", "builds", BuildRow)
FINISH = Statement("unique_indexes", "finish")
DROP = Statement("unique_indexes", "drop")
EXISTS = Single("unique_indexes", "exists", bool)
LOCK_PROPERTIES = Statement("unique_indexes", "lock_properties", str)
MARK_BUILD = Single("unique_indexes", "mark_build", bool)
UNMARK_BUILD = Single("unique_indexes", "unmark_build", bool)
UNFINISHED = Statement("unique_indexes", "unfinished", str)
HOLDERS = Statement("unique_indexes", "holders", HolderRow)
TRY_CLAIM = Statement("unique_indexes", "try_claim")
