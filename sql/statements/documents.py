"""Statements of queries/documents.sql."""

from __future__ import annotations

from typing import NamedTuple

from sql.statement import Statement


class PassedOverRow(NamedTuple):
    key: str
    lacks: bool


class KeyRevisionRow(NamedTuple):
    """A document and its revision, for statements of several topics."""

    key: str
    rev: int


class RevisionRow(NamedTuple):
    key: str
    rev: int
    alive: bool


UPSERT = Statement("documents", "upsert", str)
REPLACE_EQUAL = Statement("documents", "replace_equal", str)
RESTORE = Statement("documents", "restore", str)
REMOVE = Statement("documents", "remove", str)
ABSENT = Statement("documents", "absent", str)
PASSED_OVER = Statement("documents", "passed_over", PassedOverRow)
UNCOMPARED = Statement("documents", "uncompared", str)
REVISIONS = Statement("documents", "revisions", RevisionRow)
