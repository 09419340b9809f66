"""Gate: Each registered proxy answers at its admin address, reaches both databases, and is of one version."""

from __future__ import annotations

from typing import Final

from proxy.control.gates.gate_types import PROMOTIONS, Gate, GateEvidence, GateLimits, GateRule, GateVerdict
from proxy.control.gates.shape_text import listed

NAME: Final = "proxies ready"


def _decide(evidence: GateEvidence, _: GateLimits) -> Gate:
    promotion = evidence.promotion
    threshold = f"every registered proxy answers, reaches both databases, and is version {promotion.version or '?'}"
    proxies = promotion.proxies
    if proxies is None:
        return Gate(NAME, GateVerdict.INCONCLUSIVE, "not asked", threshold, "check the gates of a promotion")
    if not proxies:
        return Gate(NAME, GateVerdict.FAILED, "no proxy", threshold, "start a proxy: a promotion needs one")
    unready = [f"{one.instance}: {one.trouble}" for one in proxies if one.trouble]
    if unready:
        return Gate(NAME, GateVerdict.FAILED, listed(unready), threshold, "`crossfade instances` shows the proxies")
    others = [f"{one.instance} is version {one.version}" for one in proxies if one.version != promotion.version]
    if others:
        remedy = "update every proxy, and the command, to one version"
        return Gate(NAME, GateVerdict.FAILED, listed(others), threshold, remedy)
    return Gate(NAME, GateVerdict.PASSED, f"{len(proxies)} answer", threshold)


GATE: Final = GateRule(
    NAME,
    position=230,
    describe="Each registered proxy answers at its admin address, reaches both databases, and is of one version.",
    decide=_decide,
    judges=PROMOTIONS,
    protects_writes="an older proxy does not know that PostgreSQL takes the writes",
)
