"""Statements of queries/bypass.sql."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sql.statement import Statement


class TableTailRow(NamedTuple):
    relation: str
    place: str


class KeyRevisionRow(NamedTuple):
    key: str
    rev: int


class WatchRow(NamedTuple):
    mode: str
    since: datetime
    behind: float
    pending: int
    note: str


class BypassRow(NamedTuple):
    key: str
    removed: bool
    found_at: datetime
    repaired: bool
    number: int


class WatchedRow(NamedTuple):
    now: float
    collection: str | None
    relation: str | None
    present: bool | None
    since: float | None
    tick: int | None
    tick_at: float | None
    mode: str | None


class ReachedRow(NamedTuple):
    reached: float | None
    behind: list[str]


class TakenRow(NamedTuple):
    id: int
    collection: str
    revisions: list[int]
    keys: list[str]
    whole: bool
    at: float


class TimesRow(NamedTuple):
    since: float
    until: float


class UnverifiedUntilRow(NamedTuple):
    collection: str
    until: float


class CountRow(NamedTuple):
    collection: str
    number: int
    open: int
    last_found: datetime
    keys: list[str]


RELATION = Statement("bypass", "relation", TableTailRow)
NEWEST = Statement("bypass", "newest", KeyRevisionRow)
WATCH_OF = Statement("bypass", "watch_of", WatchRow)
BYPASSED = Statement("bypass", "bypassed", BypassRow)
TELL = Statement("bypass", "tell")
FORGET = Statement("bypass", "forget")
HOLD_WATCH = Statement("bypass", "hold_watch", bool)
WATCHED = Statement("bypass", "watched", WatchedRow)
REACHED = Statement("bypass", "reached", ReachedRow)
NEW_TAKEN = Statement("bypass", "new_taken", TakenRow)
MISSED = Statement("bypass", "missed", TimesRow)
UNVERIFIED_UNTIL = Statement("bypass", "unverified_until", UnverifiedUntilRow)
FOUND = Statement("bypass", "found")
KEEP_WATCH = Statement("bypass", "keep_watch")
TO_REPAIR = Statement("bypass", "to_repair", str)
REPAIRED = Statement("bypass", "repaired", str)
CLOCK = Statement("bypass", "clock", float)
COUNTS = Statement("bypass", "counts", CountRow)
