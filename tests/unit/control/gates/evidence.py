"""A collection that passes every gate, and what one gate makes of a change to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from proxy.control.gates.gate_types import (
    GapFact,
    GatedChange,
    GateEvidence,
    GateLimits,
    GateVerdict,
    InstanceFact,
    MarkFact,
    OriginFact,
    OutOfBandFact,
    RunFact,
    ShapeFact,
    WatchFact,
)
from proxy.control.gates.gates import evaluate
from proxy.control.gates.promotion_evidence import (
    AccountsFact,
    CanaryFact,
    ClockFact,
    DefinitionsFact,
    FlippedFact,
    OwnAccountFact,
    PromotionEvidence,
    ProxyFact,
    RehearsalFact,
    RehearsedShape,
    ServedFact,
)

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
LIMITS = GateLimits(comparisons=3000, lag_seconds=5.0)
LIVE = InstanceFact("one", lease_left=0.8, heartbeat_age=0.2, generation=7, diverged=False, backlog=3, lag_seconds=0.1)
READ = ShapeFact("document.read", "document.read", 9000, 2700, 2700, 0, 0, 2700, origin_p99=0.010, target_p99=0.015)
QUERY = ShapeFact("7f3a", "FOR d IN orders RETURN d", 900, 300, 300, 0, 0, 300, origin_p99=0.001, target_p99=0.005)
GOOD = GateEvidence(
    collection="shop/orders",
    generation=7,
    instances=(LIVE,),
    backfill=RunFact(1, NOON, 0, {}),
    verification=RunFact(2, NOON + timedelta(hours=1), 5, {"differences": 0}),
    open_runs=(),
    mark=MarkFact(5, "import: not captured", "one"),
    last_joined=NOON,
    compared=3003,
    mismatched=0,
    undecided=3,
    open_mismatches=0,
    dead_letters=0,
    unsupported=(),
    gaps=(),
    shapes=(READ, QUERY),
    watch=WatchFact("log", since=NOON, behind=1.5),
    origin=OriginFact("", looked=50),
)
PROMOTABLE = PromotionEvidence(
    flipped=FlippedFact("flipped", 100, seconds=25 * 3600, mismatches=0, compared=3000),
    rehearsal=RehearsalFact((RehearsedShape("document.create", 40, 30, 0),)),
    served=ServedFact(4),
    definitions=DefinitionsFact(indexes=2, duplicates=()),
    accounts=AccountsFact(users=3),
    canaries=(CanaryFact("one", "", 0.2),),
    clocks=(ClockFact("ArangoDB", 0.02, 0.001), ClockFact("one", -0.01, 0.001)),
    proxies=(ProxyFact("one", "1.0"),),
    version="1.0",
    transactions=(),
    own_account=OwnAccountFact("crossfade", 7200),
)
PASS, FAIL, OPEN = GateVerdict.PASSED, GateVerdict.FAILED, GateVerdict.INCONCLUSIVE
Case = tuple[dict[str, Any], GateVerdict, str]


def gap(effect: str, minutes: int) -> GapFact:
    return GapFact("import", effect, 4, NOON + timedelta(hours=1, minutes=minutes))


def out_of_band(minutes: int, *, repaired: bool = True) -> OutOfBandFact:
    return OutOfBandFact("a1", removed=True, found_at=NOON + timedelta(hours=1, minutes=minutes), repaired=repaired)


def holds(gate: str, changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    """Assert what the gate makes of the collection with that change; found: part of its figures."""
    judged = {one.name: one for one in evaluate(replace(GOOD, **changed), LIMITS)}[gate]
    assert judged.verdict is verdict
    assert found in judged.figures
    assert bool(judged.remedy) == (verdict is not PASS)


def promotion_holds(gate: str, changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    """As `holds`, of a gate of a promotion: `changed` is a change to what only those gates look at."""
    evidence = replace(GOOD, promotion=replace(PROMOTABLE, **changed))
    judged = {one.name: one for one in evaluate(evidence, LIMITS, GatedChange.PROMOTION)}[gate]
    assert judged.verdict is verdict
    assert found in judged.figures
    assert bool(judged.remedy) == (verdict is not PASS)
