"""Gate: Enough reads of the collection were compared, and no mismatch is open."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import Gate, GateEvidence, GateLimits, GateRule, GateVerdict
from proxy.control.gates.shape_text import bound

NAME: Final = "zero mismatches"


def _decide(evidence: GateEvidence, limits: GateLimits) -> Gate:
    n = limits.comparisons
    threshold = f"0 of at least {n} comparisons (true rate at most {bound(n)} at 95 %)"
    decided = evidence.compared - evidence.undecided  # the others were seen neither equal nor different
    figures = _mismatches(evidence, decided)
    if evidence.mismatched or evidence.open_mismatches:
        remedy = f"`crossfade mismatches list {evidence.collection}`; then repair or ignore what it shows"
        return Gate(NAME, GateVerdict.FAILED, figures, threshold, remedy)
    if decided < n:
        remedy = f"{n - decided} comparisons are missing: keep it at stage shadow under traffic"
        return Gate(NAME, GateVerdict.INCONCLUSIVE, figures, threshold, remedy)
    return Gate(NAME, GateVerdict.PASSED, f"{figures} (true rate at most {bound(decided)})", threshold)


def _mismatches(evidence: GateEvidence, reads: int) -> str:
    """`2 unresolved mismatches in 880 reads, 5 confirmed`: kinds that are open, comparisons that differed."""
    counted = f"{evidence.mismatched} confirmed" if evidence.mismatched else ""
    if not evidence.open_mismatches:
        return f"{counted or 'none'} in {reads} reads"
    kinds = f"{evidence.open_mismatches} unresolved mismatch{'' if evidence.open_mismatches == 1 else 'es'}"
    return f"{kinds} in {reads} reads" + (f", {counted}" if counted else "")


GATE: Final = GateRule(
    NAME,
    position=60,
    describe="Enough reads of the collection were compared, and no mismatch is open.",
    decide=_decide,
)
