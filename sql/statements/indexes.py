"""Statements of queries/indexes.sql."""

from __future__ import annotations

from typing import NamedTuple

from sql.statement import Single, Statement


class ProgressRow(NamedTuple):
    phase: str
    percent: int | None


class MeasureRow(NamedTuple):
    longest: int | None


CREATE = Statement("indexes", "create")
DROP = Statement("indexes", "drop")
CARRY_OUT = Statement("indexes", "carry_out")
CONTAINMENT_STATEMENT = Single("indexes", "containment_statement", str)
HAS_CONTAINMENT = Single("indexes", "has_containment", bool)
IS_VALID = Statement("indexes", "is_valid", bool)
PROGRESS = Statement("indexes", "progress", ProgressRow)
DROPS_OF_INVALID = Statement("indexes", "drops_of_invalid", str)
FULL_TEXT_STATEMENT = Statement("indexes", "full_text_statement", str)
BROKEN_INDEXES = Statement("indexes", "broken_indexes", str)
MEASURE = Single("indexes", "measure", MeasureRow)
ANALYZE = Statement("indexes", "analyze")
