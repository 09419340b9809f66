"""Statements of queries/out_of_band.sql."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sql.statement import Single, Statement
from sql.statements.documents import KeyRevisionRow


class TableTailRow(NamedTuple):
    relation: str
    place: str


class WatchRow(NamedTuple):
    mode: str
    since: datetime
    behind: float
    note: str


class OutOfBandWriteRow(NamedTuple):
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


class CompleteUntilRow(NamedTuple):
    complete_until: float | None
    behind: list[str]


class ReportedWriteRow(NamedTuple):
    id: int
    collection: str
    revisions: list[int]
    keys: list[str]
    whole_collection: bool
    reported_at: float


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


RELATION = Statement("out_of_band", "relation", TableTailRow)
NEWEST = Statement("out_of_band", "newest", KeyRevisionRow)
WATCH_OF = Statement("out_of_band", "watch_of", WatchRow)
OUT_OF_BAND_WRITES = Statement("out_of_band", "out_of_band_writes", OutOfBandWriteRow)
REPORT = Statement("out_of_band", "report")
FORGET = Statement("out_of_band", "forget")
HOLD_WATCH = Single("out_of_band", "hold_watch", bool)
WATCHED = Statement("out_of_band", "watched", WatchedRow)
COMPLETE_UNTIL = Single("out_of_band", "complete_until", CompleteUntilRow)
REPORTED_SINCE = Statement("out_of_band", "reported_since", ReportedWriteRow)
MISSED = Statement("out_of_band", "missed", TimesRow)
UNVERIFIED_UNTIL = Statement("out_of_band", "unverified_until", UnverifiedUntilRow)
FOUND = Statement("out_of_band", "found")
KEEP_WATCH = Statement("out_of_band", "keep_watch")
TO_REPAIR = Statement("out_of_band", "to_repair", str)
REPAIRED = Statement("out_of_band", "repaired", str)
CLOCK = Single("out_of_band", "clock", float)
COUNTS = Statement("out_of_band", "counts", CountRow)
