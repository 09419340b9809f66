"""Statements of queries/report.sql."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sql.statement import Single, Statement


class CollectionRow(NamedTuple):
    collection: str
    database: str
    edge: bool
    relation: str
    stage: str
    weight: int
    stage_since: datetime
    compared: int
    mismatched: int
    undecided: int
    unsupported: int
    shapes: int
    shapes_compared: int


class CountsRow(NamedTuple):
    documents: int
    tombstones: int
    disk: int


class RunRow(NamedTuple):
    id: int
    kind: str
    mode: str
    state: str
    started_at: datetime
    finished_at: datetime | None
    result: str
    seconds: float
    documents: int
    bytes: int
    chunks: int
    done: int


class MismatchRow(NamedTuple):
    id: int
    kind: str
    paths: list[str]
    state: str
    seen: int
    first_seen: datetime
    last_seen: datetime
    keys: int


class MismatchCountRow(NamedTuple):
    state: str
    found: int


class DeadLetterRow(NamedTuple):
    key: str
    reason: str


class UnverifiedRow(NamedTuple):
    reason: str
    seen: int


class UncoveredRow(NamedTuple):
    collection: str
    endpoint: str
    reason: str
    seen: int


class EpochRow(NamedTuple):
    epoch: int
    opened_at: datetime
    closed_at: datetime | None
    outcome: str
    actor: str
    reason: str | None
    moves: str


class OrphansRow(NamedTuple):
    with_user: int
    documents: int
    users: int
    ids: list[str] | None


COLLECTIONS = Statement("report", "collections", CollectionRow)
COUNTS = Single("report", "counts", CountsRow)
RUNS = Statement("report", "runs", RunRow)
RUN_COUNT = Single("report", "run_count", int)
MISMATCHES = Statement("report", "mismatches", MismatchRow)
MISMATCH_COUNTS = Statement("report", "mismatch_counts", MismatchCountRow)
DEAD_LETTERS = Statement("report", "dead_letters", DeadLetterRow)
UNVERIFIED = Statement("report", "unverified", UnverifiedRow)
UNCOVERED = Statement("report", "uncovered", UncoveredRow)
EPOCHS = Statement("report", "epochs", EpochRow)
USERS = Statement("report", "users", str)
ORPHANS = Single("report", "orphans", OrphansRow)
