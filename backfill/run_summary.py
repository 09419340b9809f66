"""What runs tell: tallies of a verification, standing, rate and time left of a run, as text and as JSON. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

CLASSES = ("missing", "extra", "stale", "different")
SAMPLES = 20  # keys kept of each class


@dataclass(frozen=True, slots=True)
class Tally:
    """What a verification has found so far. One a chunk, and their sum for the run.

    origin, target: documents seen on each side; checked: keys compared. missing, extra, stale, different: confirmed
    differences. unsettled: keys that kept changing, or that the mirror had not reached in time. repaired: differences
    that a repair removed. remaining: differences left, unsettled ones included, since nobody has seen them equal (I9).
    keys: some keys of each class. pending: keys to be looked at again, with the target's revision where the origin did
    not show the key (else None).
    """

    origin: int = 0
    target: int = 0
    checked: int = 0
    missing: int = 0
    extra: int = 0
    stale: int = 0
    different: int = 0
    unsettled: int = 0
    repaired: int = 0
    remaining: int = 0
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pending: Mapping[str, int | None] = field(default_factory=dict)

    def found(self, kind: str, key: str) -> Tally:
        """One more confirmed difference of that class (or `unsettled`)."""
        counted: dict[str, Any] = {kind: getattr(self, kind) + 1}
        return replace(self, keys=_merged(self.keys, {kind: (key,)}), **counted)

    def __add__(self, other: Tally) -> Tally:
        sums: dict[str, Any] = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        return Tally(keys=_merged(self.keys, other.keys), pending={**self.pending, **other.pending}, **sums)

    def as_json(self) -> dict[str, Any]:
        """For _crossfade.chunk.result; `from_json` reads it."""
        values: dict[str, Any] = {name: getattr(self, name) for name in _COUNTS}
        values["keys"] = {kind: list(keys) for kind, keys in self.keys.items()}
        values["pending"] = dict(self.pending)
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Tally:
        counts: dict[str, Any] = {name: values.get(name, 0) for name in _COUNTS}
        keys = {kind: tuple(found) for kind, found in values.get("keys", {}).items()}
        return cls(keys=keys, pending=dict(values.get("pending", {})), **counts)

    def result(self) -> dict[str, Any]:
        """For _crossfade.run.result, as gates and reports read it: `differences` is what is left."""
        return {
            "documents_origin": self.origin,
            "documents_target": self.target,
            "checked": self.checked,
            **{kind: getattr(self, kind) for kind in CLASSES},
            "unsettled": self.unsettled,
            "repaired": self.repaired,
            "differences": self.remaining,
            "keys": {kind: list(keys) for kind, keys in self.keys.items()},
        }


_COUNTS = ("origin", "target", "checked", *CLASSES, "unsettled", "repaired", "remaining")


def _merged(left: Mapping[str, tuple[str, ...]], right: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {kind: (left.get(kind, ()) + right.get(kind, ()))[:SAMPLES] for kind in {**left, **right}}


@dataclass(frozen=True, slots=True)
class WorkerProgress:
    """Where one worker is: its name, its chunk's number, documents done and about to be done, why it waits (None)."""

    worker: str
    chunk: int
    documents: int
    expected: int
    waiting: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run stands. planned: documents that the origin counted when it began; seconds: since then.

    waiting: why workers stand still just now; reasons: what else keeps the run from going on (a chunk that was handed
    back, what comes after the last chunk); workers: where each of them is. A run that stands still always says why.
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
        """0 to 1; 1 only where the run is done."""
        if self.state == "done":
            return 1.0
        return min(self.documents / self.planned, 0.999) if self.planned else 0.0

    @property
    def waits_for(self) -> tuple[str, ...]:
        """What an open run waits for; empty while somebody works on it unhindered."""
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
    """Documents a second over the last `window` seconds: what time left is told from."""

    def __init__(self, window: float = 10.0) -> None:
        self._window = window
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, at: float, documents: int) -> None:
        """at: seconds of a monotonic clock."""
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
        """Seconds until `planned` documents are done; None where the rate does not tell."""
        if not self._samples or self.value <= 0:
            return None
        return max(0.0, (planned - self._samples[-1][1]) / self.value)


def duration(seconds: float | None) -> str:
    """`4 s`, `2 min 05 s`, `1 h 10 min`; `?` where unknown."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def line(standing: Standing, rate: float = 0.0, left: float | None = None) -> str:
    """One run in one line of plain text."""
    what = standing.kind if standing.kind == "backfill" else f"{standing.kind} {standing.mode}"
    text = f"{what} {standing.collection}: run {standing.run} {standing.state}, {standing.documents:,}"
    if standing.state == "open":
        text += f" of about {standing.planned:,} documents ({100 * standing.share:.0f} %), {rate:,.0f}/s"
        why = f"; waits: {', '.join(standing.waits_for)}" if standing.waits_for else ""
        return f"{text}, {duration(left)} left, {standing.claimed} workers{why}"
    mean = standing.documents / standing.seconds if standing.seconds > 0 else 0.0
    text += f" documents in {duration(standing.seconds)} ({mean:,.0f}/s)"
    if standing.result.get("error"):
        return f"{text}: {standing.result['error']}"
    return text + _outcome(standing)


def _outcome(standing: Standing) -> str:
    result = standing.result
    if standing.kind == "backfill":
        dead = result.get("dead_letters", 0)
        return f"; {dead:,} documents that PostgreSQL refuses are set aside" if dead else ""
    parts = [f"{result.get(kind, 0):,} {kind}" for kind in (*CLASSES, "unsettled") if result.get(kind)]
    found = ", ".join(parts) if parts else "equal"
    repaired = f"; {result['repaired']:,} repaired" if result.get("repaired") else ""
    left = result.get("differences", 0)
    part = ""
    if standing.kind == "check":
        # a part is never called the whole: how much of it was looked at is said each time
        share = 100 * result.get("checked", 0) / max(1, standing.planned)
        part = f" of {standing.planned:,} ({share:.2g} %)"
    return f"; {result.get('checked', 0):,} keys{part} checked: {found}{repaired}" + (
        f"; {left:,} differ still" if left else ""
    )


def samples(results: Iterable[Standing]) -> list[str]:
    """Some keys of each class of difference, a line each."""
    return [
        f"  {standing.collection} {kind}: {', '.join(keys)}"
        for standing in results
        for kind, keys in standing.result.get("keys", {}).items()
        if keys
    ]
