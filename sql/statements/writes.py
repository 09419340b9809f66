"""Statements of queries/writes.sql."""

from __future__ import annotations

from typing import NamedTuple

from sql.statement import Single, Statement


class BeginRow(NamedTuple):
    """noted: the outbox must have the keys of the writes.

    keys, raws: the rows that were found; both, and revisions, are NULL if there are none.
    """

    relation: str
    edge: bool
    properties: str
    noted: bool
    keys: list[str] | None
    raws: list[str | None] | None
    revisions: list[int] | None


class LastKeyRow(NamedTuple):
    """last: a number of up to 20 digits. number: the collection's."""

    last: str
    number: str


PROPERTIES = Statement("writes", "properties", str)
TAKE_KEYS = Statement("writes", "take_keys", bool)
LOCK_LAST_KEY = Statement("writes", "lock_last_key", LastKeyRow)
BEGIN = Statement("writes", "begin", BeginRow)
CHANGE = Statement("writes", "change")
INSERT = Statement("writes", "insert")
NOTE = Statement("writes", "note")
BLOCKED_KEYS = Statement("writes", "blocked_keys", str)
EXCLUSIVELY_LOCKED = Single("writes", "exclusively_locked", bool)
