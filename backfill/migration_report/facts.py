"""The report as values, with verdicts and totals. Pure. Times are ISO 8601 in UTC, sizes bytes, durations seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

Tone = Literal["good", "bad", "open"]


@dataclass(frozen=True, slots=True)
class CopyFacts:
    """One database's copy of a collection. None: not read; error: why it could not be read.

    checksum: of the set of documents as printed (backfill/checksum.py); the same on both sides if these are equal byte
    for byte.
    """

    documents: int | None = None
    bytes: int | None = None
    checksum: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A backfill or a verification. found: confirmed differences by class; left: differences that remain."""

    id: int
    kind: str
    mode: str
    state: str
    started_at: str
    finished_at: str | None
    seconds: float
    documents: int
    bytes: int
    chunks: int
    chunks_done: int
    checked: int | None = None
    found: Mapping[str, int] = field(default_factory=dict)
    repaired: int = 0
    left: int | None = None
    error: str | None = None

    @property
    def rate(self) -> float:
        """Documents per second."""
        return self.documents / self.seconds if self.seconds > 0 else 0.0

    @property
    def byte_rate(self) -> float:
        """Bytes per second."""
        return self.bytes / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class MismatchFacts:
    """One mismatch that shadow comparisons found, by its fingerprint."""

    id: int
    kind: str
    paths: tuple[str, ...]
    state: str
    seen: int
    keys: int
    first_seen: str
    last_seen: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that was not copied, captured or compared. kind: gap, unverified, dead letter, undecided, …"""

    kind: str
    what: str
    count: int
    why: str


@dataclass(frozen=True, slots=True)
class Orphans:
    """Documents whose user_id is not the id of a user. with_user: documents that have a user_id."""

    table: str
    with_user: int
    documents: int
    users: int
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CollectionFacts:
    """One collection."""

    collection: str
    relation: str
    edge: bool
    stage: str
    weight: int
    stage_since: str
    origin: CopyFacts
    target: CopyFacts
    tombstones: int | None
    disk: int | None
    compared: int
    mismatched: int
    shapes: int
    shapes_compared: int
    runs: tuple[RunFacts, ...]
    more_runs: int
    mismatches: tuple[MismatchFacts, ...]
    mismatch_states: Mapping[str, int]
    left_out: tuple[LeftOut, ...]
    orphans: Orphans | None

    def newest(self, kind: str, state: str = "done") -> RunFacts | None:
        return next((run for run in self.runs if run.kind == kind and run.state == state), None)

    @property
    def repaired(self) -> int:
        return sum(run.repaired for run in self.runs)


@dataclass(frozen=True, slots=True)
class EpochFacts:
    """One change of stages. moves: `shop/carts: shadow -> flipped 10 %`."""

    epoch: int
    opened_at: str
    closed_at: str | None
    outcome: str
    actor: str
    reason: str | None
    moves: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One row of the audit."""

    id: int
    at: str
    actor: str
    action: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class AuditFacts:
    """The audit and its hash chain. head: hash of the last valid row, in hex; broken: id of the first invalid row."""

    rows: int
    head: str
    broken: int | None
    why: str
    newest: tuple[AuditEntry, ...]


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """One proxy."""

    instance: str
    state: str
    host: str
    version: str
    joined_at: str
    backlog: int
    lag_seconds: float


@dataclass(frozen=True, slots=True)
class SettingFacts:
    """One setting, with secrets hidden. changed: it differs from the default."""

    name: str
    value: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """All facts of a report. at: when they were read; checksums: whether they were computed."""

    at: str
    seconds: float
    checksums: bool
    collections: tuple[CollectionFacts, ...]
    epochs: tuple[EpochFacts, ...]
    audit: AuditFacts
    instances: tuple[InstanceFacts, ...]
    settings: tuple[SettingFacts, ...]
    versions: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on a collection: a word, a sentence, and a tone for colours."""

    tone: Tone
    word: str
    sentence: str


def verdict(one: CollectionFacts) -> Verdict:
    """Judge whether both sides are equal, by the strongest evidence available. Without evidence it is never good."""
    origin, target = one.origin, one.target
    for side, name in ((origin, "ArangoDB"), (target, "PostgreSQL")):
        if side.error is not None:
            return Verdict("bad", "unknown", f"{name} could not be read: {side.error}")
    if origin.checksum is not None and target.checksum is not None:
        if origin.checksum == target.checksum and origin.documents == target.documents:
            return Verdict("good", "equal", "Both sides have the same documents, byte for byte.")
        return Verdict(
            "bad",
            "different",
            "The checksums differ. Both sides were read one after the other: if services write meanwhile, only "
            "`crossfade verify --full` can decide.",
        )
    checked = one.newest("verify")
    if checked is None:
        return Verdict("open", "not verified", "No verification has been done, and no checksums were computed.")
    if checked.left != 0:
        return Verdict("bad", "different", f"Run {checked.id} left {checked.left} differences.")
    if any(item.kind == "unverified" for item in one.left_out):
        return Verdict("open", "unverified", f"Equal in run {checked.id}; a later write may not have been captured.")
    return Verdict(
        "good", "verified", f"Equal in run {checked.id} ({checked.mode}), which ended {checked.finished_at}."
    )


@dataclass(frozen=True, slots=True)
class Total:
    """Figures over all collections."""

    collections: int
    good: int
    origin: int
    target: int
    open_mismatches: int
    repaired: int
    dead_letters: int
    orphans: int


def total(facts: Facts) -> Total:
    found = facts.collections
    return Total(
        collections=len(found),
        good=sum(verdict(one).tone == "good" for one in found),
        origin=sum(one.origin.documents or 0 for one in found),
        target=sum(one.target.documents or 0 for one in found),
        open_mismatches=sum(one.mismatch_states.get("open", 0) for one in found),
        repaired=sum(one.repaired for one in found),
        dead_letters=sum(item.count for one in found for item in one.left_out if item.kind == "dead letter"),
        orphans=sum(one.orphans.documents for one in found if one.orphans is not None),
    )


def as_json(facts: Facts) -> dict[str, Any]:
    """Return the facts with verdicts, totals and rates."""
    values: dict[str, Any] = msgspec.to_builtins(facts)
    values["versions"] = dict(facts.versions)
    values["total"] = msgspec.to_builtins(total(facts))
    for written, one in zip(values["collections"], facts.collections, strict=True):
        written["verdict"] = msgspec.to_builtins(verdict(one))
        for row, run in zip(written["runs"], one.runs, strict=True):
            row["documents_per_second"] = round(run.rate, 1)
            row["bytes_per_second"] = round(run.byte_rate, 1)
    return values
