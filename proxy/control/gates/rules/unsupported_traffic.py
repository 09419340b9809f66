"""Gate: Every request since the last verification was captured or compared."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import GapFact, Gate, GateEvidence, GateLimits, GateRule, GateVerdict

NAME: Final = "no unsupported traffic"
# passed through, and answered by ArangoDB after a flip as well: nothing can differ
_HARMLESS: Final = frozenset({"passthrough", "control"})


# An opaque write of unknown extent marks every collection that it may have written, and the gate `verification current`
# judges those marks. This gate judges the requests that name this collection, or its whole database.
def _decide(evidence: GateEvidence, _: GateLimits) -> Gate:
    threshold = "everything that was seen is captured or compared (I10)"
    found = [f"unsupported: {text[:80]}" for text in evidence.unsupported]
    found += [f"{gap.endpoint} ({gap.effect}, {gap.seen} times)" for gap in evidence.gaps if _matters(gap, evidence)]
    if not found:
        return Gate(NAME, GateVerdict.PASSED, "none", threshold)
    shown = "; ".join(found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")
    remedy = (
        "`crossfade status` names them: writes need a verification after the last one; reads that cannot be compared "
        "go to ArangoDB after a flip as well: `crossfade queries exempt`, or --force --reason"
    )
    return Gate(NAME, GateVerdict.FAILED, shown, threshold, remedy)


def _matters(gap: GapFact, evidence: GateEvidence) -> bool:
    if gap.effect in _HARMLESS:
        return False
    run = evidence.verification
    return run is None or gap.last_seen >= run.started_at


GATE: Final = GateRule(
    NAME,
    position=120,
    describe="Every request since the last verification was captured or compared.",
    decide=_decide,
)
