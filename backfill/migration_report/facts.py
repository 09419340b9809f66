"""The report as values, and what follows from them. Pure; times are ISO 8601 in UTC, sizes bytes, durations seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

Tone = Literal["good", "bad", "open"]


@dataclass(frozen=True, slots=True)
class Side:
    """One database's copy of a collection. None: not looked at; error: why it could not be.

    checksum: of the set of documents as printed (backfill/archive/digest.py), the same on both sides where they are
    equal byte for byte.
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
        """Documents a second."""
        return self.documents / self.seconds if self.seconds > 0 else 0.0

    @property
    def byte_rate(self) -> float:
        """Bytes a second."""
        return self.bytes / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class MismatchFacts:
    """One fingerprint that the shadow found."""

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
    """Something that was not copied, captured or compared. kind: gap, unverified, dead letter, unsettled, …"""

    kind: str
    what: str
    count: int
    why: str


@dataclass(frozen=True, slots=True)
class Orphans:
    """Documents whose user_id names no user. with_user: documents that have a user_id."""

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
    origin: Side
    target: Side
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
class AuditRow:
    """One row of the audit."""

    id: int
    at: str
    actor: str
    action: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class AuditFacts:
    """The audit and its chain. head: hash of the last good row, in hex; broken: the first row that does not fit."""

    rows: int
    head: str
    broken: int | None
    why: str
    newest: tuple[AuditRow, ...]


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
    """One setting, secrets hidden. changed: it is not the default."""

    name: str
    value: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything in a report. at: when it was read; checksums: whether they were computed."""

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
    """What a collection comes to: a word, a sentence, and how it looks."""

    tone: Tone
    word: str
    sentence: str


def verdict(one: CollectionFacts) -> Verdict:
    """Whether both sides are equal, by the best evidence there is. No evidence is never good."""
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
            "The checksums differ. Both sides were read one after the other: where services write meanwhile, only "
            "`crossfade verify --full` can tell.",
        )
    checked = one.newest("verify")
    if checked is None:
        return Verdict("open", "not verified", "No verification has been done, and no checksums were computed.")
    if checked.left != 0:
        return Verdict("bad", "different", f"Run {checked.id} left {checked.left} differences.")
    if any(item.kind == "unverified" for item in one.left_out):
        return Verdict("open", "unverified", f"Equal in run {checked.id}; writes that were not captured came after it.")
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
    """The facts, with what follows from them."""
    values: dict[str, Any] = msgspec.to_builtins(facts)
    values["versions"] = dict(facts.versions)
    values["total"] = msgspec.to_builtins(total(facts))
    for told, one in zip(values["collections"], facts.collections, strict=True):
        told["verdict"] = msgspec.to_builtins(verdict(one))
        for row, run in zip(told["runs"], one.runs, strict=True):
            row["documents_per_second"] = round(run.rate, 1)
            row["bytes_per_second"] = round(run.byte_rate, 1)
    return values
