"""Gate: Each registered proxy sends heartbeats, runs at the current generation and is not diverged."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import EVERY_CHANGE, Gate, GateEvidence, GateLimits, GateRule, GateVerdict

NAME: Final = "instances in sync"


def _decide(evidence: GateEvidence, _: GateLimits) -> Gate:
    threshold = "every registered instance fresh, on this generation, none diverged"
    if not evidence.instances:
        remedy = "start a proxy: a flip needs one"
        return Gate(NAME, GateVerdict.FAILED, "no instance", threshold, remedy)
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
        return Gate(NAME, GateVerdict.FAILED, figures, threshold, remedy)
    return Gate(NAME, GateVerdict.PASSED, f"{len(evidence.instances)} fresh", threshold)


GATE: Final = GateRule(
    NAME,
    position=130,
    describe="Each registered proxy sends heartbeats, runs at the current generation and is not diverged.",
    decide=_decide,
    protects_reads="a proxy at another epoch acknowledges writes before PostgreSQL has them",
    judges=EVERY_CHANGE,
    protects_writes="a proxy at another epoch would forward writes to ArangoDB",
)
