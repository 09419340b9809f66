"""Summaries of runs: counts of a verification; status, rate and remaining time; as text and as JSON. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

CLASSES = ("missing", "extra", "stale", "different")
SAMPLES = 20  # keys kept of each class


@dataclass(frozen=True, slots=True)
class VerificationTally:
    """Counts of a verification so far: one tally for each chunk, and their sum for the run.

    origin, target: documents read on each side; checked: keys compared. missing, extra, stale, different: confirmed
    differences. undecided: keys that kept changing, or that the mirror did not reach in time. repaired: differences
    that a repair removed. remaining: differences left, undecided ones included, since they were never seen equal (I9).
    keys: some keys of each class. pending: keys to recheck, with the target's revision if the origin did not return the
    key (else None).
    """

    origin: int = 0
    target: int = 0
    checked: int = 0
    missing: int = 0
    extra: int = 0
    stale: int = 0
    different: int = 0
    undecided: int = 0
    repaired: int = 0
    remaining: int = 0
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pending: Mapping[str, int | None] = field(default_factory=dict)

    def found(self, kind: str, key: str) -> VerificationTally:
        """Return the tally with one more confirmed difference of class `kind` (or `undecided`)."""
        counted: dict[str, Any] = {kind: getattr(self, kind) + 1}
        return replace(self, keys=_merged(self.keys, {kind: (key,)}), **counted)

    def __add__(self, other: VerificationTally) -> VerificationTally:
        sums: dict[str, Any] = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        return VerificationTally(keys=_merged(self.keys, other.keys), pending={**self.pending, **other.pending}, **sums)

    def as_json(self) -> dict[str, Any]:
        """Return the value for _crossfade.chunk.result, which `from_json` reads."""
        values: dict[str, Any] = {name: getattr(self, name) for name in _COUNTS}
        values["keys"] = {kind: list(keys) for kind, keys in self.keys.items()}
        values["pending"] = dict(self.pending)
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> VerificationTally:
        counts: dict[str, Any] = {name: values.get(name, 0) for name in _COUNTS}
        keys = {kind: tuple(found) for kind, found in values.get("keys", {}).items()}
        return cls(keys=keys, pending=dict(values.get("pending", {})), **counts)

    def result(self) -> dict[str, Any]:
        """Return the value for _crossfade.run.result, read by gates and reports. `differences`: those that remain."""
        return {
            "documents_origin": self.origin,
            "documents_target": self.target,
            "checked": self.checked,
            **{kind: getattr(self, kind) for kind in CLASSES},
            "undecided": self.undecided,
            "repaired": self.repaired,
            "differences": self.remaining,
            "keys": {kind: list(keys) for kind, keys in self.keys.items()},
        }


_COUNTS = ("origin", "target", "checked", *CLASSES, "undecided", "repaired", "remaining")


def _merged(left: Mapping[str, tuple[str, ...]], right: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {kind: (left.get(kind, ()) + right.get(kind, ()))[:SAMPLES] for kind in {**left, **right}}


@dataclass(frozen=True, slots=True)
class WorkerProgress:
    """Progress of one worker. chunk: its number; documents: done of `expected`; waiting: why it waits, or None."""

    worker: str
    chunk: int
    documents: int
    expected: int
    waiting: str | None = None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The status of a run. planned: documents that the origin reported when it started; seconds: since then.

    waiting: why workers wait at the moment; reasons: what else delays the run (a chunk that was released, the work
    after the last chunk); workers: progress of each. A run that makes no progress always gives a reason.
    """

    run: int
    collection: str
    kind: str
    mode: str
    state: str
    documents: int
    bytes: int
    chunks: int
    done: int
    claimed: int
    seconds: float
    planned: int
    result: Mapping[str, Any] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    workers: tuple[WorkerProgress, ...] = ()

    @property
    def share(self) -> float:
        """The finished share, from 0 to 1; 1 only if the run is done."""
        if self.state == "done":
            return 1.0
        return min(self.documents / self.planned, 0.999) if self.planned else 0.0

    @property
    def waits_for(self) -> tuple[str, ...]:
        """The reasons for which an open run waits; empty while workers make progress."""
        if self.state != "open":
            return ()
        if self.waiting or self.reasons or self.claimed:
            return (*self.waiting, *self.reasons)
        return ("for a worker: `crossfade backfill run` or `crossfade backfill worker`",)

    def as_json(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "collection": self.collection,
            "kind": self.kind,
            "mode": self.mode,
            "state": self.state,
            "documents": self.documents,
            "bytes": self.bytes,
            "planned": self.planned,
            "chunks": self.chunks,
            "chunks_done": self.done,
            "workers": self.claimed,
            "throttled": list(self.waiting),
            "waits_for": list(self.waits_for),
            "seconds": round(self.seconds, 3),
            "result": dict(self.result),
        }


