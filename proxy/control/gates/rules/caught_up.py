"""Gate: The mirror lag of each proxy is below the limit."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import EVERY_CHANGE, Gate, GateEvidence, GateLimits, GateRule, GateVerdict

NAME: Final = "caught up"


def _decide(evidence: GateEvidence, limits: GateLimits) -> Gate:
    # Every instance acknowledges in the epoch's first phase that its backlog is empty, which cannot be seen from
    # outside under traffic. This gate asks that the phase will not take long.
    threshold = f"lag at most {limits.lag_seconds:g} s on every instance"
    if not evidence.instances:
        return Gate(NAME, GateVerdict.INCONCLUSIVE, "no instance", threshold, "start a proxy")
    backlog = sum(i.backlog for i in evidence.instances)
    worst = max(evidence.instances, key=lambda i: i.lag_seconds)
    figures = f"backlog {backlog}, lag {worst.lag_seconds:.1f} s"
    if worst.lag_seconds > limits.lag_seconds:
        remedy = f"wait until {worst.instance} has drained; see `crossfade instances` and its PostgreSQL"
        return Gate(NAME, GateVerdict.FAILED, figures, threshold, remedy)
    return Gate(NAME, GateVerdict.PASSED, figures, threshold)


GATE: Final = GateRule(
    NAME,
    position=50,
    describe="The mirror lag of each proxy is below the limit.",
    decide=_decide,
    protects_reads="PostgreSQL does not have acknowledged writes that are still in a backlog",
    judges=EVERY_CHANGE,
    protects_writes="PostgreSQL does not have the writes that are still in a backlog",
)
