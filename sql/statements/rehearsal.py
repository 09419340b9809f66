"""Statements of queries/rehearsal.sql."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sql.statement import Statement


class VersionRow(NamedTuple):
    key: str
    rev: int
    raw: str | None


class WriteShapeKeyRow(NamedTuple):
    collection: str
    shape: str


class WriteShapeRow(NamedTuple):
    collection: str
    shape: str
    text: str
    seen: int
    equal: int
    different: int
    no_verdict: int
    first_seen: datetime
    last_seen: datetime
    reasons: str


class OpenMismatchesRow(NamedTuple):
    collection: str
    kinds: int


VERSIONS = Statement("rehearsal", "versions", VersionRow)
WHOLE = Statement("rehearsal", "whole", VersionRow)
ADD_SHAPES = Statement("rehearsal", "add_shapes")
ADD_REASONS = Statement("rehearsal", "add_reasons")
KEPT = Statement("rehearsal", "kept", WriteShapeKeyRow)
SHAPES = Statement("rehearsal", "shapes", WriteShapeRow)
OPEN_MISMATCHES = Statement("rehearsal", "open_mismatches", OpenMismatchesRow)