class Rate:
    """Documents per second over the last `window` seconds, from which the remaining time is estimated."""

    def __init__(self, window: float = 10.0) -> None:
        self._window = window
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, at: float, documents: int) -> None:
        """Record the number of documents done. at: seconds of a monotonic clock."""
        self._samples.append((at, documents))
        while len(self._samples) > 2 and self._samples[1][0] <= at - self._window:
            self._samples.popleft()

    @property
    def value(self) -> float:
        if len(self._samples) < 2:
            return 0.0
        (first, before), (last, after) = self._samples[0], self._samples[-1]
        return (after - before) / (last - first) if last > first else 0.0

    def left(self, planned: int) -> float | None:
        """Return the seconds until `planned` documents are done, or None if the rate is unknown."""
        if not self._samples or self.value <= 0:
            return None
        return max(0.0, (planned - self._samples[-1][1]) / self.value)


def duration(seconds: float | None) -> str:
    """Return `4 s`, `2 min 05 s`, `1 h 10 min`; `?` if unknown."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def line(status: RunSummary, rate: float = 0.0, left: float | None = None) -> str:
    """Return one run as one line of plain text."""
    what = status.kind if status.kind == "backfill" else f"{status.kind} {status.mode}"
    text = f"{what} {status.collection}: run {status.run} {status.state}, {status.documents:,}"
    if status.state == "open":
        text += f" of about {status.planned:,} documents ({100 * status.share:.0f} %), {rate:,.0f}/s"
        why = f"; waits: {', '.join(status.waits_for)}" if status.waits_for else ""
        return f"{text}, {duration(left)} left, {status.claimed} workers{why}"
    mean = status.documents / status.seconds if status.seconds > 0 else 0.0
    text += f" documents in {duration(status.seconds)} ({mean:,.0f}/s)"
    if status.result.get("error"):
        return f"{text}: {status.result['error']}"
    return text + _outcome(status)


def _outcome(status: RunSummary) -> str:
    result = status.result
    if status.kind == "backfill":
        dead = result.get("dead_letters", 0)
        return f"; {dead:,} documents that PostgreSQL refuses are dead letters" if dead else ""
    parts = [f"{result.get(kind, 0):,} {kind}" for kind in (*CLASSES, "undecided") if result.get(kind)]
    found = ", ".join(parts) if parts else "equal"
    repaired = f"; {result['repaired']:,} repaired" if result.get("repaired") else ""
    left = result.get("differences", 0)
    part = ""
    if status.kind == "check":
        # always print which share was checked, so that a partial check is not read as a complete one
        share = 100 * result.get("checked", 0) / max(1, status.planned)
        part = f" of {status.planned:,} ({share:.2g} %)"
    return f"; {result.get('checked', 0):,} keys{part} checked: {found}{repaired}" + (
        f"; {left:,} still differ" if left else ""
    )


def samples(results: Iterable[RunSummary]) -> list[str]:
    """Return a line with some keys for each class of difference."""
    return [
        f"  {status.collection} {kind}: {', '.join(keys)}"
        for status in results
        for kind, keys in status.result.get("keys", {}).items()
        if keys
    ]
