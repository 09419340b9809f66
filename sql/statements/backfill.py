"""Statements of queries/backfill.sql."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sql.statement import Single, Statement
from sql.statements.documents import KeyRevisionRow


class ClaimRow(NamedTuple):
    run: int
    number: int
    lower: str | None
    upper: str | None
    position: str | None
    shard: str | None
    result: str
    collection: str
    kind: str
    mode: str
    repair: bool
    database: str
    name: str
    relation: str
    stage: str


class DivisibleChunkRow(NamedTuple):
    run: int
    number: int
    lower: str | None
    upper: str | None
    position: str | None
    database: str
    name: str


class RunRow(NamedTuple):
    id: int
    collection: str
    kind: str
    mode: str
    state: str
    result: str
    database: str
    name: str
    relation: str
    left_mirror: bool


class ChunkRow(NamedTuple):
    documents: int
    bytes: int
    result: str


class RunProgressRow(NamedTuple):
    id: int
    collection: str
    kind: str
    mode: str
    state: str
    result: str
    seconds: float
    documents: int
    bytes: int
    chunks: int
    done: int
    claimed: int
    waiting: str
    handed_back: str
    workers: str


class DigestRow(NamedTuple):
    key: str
    rev: int
    digest: bytes
    intact: bool | None


class DocumentRow(NamedTuple):
    key: str
    rev: int
    raw: str
    doc: str


class CaughtUpRow(NamedTuple):
    now: datetime
    until: datetime


class ThrottleRow(NamedTuple):
    max_rate: float | None
    max_lag: float | None
    max_replica_lag: float | None
    max_slowdown: float | None
    flag_file: str | None
    paused: bool
    changed_by: str | None
    lag: float
    workers: int
    replica_lag: float | None


class VerifiedRangeRow(NamedTuple):
    lower: str | None
    upper: str | None
    failed: bool
    changed: bool


class NewestVerificationRow(NamedTuple):
    id: int
    began: int


WRONG_MAPPING = Statement("backfill", "wrong_mapping", str)
ERA = Single("backfill", "era", int)
FENCE_MARKS = Statement("backfill", "fence_marks")
OPEN_RUN = Statement("backfill", "open_run", int)
SUPERSEDE = Statement("backfill", "supersede")
BEGIN_RUN = Single("backfill", "begin_run", int)
ADD_CHUNKS = Statement("backfill", "add_chunks")
CLAIM = Statement("backfill", "claim", ClaimRow)
HOLD = Single("backfill", "hold", bool)
CHECKPOINT = Statement("backfill", "checkpoint", int)
HELD_RANGE = Statement("backfill", "held_range", str)
RENEW = Statement("backfill", "renew", int)
LEAVE_CHUNK = Statement("backfill", "leave_chunk", int)
START_OVER = Statement("backfill", "start_over", int)
DIVISIBLE = Statement("backfill", "divisible", DivisibleChunkRow)
LOCK_SPLIT = Single("backfill", "lock_split", bool)
SPLIT = Statement("backfill", "split", int)
FINISHABLE = Statement("backfill", "finishable", int)
RUN = Statement("backfill", "run", RunRow)
CHUNKS = Statement("backfill", "chunks", ChunkRow)
END_RUN = Statement("backfill", "end_run", int)
STATES = Statement("backfill", "states", RunProgressRow)
OPEN_RUNS = Statement("backfill", "open_runs", int)
LATEST = Statement("backfill", "latest", int)
NOTE_WAIT = Statement("backfill", "note_wait")
LOCK_RUN = Single("backfill", "lock_run", bool)
UNLOCK_RUN = Single("backfill", "unlock_run", bool)
TARGET_REVISIONS = Statement("backfill", "target_revisions", KeyRevisionRow)
TARGET_DIGESTS = Statement("backfill", "target_digests", DigestRow)
TARGET_DOCUMENTS = Statement("backfill", "target_documents", DocumentRow)
MIRROR_CAUGHT_UP = Single("backfill", "mirror_caught_up", CaughtUpRow)
LOCK_REQUESTS = Statement("backfill", "lock_requests")
DUE_VERIFICATIONS = Statement("backfill", "due_verifications", str)
THROTTLE = Single("backfill", "throttle", ThrottleRow)
LOCK_THROTTLE = Single("backfill", "lock_throttle", bool)
SET_THROTTLE = Statement("backfill", "set_throttle")
RANGES_TO_LOOK_AT = Statement("backfill", "ranges_to_look_at", VerifiedRangeRow)
NEWEST_VERIFICATION = Statement("backfill", "newest_verification", NewestVerificationRow)
