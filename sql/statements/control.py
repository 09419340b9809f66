"""Statements of queries/control.sql."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sql.statement import Single, Statement


class RegisterRow(NamedTuple):
    registered: bool
    host: str | None
    pid: int | None
    fresh: bool
    beats: int
    synced: int
    diverged: bool


class BeatRow(NamedTuple):
    registered: bool
    now: datetime
    era: int
    generation: int
    epoch: int
    phase: str
    everyone: bool
    collections: str | None
    defaults: str | None
    moves: str | None
    absent: list[str]
    paused: bool


class ControlLockRow(NamedTuple):
    generation: int
    epoch: int
    phase: str
    moves: str | None


class ControlRow(NamedTuple):
    generation: int
    epoch: int
    phase: str
    moves: str | None
    actor: str | None
    reason: str | None
    open_seconds: float | None


class EpochOutcomeRow(NamedTuple):
    generation: int
    outcome: str | None


class CollectionStageRow(NamedTuple):
    collection: str
    stage: str
    weight: int


class DefaultStageRow(NamedTuple):
    database: str
    stage: str


class InstanceRow(NamedTuple):
    """A registered instance, or one that stopped within a day. Ages in seconds."""

    instance: str
    host: str
    pid: int
    version: str
    admin_url: str | None
    started_at: datetime
    joined_at: datetime
    stopped_at: datetime | None
    generation: int
    acknowledged: int
    diverged: bool
    backlog: int
    lag_seconds: float
    heartbeat_age: float
    lease_left: float

    @property
    def state(self) -> str:
        """Return `stopped`, `diverged`, `silent` or `live`."""
        if self.stopped_at is not None:
            return "stopped"
        if self.diverged:
            return "diverged"
        return "silent" if self.lease_left <= 0 else "live"


class WaitingInstanceRow(NamedTuple):
    instance: str
    host: str
    pid: int
    generation: int
    diverged: bool
    backlog: int
    heartbeat_age: float
    lease_left: float


class InstanceLockRow(NamedTuple):
    host: str
    pid: int
    stopped_at: datetime | None
    heartbeat_age: float
    alive: bool


class EvidenceRow(NamedTuple):
    generation: int
    backfill: str | None
    verification: str | None
    open_runs: str
    mark: str | None
    last_joined: datetime | None
    compared: int
    mismatched: int
    undecided: int
    open_mismatches: int
    dead_letters: int
    gaps: str


class StatusRow(NamedTuple):
    collection: str
    stage: str
    weight: int
    stage_since: datetime
    compared: int
    mismatched: int
    undecided: int
    open_mismatches: int
    dead_letters: int
    unverified: int
    unverified_reason: str | None
    backfill: int | None
    backfill_state: str | None
    backfill_at: datetime | None
    backfill_documents: int
    verify: int | None
    verify_state: str | None
    verify_at: datetime | None
    verify_result: str | None
    writer: str
    lacking: int


class UncoveredRow(NamedTuple):
    """Traffic that was neither captured nor compared (I10). collection is empty if it is not known."""

    database: str
    collection: str
    endpoint: str
    reason: str
    seen: int
    last_seen: datetime


class AuditEndRow(NamedTuple):
    at: datetime
    detail: str
    previous: bytes | None


class AuditRow(NamedTuple):
    id: int
    at: datetime
    actor: str
    action: str
    reason: str | None
    detail: str
    previous: bytes
    hash: bytes


REGISTER = Single("control", "register", RegisterRow)
BEAT = Single("control", "beat", BeatRow)
DEREGISTER = Statement("control", "deregister", str)
CONTROL_LOCK = Single("control", "control_lock", ControlLockRow)
CONTROL = Single("control", "control", ControlRow)
CONTROL_SET = Single("control", "control_set", int)
EPOCH_OPEN = Statement("control", "epoch_open")
EPOCH_RECORD = Statement("control", "epoch_record")
EPOCH_CLOSE = Statement("control", "epoch_close")
EPOCH_OUTCOME = Single("control", "epoch_outcome", EpochOutcomeRow)
NO_DRIVER = Single("control", "no_driver", bool)
NOTIFY = Statement("control", "notify")
HELD_TOO_LONG = Single("control", "held_too_long", bool)
COLLECTION_STAGES = Statement("control", "collection_stages", CollectionStageRow)
PRESENT = Statement("control", "present", CollectionStageRow)
PRESENT_AGAIN = Statement("control", "present_again")
DEFAULTS = Statement("control", "defaults", DefaultStageRow)
SET_COLLECTION_STAGE = Statement("control", "set_collection_stage")
SET_DEFAULT = Statement("control", "set_default")
ADOPT_DEFAULT = Statement("control", "adopt_default")
CANCEL_RUNS = Statement("control", "cancel_runs")
RESET_COMPARISON = Statement("control", "reset_comparison")
INSTANCES = Statement("control", "instances", InstanceRow)
WAITING_FOR = Statement("control", "waiting_for", WaitingInstanceRow)
BEHIND = Statement("control", "behind", str)
INSTANCE_LOCK = Statement("control", "instance_lock", InstanceLockRow)
EVICT = Statement("control", "evict")
MARK_SERVED = Statement("control", "mark_served", str)
EVIDENCE = Statement("control", "evidence", EvidenceRow)
STATUS = Statement("control", "status", StatusRow)
UNCOVERED = Statement("control", "uncovered", UncoveredRow)
AUDIT_LOCK = Statement("control", "audit_lock")
AUDIT_END = Single("control", "audit_end", AuditEndRow)
AUDIT_INSERT = Single("control", "audit_insert", int)
AUDIT_NEWEST = Statement("control", "audit_newest", AuditRow)
AUDIT_PAGE = Statement("control", "audit_page", AuditRow)
