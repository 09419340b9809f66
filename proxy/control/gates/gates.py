"""Gates: conditions for a flip, each pass, fail or inconclusive, from values that were read before. Pure.

No data is inconclusive and never a pass (I9); a flip needs pass on all. What each looks at: DESIGN section 9, "Gates".
Here are those on the copy and the instances; shape_gates has those on comparisons, outside_gates those on the origin
and on who goes around the proxies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from proxy.control.gates import origin_gates, shape_gates
from proxy.control.gates.gate_types import Evidence, GapFact, Gate, GateLimits, GateVerdict

# The gates that `--force` never goes past, and why: each of them keeps I7. Nowhere else is this decided.
KEEP_I7: Final[Mapping[str, str]] = {
    "registered": "a proxy that does not know a collection neither mirrors its writes nor holds its answers",
    "no dead letter": "PostgreSQL would answer with a version older than the one that it refused",
    "caught up": "a backlog is writes that were acknowledged and that PostgreSQL does not show yet",
    "instances in sync": "a proxy that does not behave by the epoch acknowledges writes before PostgreSQL has them",
}
# what differs between both sides, as a verification counts it
_DIFFERENCES: Final = ("missing", "extra", "stale", "different")
# passed through, and served by the origin after a flip as well: nothing can differ
_HARMLESS: Final = frozenset({"passthrough", "control"})


def evaluate(evidence: Evidence, limits: GateLimits) -> tuple[Gate, ...]:
    """All gates of one collection, in the order in which an operator goes through them."""
    return tuple(_protected(gate(evidence, limits)) for gate in _GATES)


def _protected(gate: Gate) -> Gate:
    return replace(gate, protects_reads=gate.name in KEEP_I7)


def missing_gates(collection: str) -> tuple[Gate, ...]:
    """The one gate of a collection that the control plane does not know."""
    remedy = f"`crossfade mirror {collection}` begins to mirror it"
    return (_protected(Gate("registered", GateVerdict.FAILED, "not known", "registered", remedy)),)


def passed(gates: Sequence[Gate]) -> bool:
    return bool(gates) and all(gate.verdict is GateVerdict.PASSED for gate in gates)


def blocking(gates: Sequence[Gate], *, force: bool) -> tuple[Gate, ...]:
    """Those that forbid a flip; with force only those that keep I7."""
    return tuple(g for g in gates if g.verdict is not GateVerdict.PASSED and (g.protects_reads or not force))


def refusal(gates: Mapping[str, Sequence[Gate]], *, force: bool) -> str:
    """Why a flip is refused: every gate of each collection that is held back, those that forbid it first.

    Empty where none forbids it.
    """
    lines: list[str] = []
    count = 0
    for collection, found in gates.items():
        stopped = blocking(found, force=force)
        if stopped:
            count += len(stopped)
            lines += [f"{collection}: {_said(gate, stopped, force=force)}" for gate in stopped]
            lines += [f"{collection}: {_said(gate, stopped, force=force)}" for gate in found if gate not in stopped]
    title = f"Flip blocked by {count} gate{'' if count == 1 else 's'}"
    return "\n  ".join([title, *lines]) if lines else ""


def _said(gate: Gate, stopped: Sequence[Gate], *, force: bool) -> str:
    text = f"{gate.name} is {gate.verdict} ({gate.figures})"
    if gate in stopped:
        why = f"; no --force goes past it: {KEEP_I7[gate.name]}" if force else ""
        return f"{text}: {gate.remedy}{why}"
    return text if gate.verdict is GateVerdict.PASSED else f"{text}: --force goes past it"


def differences(result: Mapping[str, Any]) -> int | None:
    """How much differed in a verification; None where its result does not say."""
    if isinstance(result.get("differences"), int):
        return int(result["differences"])
    counts = [result[name] for name in _DIFFERENCES if isinstance(result.get(name), int)]
    return sum(counts) if counts else None


def _backfilled(evidence: Evidence, _: GateLimits) -> Gate:
    threshold = "a backfill that began after the mirror, done"
    run = evidence.backfill
    if run is not None:
        return Gate("backfilled", GateVerdict.PASSED, f"run {run.id} is done", threshold)
    remedy = f"`crossfade backfill {evidence.collection}`"
    if "backfill" in evidence.open_runs:
        return Gate(
            "backfilled", GateVerdict.INCONCLUSIVE, "a backfill is under way", threshold, f"wait for it: {remedy}"
        )
    return Gate("backfilled", GateVerdict.FAILED, "no backfill is done", threshold, remedy)


def _verified(evidence: Evidence, _: GateLimits) -> Gate:
    threshold = "0 differences, begun after the last instance joined"
    name, again = "verified", f"`crossfade verify {evidence.collection}`"
    run = evidence.verification
    if run is None:
        return Gate(name, GateVerdict.INCONCLUSIVE, "no verification is done", threshold, again)
    found = differences(run.result)
    if found is None:
        return Gate(name, GateVerdict.INCONCLUSIVE, f"run {run.id} says no differences", threshold, again)
    if found:
        remedy = f"`crossfade verify {evidence.collection} --repair`, then verify again"
        return Gate(name, GateVerdict.FAILED, f"run {run.id} found {found} differences", threshold, remedy)
    if evidence.backfill is not None and run.started_at < evidence.backfill.started_at:
        return Gate(name, GateVerdict.INCONCLUSIVE, f"run {run.id} is older than the backfill", threshold, again)
    if evidence.last_joined is not None and run.started_at < evidence.last_joined:
        figures = f"run {run.id} began before the last instance joined"
        remedy = f"{again}: before it joined, writes could go around the proxy"
        return Gate(name, GateVerdict.INCONCLUSIVE, figures, threshold, remedy)
    return Gate(name, GateVerdict.PASSED, f"run {run.id} found 0 differences", threshold)


def _covered(evidence: Evidence, _: GateLimits) -> Gate:
    name, threshold = "verification current", "no mark newer than the last verification"
    mark, run = evidence.mark, evidence.verification
    if mark is None:
        return Gate(name, GateVerdict.PASSED, "no mark", threshold)
    if run is not None and run.unverified_before >= mark.id:
        return Gate(name, GateVerdict.PASSED, f"marks up to {mark.id} are covered by run {run.id}", threshold)
    figures = f"mark {mark.id}: {mark.reason} (instance {mark.instance})"
    return Gate(name, GateVerdict.FAILED, figures, threshold, f"`crossfade verify {evidence.collection}`")


def _caught_up(evidence: Evidence, limits: GateLimits) -> Gate:
    # That the backlog is empty is what every instance acknowledges in the epoch's first phase: under traffic no look
    # from outside can tell. Here it must be so small that this will not take long.
    name, threshold = "caught up", f"lag at most {limits.lag_seconds:g} s on every instance"
    if not evidence.instances:
        return Gate(name, GateVerdict.INCONCLUSIVE, "no instance", threshold, "start a proxy")
    backlog = sum(i.backlog for i in evidence.instances)
    worst = max(evidence.instances, key=lambda i: i.lag_seconds)
    figures = f"backlog {backlog}, lag {worst.lag_seconds:.1f} s"
    if worst.lag_seconds > limits.lag_seconds:
        remedy = f"wait until {worst.instance} has drained; see `crossfade instances` and its PostgreSQL"
        return Gate(name, GateVerdict.FAILED, figures, threshold, remedy)
    return Gate(name, GateVerdict.PASSED, figures, threshold)


def _held(evidence: Evidence, _: GateLimits) -> Gate:
    name, threshold = "no dead letter", "0 documents that PostgreSQL could not hold"
    if not evidence.dead_letters:
        return Gate(name, GateVerdict.PASSED, "0", threshold)
    remedy = "see the reason in _crossfade.dead_letter, change the documents; the next write of each clears it"
    return Gate(name, GateVerdict.FAILED, str(evidence.dead_letters), threshold, remedy)


# An opaque write of unknown extent marks every collection that it may have touched: the gate `verification current`
# judges those marks. This gate judges the gaps that name this collection, or its whole database.
def _supported(evidence: Evidence, _: GateLimits) -> Gate:
    name, threshold = "no unsupported traffic", "everything that was seen is captured or compared (I10)"
    found = [f"unsupported: {text[:80]}" for text in evidence.unsupported]
    found += [f"{gap.endpoint} ({gap.effect}, {gap.seen} times)" for gap in evidence.gaps if _matters(gap, evidence)]
    if not found:
        return Gate(name, GateVerdict.PASSED, "none", threshold)
    shown = "; ".join(found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")
    remedy = (
        "`crossfade status` names them: writes need a verification after the last one; reads that cannot be compared "
        "go to ArangoDB after a flip as well: `crossfade queries exempt`, or --force --reason"
    )
    return Gate(name, GateVerdict.FAILED, shown, threshold, remedy)


def _matters(gap: GapFact, evidence: Evidence) -> bool:
    if gap.effect in _HARMLESS:
        return False
    run = evidence.verification
    return run is None or gap.last_seen >= run.started_at


def _current(evidence: Evidence, _: GateLimits) -> Gate:
    name, threshold = "instances in sync", "every registered instance fresh, on this generation, none diverged"
    if not evidence.instances:
        remedy = "start a proxy: without one nobody serves the flip"
        return Gate(name, GateVerdict.FAILED, "no instance", threshold, remedy)
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
        return Gate(name, GateVerdict.FAILED, figures, threshold, remedy)
    return Gate(name, GateVerdict.PASSED, f"{len(evidence.instances)} fresh", threshold)


_GATES: Final[tuple[Callable[[Evidence, GateLimits], Gate], ...]] = (
    _backfilled,
    _verified,
    _covered,
    origin_gates.not_bypassed,
    _caught_up,
    shape_gates.matching,
    shape_gates.settled,
    shape_gates.covered,
    shape_gates.sampled,
    shape_gates.fast,
    _held,
    _supported,
    _current,
    origin_gates.can_go_back,
)
