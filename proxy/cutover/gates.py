"""Gates: conditions for a flip, each pass, fail or inconclusive, from values that were read before. Pure.

No data is inconclusive and never a pass (I9); a flip needs pass on all. What each looks at: DESIGN section 9, "Gates".
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from proxy.cutover.stages import Standing


class Verdict(enum.StrEnum):
    PASSED = "pass"
    FAILED = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate's answer. figures: what was found; threshold: what it takes; remedy: what to do, empty on pass.

    protects_reads: it keeps I7, and no `--force` goes past it.
    """

    name: str
    verdict: Verdict
    figures: str
    threshold: str
    remedy: str = ""
    protects_reads: bool = False


@dataclass(frozen=True, slots=True)
class RunFact:
    """A backfill or verification that is done. unverified_before: marks up to that id are covered by it."""

    id: int
    started_at: datetime
    unverified_before: int
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MarkFact:
    """The newest mark that says that the collection (or its database) may have missed a write."""

    id: int
    reason: str
    instance: str


@dataclass(frozen=True, slots=True)
class InstanceFact:
    """A registered instance; seconds in PostgreSQL's time."""

    instance: str
    lease_left: float
    heartbeat_age: float
    generation: int
    diverged: bool
    backlog: int
    lag_seconds: float


@dataclass(frozen=True, slots=True)
class GapFact:
    """An endpoint that was neither captured nor compared, for this collection or its whole database."""

    endpoint: str
    effect: str
    seen: int
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that the gates of one collection look at. Counts of comparisons are since `since`."""

    collection: str
    standing: Standing
    generation: int
    instances: tuple[InstanceFact, ...]
    backfill: RunFact | None
    verification: RunFact | None
    open_runs: tuple[str, ...]
    mark: MarkFact | None
    last_joined: datetime | None
    since: datetime | None
    compared: int
    mismatched: int
    unsettled: int
    open_mismatches: int
    dead_letters: int
    unsupported: tuple[str, ...]
    gaps: tuple[GapFact, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """What the gates measure by."""

    comparisons: int = 3000
    lag_seconds: float = 5.0
    unsettled_share: float = 0.001


# what differs between both sides, as a verification counts it
_DIFFERENCES: Final = ("missing", "extra", "stale", "different")
# passed through, and served by the origin after a flip as well: nothing can differ
_HARMLESS: Final = frozenset({"passthrough", "control"})


def evaluate(evidence: Evidence, limits: Limits) -> tuple[Gate, ...]:
    """All gates of one collection, in the order in which an operator goes through them."""
    return tuple(gate(evidence, limits) for gate in _GATES)


def missing_gates(collection: str) -> tuple[Gate, ...]:
    """The one gate of a collection that the control plane does not know."""
    return (
        Gate(
            "registered",
            Verdict.FAILED,
            "not known",
            "registered",
            f"`crossfade mirror {collection}` begins to mirror it",
            protects_reads=True,
        ),
    )


def passed(gates: Sequence[Gate]) -> bool:
    return bool(gates) and all(gate.verdict is Verdict.PASSED for gate in gates)


def blocking(gates: Sequence[Gate], *, force: bool) -> tuple[Gate, ...]:
    """Those that forbid a flip; with force only those that keep I7."""
    return tuple(g for g in gates if g.verdict is not Verdict.PASSED and (g.protects_reads or not force))


def differences(result: Mapping[str, Any]) -> int | None:
    """How much differed in a verification; None where its result does not say."""
    if isinstance(result.get("differences"), int):
        return int(result["differences"])
    counts = [result[name] for name in _DIFFERENCES if isinstance(result.get(name), int)]
    return sum(counts) if counts else None


def _backfilled(evidence: Evidence, _: Limits) -> Gate:
    threshold = "a backfill that began after the mirror, done"
    run = evidence.backfill
    if run is not None:
        return Gate("backfilled", Verdict.PASSED, f"run {run.id} is done", threshold)
    remedy = f"`crossfade backfill {evidence.collection}`"
    if "backfill" in evidence.open_runs:
        return Gate("backfilled", Verdict.INCONCLUSIVE, "a backfill is under way", threshold, f"wait for it: {remedy}")
    return Gate("backfilled", Verdict.FAILED, "no backfill is done", threshold, remedy)


def _verified(evidence: Evidence, _: Limits) -> Gate:
    threshold = "0 differences, begun after the last instance joined"
    name, again = "verified", f"`crossfade verify {evidence.collection}`"
    run = evidence.verification
    if run is None:
        return Gate(name, Verdict.INCONCLUSIVE, "no verification is done", threshold, again)
    found = differences(run.result)
    if found is None:
        return Gate(name, Verdict.INCONCLUSIVE, f"run {run.id} says no differences", threshold, again)
    if found:
        remedy = f"`crossfade verify {evidence.collection} --repair`, then verify again"
        return Gate(name, Verdict.FAILED, f"run {run.id} found {found} differences", threshold, remedy)
    if evidence.backfill is not None and run.started_at < evidence.backfill.started_at:
        return Gate(name, Verdict.INCONCLUSIVE, f"run {run.id} is older than the backfill", threshold, again)
    if evidence.last_joined is not None and run.started_at < evidence.last_joined:
        figures = f"run {run.id} began before the last instance joined"
        remedy = f"{again}: before it joined, writes could go around the proxy"
        return Gate(name, Verdict.INCONCLUSIVE, figures, threshold, remedy)
    return Gate(name, Verdict.PASSED, f"run {run.id} found 0 differences", threshold)


def _covered(evidence: Evidence, _: Limits) -> Gate:
    name, threshold = "nothing unverified", "no mark newer than the last verification"
    mark, run = evidence.mark, evidence.verification
    if mark is None:
        return Gate(name, Verdict.PASSED, "no mark", threshold)
    if run is not None and run.unverified_before >= mark.id:
        return Gate(name, Verdict.PASSED, f"marks up to {mark.id} are covered by run {run.id}", threshold)
    figures = f"mark {mark.id}: {mark.reason} (instance {mark.instance})"
    return Gate(name, Verdict.FAILED, figures, threshold, f"`crossfade verify {evidence.collection}`")


def _caught_up(evidence: Evidence, limits: Limits) -> Gate:
    # That the backlog is empty is what every instance acknowledges in the epoch's first phase: under traffic no look
    # from outside can tell. Here it must be so small that this will not take long.
    name, threshold = "caught up", f"lag at most {limits.lag_seconds:g} s on every instance"
    if not evidence.instances:
        return Gate(name, Verdict.INCONCLUSIVE, "no instance", threshold, "start a proxy", protects_reads=True)
    backlog = sum(i.backlog for i in evidence.instances)
    worst = max(evidence.instances, key=lambda i: i.lag_seconds)
    figures = f"backlog {backlog}, lag {worst.lag_seconds:.1f} s"
    if worst.lag_seconds > limits.lag_seconds:
        remedy = f"wait until {worst.instance} has drained; see `crossfade instances` and its PostgreSQL"
        return Gate(name, Verdict.FAILED, figures, threshold, remedy, protects_reads=True)
    return Gate(name, Verdict.PASSED, figures, threshold, protects_reads=True)


def _matching(evidence: Evidence, limits: Limits) -> Gate:
    name, n = "no mismatch", limits.comparisons
    threshold = f"0 of at least {n} comparisons (true rate at most {3 / n:.2%} at 95 %)"
    figures = f"{evidence.mismatched} of {evidence.compared}"
    if evidence.mismatched or evidence.open_mismatches:
        figures += f", {evidence.open_mismatches} kinds open"
        remedy = f"`crossfade mismatches list {evidence.collection}`; then repair or ignore what it shows"
        return Gate(name, Verdict.FAILED, figures, threshold, remedy)
    if evidence.compared < n:
        remedy = f"{n - evidence.compared} comparisons are missing: keep it at stage shadow under traffic"
        return Gate(name, Verdict.INCONCLUSIVE, figures, threshold, remedy)
    return Gate(name, Verdict.PASSED, f"{figures} (true rate at most {3 / evidence.compared:.2%})", threshold)


def _settled(evidence: Evidence, limits: Limits) -> Gate:
    name, threshold = "settled", f"at most {limits.unsettled_share:.1%} of comparisons unsettled"
    if not evidence.compared:
        remedy = "keep it at stage shadow under traffic"
        return Gate(name, Verdict.INCONCLUSIVE, "no comparison", threshold, remedy)
    figures = f"{evidence.unsettled} of {evidence.compared}"
    if evidence.unsettled > limits.unsettled_share * evidence.compared:
        remedy = "documents change faster than both sides can be read: raise CROSSFADE_SETTLE_SECONDS, or see the lag"
        return Gate(name, Verdict.FAILED, figures, threshold, remedy)
    return Gate(name, Verdict.PASSED, figures, threshold)


def _held(evidence: Evidence, _: Limits) -> Gate:
    name, threshold = "no dead letter", "0 documents that PostgreSQL could not hold"
    if not evidence.dead_letters:
        return Gate(name, Verdict.PASSED, "0", threshold)
    remedy = "see the reason in crossfade.dead_letter, change the documents; the next write of each clears it"
    return Gate(name, Verdict.FAILED, str(evidence.dead_letters), threshold, remedy)


# What an opaque write of unknown extent may have touched is marked, collection by collection: `nothing unverified` sees
# to those. Here are the gaps that name this collection, or its whole database.
def _supported(evidence: Evidence, _: Limits) -> Gate:
    name, threshold = "no gap", "everything that was seen is captured or compared (I10)"
    found = [f"unsupported: {text[:80]}" for text in evidence.unsupported]
    found += [f"{gap.endpoint} ({gap.effect}, {gap.seen} times)" for gap in evidence.gaps if _matters(gap, evidence)]
    if not found:
        return Gate(name, Verdict.PASSED, "none", threshold)
    shown = "; ".join(found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")
    remedy = (
        "`crossfade status` names them: writes need a verification after the last one; reads that cannot be compared "
        "go to ArangoDB after a flip as well, so waive them with --force --reason"
    )
    return Gate(name, Verdict.FAILED, shown, threshold, remedy)


def _matters(gap: GapFact, evidence: Evidence) -> bool:
    if gap.effect in _HARMLESS:
        return False
    run = evidence.verification
    return run is None or gap.last_seen >= run.started_at


def _current(evidence: Evidence, _: Limits) -> Gate:
    name, threshold = "instances current", "every registered instance fresh, on this generation, none diverged"
    if not evidence.instances:
        remedy = "start a proxy: without one nobody serves the flip"
        return Gate(name, Verdict.FAILED, "no instance", threshold, remedy, protects_reads=True)
    for instance in evidence.instances:
        if instance.diverged:
            figures = f"{instance.instance} is diverged"
            remedy = "see its log and PostgreSQL; remove the file origin-only from its state directory if it is there"
        elif instance.lease_left <= 0:
            figures = f"{instance.instance} is silent for {instance.heartbeat_age:.1f} s"
            remedy = f"start it again, or `crossfade instances evict {instance.instance} --confirmed-stopped`"
        elif instance.generation != evidence.generation:
            figures = f"{instance.instance} is at generation {instance.generation}, not {evidence.generation}"
            remedy = "wait a moment; it learns the new generation with its next heartbeat"
        else:
            continue
        return Gate(name, Verdict.FAILED, figures, threshold, remedy, protects_reads=True)
    return Gate(name, Verdict.PASSED, f"{len(evidence.instances)} fresh", threshold, protects_reads=True)


_GATES: Final[tuple[Callable[[Evidence, Limits], Gate], ...]] = (
    _backfilled,
    _verified,
    _covered,
    _caught_up,
    _matching,
    _settled,
    _held,
    _supported,
    _current,
)
