"""Gate: The newest verification found no difference and began after the last proxy joined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from proxy.control.gates.gate_types import EVERY_CHANGE, Gate, GateEvidence, GateLimits, GateRule, GateVerdict

NAME: Final = "verified"
# what differs between both sides, as a verification counts it
_DIFFERENCES: Final = ("missing", "extra", "stale", "different")


def _decide(evidence: GateEvidence, _: GateLimits) -> Gate:
    threshold = "0 differences, begun after the last instance joined"
    again = f"`crossfade verify {evidence.collection}`"
    run = evidence.verification
    if run is None:
        return Gate(NAME, GateVerdict.INCONCLUSIVE, "no verification is done", threshold, again)
    found = differences(run.result)
    if found is None:
        return Gate(NAME, GateVerdict.INCONCLUSIVE, f"run {run.id} has no count of differences", threshold, again)
    if found:
        remedy = f"`crossfade verify {evidence.collection} --repair`, then verify again"
        return Gate(NAME, GateVerdict.FAILED, f"run {run.id} found {found} differences", threshold, remedy)
    if evidence.backfill is not None and run.started_at < evidence.backfill.started_at:
        return Gate(NAME, GateVerdict.INCONCLUSIVE, f"run {run.id} is older than the backfill", threshold, again)
    if evidence.last_joined is not None and run.started_at < evidence.last_joined:
        figures = f"run {run.id} began before the last instance joined"
        remedy = f"{again}: before it joined, writes could go around the proxy"
        return Gate(NAME, GateVerdict.INCONCLUSIVE, figures, threshold, remedy)
    return Gate(NAME, GateVerdict.PASSED, f"run {run.id} found 0 differences", threshold)


def differences(result: Mapping[str, Any]) -> int | None:
    """Return how much differed in a verification; None if its result has no count."""
    if isinstance(result.get("differences"), int):
        return int(result["differences"])
    counts = [result[name] for name in _DIFFERENCES if isinstance(result.get(name), int)]
    return sum(counts) if counts else None


GATE: Final = GateRule(
    NAME,
    position=20,
    describe="The newest verification found no difference and began after the last proxy joined.",
    decide=_decide,
    judges=EVERY_CHANGE,
)
