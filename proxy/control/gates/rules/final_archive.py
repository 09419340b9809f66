"""Gate: an archive of the collection was written after its promotion, and every line of it was verified."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import COMPLETIONS, Gate, GateEvidence, GateLimits, GateRule, GateVerdict

NAME: Final = "final archive"


def _decide(evidence: GateEvidence, _: GateLimits) -> Gate:
    threshold = "an archive that was written after the promotion, each line verified"
    archive = evidence.completion.archive
    if archive is None:
        remedy = (
            f"`crossfade archive export {evidence.collection} --to DIR --from postgresql`, then "
            f"`crossfade complete {evidence.collection} --archive DIR`"
        )
        return Gate(NAME, GateVerdict.INCONCLUSIVE, "no archive was named", threshold, remedy)
    if archive.trouble:
        return Gate(NAME, GateVerdict.FAILED, archive.trouble, threshold, "write another archive into a new folder")
    figures = f"{archive.folder}, {archive.documents:,} documents"
    if not archive.late:
        remedy = "it was begun before the promotion: write another one into a new folder"
        return Gate(NAME, GateVerdict.FAILED, figures, threshold, remedy)
    return Gate(NAME, GateVerdict.PASSED, figures, threshold)


GATE: Final = GateRule(
    NAME,
    position=340,
    describe="An archive of the collection was written after its promotion, and each of its lines is intact.",
    decide=_decide,
    judges=COMPLETIONS,
)
