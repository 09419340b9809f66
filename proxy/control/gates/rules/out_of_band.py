"""Gate: The out-of-band watch is current, and every write since the last verification came through a proxy."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from proxy.control.gates.gate_types import (
    EVERY_CHANGE,
    Gate,
    GateEvidence,
    GateLimits,
    GateRule,
    GateVerdict,
    OutOfBandFact,
)

NAME: Final = "no out-of-band writes"
_SHOWN: Final = 5  # keys that a gate names
VANISHED: Final = "ArangoDB has no such collection any more, and no proxy dropped it"  # a note of the watch


def _decide(evidence: GateEvidence, limits: GateLimits) -> Gate:
    threshold = (
        f"watched since before the last verification began, judged up to {limits.bypass_lag_seconds:g} s ago, and "
        "every write came through a proxy"
    )
    verify = f"`crossfade verify {evidence.collection}`"
    run, watch = evidence.verification, evidence.watch
    found = [
        one for one in evidence.out_of_band_writes if not one.repaired or run is None or one.found_at >= run.started_at
    ]
    if found:
        remedy = (
            "point that writer at a proxy (ArangoDB's log and its list of clients name it); then "
            f"`crossfade repair {evidence.collection}` and {verify}"
        )
        return Gate(NAME, GateVerdict.FAILED, _documents(found, evidence.out_of_band_count), threshold, remedy)
    if watch is None:
        remedy = f"run `crossfade out-of-band watch` or `crossfade backfill worker --daemon`; then {verify}"
        return Gate(NAME, GateVerdict.INCONCLUSIVE, "no process watches", threshold, remedy)
    if watch.note == VANISHED:
        return Gate(
            NAME, GateVerdict.FAILED, VANISHED, threshold, f"`crossfade repair {evidence.collection}` takes it out"
        )
    seen = f"watched since {_time(watch.since)} ({watch.mode})"
    if watch.behind > limits.bypass_lag_seconds:
        figures = f"{seen}, judged up to {watch.behind:.0f} s ago" + (f": {watch.note}" if watch.note else "")
        remedy = "check that `crossfade out-of-band watch` runs and that every proxy is live: `crossfade instances`"
        return Gate(NAME, GateVerdict.INCONCLUSIVE, figures, threshold, remedy)
    if run is None or run.started_at < watch.since:
        figures = f"{seen}, after the last verification began" if run is not None else f"{seen}, nothing is verified"
        return Gate(NAME, GateVerdict.INCONCLUSIVE, figures, threshold, f"{verify}: it finds what was written before")
    return Gate(NAME, GateVerdict.PASSED, f"none, {seen}, judged up to {watch.behind:.1f} s ago", threshold)


def _documents(found: list[OutOfBandFact], total: int) -> str:
    keys = ", ".join(one.key + (" (removed)" if one.removed else "") for one in found[:_SHOWN])
    left = max(total, len(found)) - min(_SHOWN, len(found))
    return f"{max(total, len(found))} written out of band: {keys}" + (f" and {left} more" if left else "")


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


GATE: Final = GateRule(
    NAME,
    position=40,
    describe="The out-of-band watch is current, and every write since the last verification came through a proxy.",
    decide=_decide,
    judges=EVERY_CHANGE,
)
