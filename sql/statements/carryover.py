"""Statements of queries/carryover.sql."""

from __future__ import annotations

from typing import NamedTuple

from sql.statement import Single, Statement


class NewestRow(NamedTuple):
    """decimal: a number as text; padded: 16 hexadecimal digits."""

    revision: int | None
    decimal: str | None
    padded: str | None


TAKEN = Statement("carryover", "taken", str)
NEWEST = Single("carryover", "newest", NewestRow)
TAKE_WRITES = Single("carryover", "take_writes", bool)
DUPLICATES = Statement("carryover", "duplicates", list[str])
