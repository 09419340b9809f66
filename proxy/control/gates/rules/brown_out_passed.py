"""Gate: the proxies have acted as if ArangoDB were gone, and no client noticed."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import COMPLETIONS, Gate, GateEvidence, GateLimits, GateRule, GateVerdict

NAME: Final = "brown-out passed"


def _decide(evidence: GateEvidence, _: GateLimits) -> Gate:
    threshold = "proxies acted as if ArangoDB were gone, and no request failed"
    brownout = evidence.completion.brownout
    if brownout is None:
        remedy = "stop ArangoDB for some minutes yourself and watch the clients, then `--force --reason …`"
        return Gate(NAME, GateVerdict.INCONCLUSIVE, "not tried", threshold, remedy)
    figures = f"{brownout.minutes:.0f} minutes, {brownout.hours:.1f} h ago"
    if brownout.trouble:
        remedy = "find the client that still needs ArangoDB, and try again"
        return Gate(NAME, GateVerdict.FAILED, f"{figures}: {brownout.trouble}", threshold, remedy)
    return Gate(NAME, GateVerdict.PASSED, figures, threshold)


GATE: Final = GateRule(
    NAME,
    position=330,
    describe="Proxies acted for some minutes as if ArangoDB were gone, and no request of a client failed.",
    decide=_decide,
    judges=COMPLETIONS,
)
