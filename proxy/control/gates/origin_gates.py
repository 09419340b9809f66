"""Gates on what is outside of the proxies: writers that go around them, ArangoDB's readiness. Pure; see gates."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from proxy.control.gates.gate_types import BypassFact, Evidence, Gate, GateLimits, GateVerdict

VANISHED: Final = "ArangoDB has no such collection any more, and no proxy dropped it"  # the watch's note on one
_SHOWN: Final = 5  # keys that a gate names


def not_bypassed(evidence: Evidence, limits: GateLimits) -> Gate:
    """No revision in the origin that no journal knows, from before the last verification until now (I10)."""
    name = "no out-of-band writes"
    threshold = (
        f"watched since before the last verification began, judged up to {limits.bypass_lag_seconds:g} s ago, and "
        "every write came through a proxy"
    )
    verify = f"`crossfade verify {evidence.collection}`"
    run, watch = evidence.verification, evidence.watch
    found = [one for one in evidence.bypassed if not one.repaired or run is None or one.found_at >= run.started_at]
    if found:
        remedy = (
            "point that writer at a proxy (ArangoDB's log and its list of clients tell who it is); then "
            f"`crossfade repair {evidence.collection}` and {verify}"
        )
        return Gate(name, GateVerdict.FAILED, _documents(found, evidence.bypasses), threshold, remedy)
    if watch is None:
        remedy = f"run `crossfade out-of-band watch` or `crossfade backfill worker --daemon`; then {verify}"
        return Gate(name, GateVerdict.INCONCLUSIVE, "nobody watches", threshold, remedy)
    if watch.note == VANISHED:
        return Gate(
            name, GateVerdict.FAILED, VANISHED, threshold, f"`crossfade repair {evidence.collection}` takes it out"
        )
    seen = f"watched since {_time(watch.since)} ({watch.mode})"
    if watch.behind > limits.bypass_lag_seconds:
        figures = f"{seen}, judged up to {watch.behind:.0f} s ago" + (f": {watch.note}" if watch.note else "")
        remedy = "check that `crossfade out-of-band watch` runs and that every proxy is live: `crossfade instances`"
        return Gate(name, GateVerdict.INCONCLUSIVE, figures, threshold, remedy)
    if run is None or run.started_at < watch.since:
        figures = f"{seen}, after the last verification began" if run is not None else f"{seen}, nothing is verified"
        return Gate(name, GateVerdict.INCONCLUSIVE, figures, threshold, f"{verify}: it tells what was written before")
    return Gate(name, GateVerdict.PASSED, f"none, {seen}, judged up to {watch.behind:.1f} s ago", threshold)


def can_go_back(evidence: Evidence, _: GateLimits) -> Gate:
    """ArangoDB answers, and has what it acknowledged: else a rollback would lose writes."""
    name, threshold = "rollback possible", "ArangoDB answers, takes writes, and has what PostgreSQL has from it"
    origin = evidence.origin
    if origin is None:
        remedy = "set CROSSFADE_ORIGIN to where ArangoDB runs"
        return Gate(name, GateVerdict.INCONCLUSIVE, "ArangoDB was not asked", threshold, remedy)
    if origin.trouble:
        return Gate(name, GateVerdict.FAILED, origin.trouble, threshold, "see to ArangoDB: a rollback needs it")
    if origin.lost:
        shown = ", ".join(origin.lost[:_SHOWN]) + (
            f" and {len(origin.lost) - _SHOWN} more" if len(origin.lost) > _SHOWN else ""
        )
        figures = f"{len(origin.lost)} of {origin.looked} looked up are not in ArangoDB: {shown}"
        remedy = (
            "ArangoDB lost writes that it had acknowledged (restored, failed over?): see the runbook before any repair"
        )
        return Gate(name, GateVerdict.FAILED, figures, threshold, remedy)
    return Gate(name, GateVerdict.PASSED, f"answers, has {origin.looked} of {origin.looked} looked up", threshold)


def _documents(found: list[BypassFact], total: int) -> str:
    keys = ", ".join(one.key + (" (removed)" if one.removed else "") for one in found[:_SHOWN])
    left = max(total, len(found)) - min(_SHOWN, len(found))
    return f"{max(total, len(found))} written around the proxies: {keys}" + (f" and {left} more" if left else "")


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
