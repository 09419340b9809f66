"""Gates: three-valued, no data never passes (I9), gaps and marks block (I10), force keeps I7."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from proxy.control.gates.gate_types import (
    BypassFact,
    Evidence,
    GapFact,
    GateLimits,
    GateVerdict,
    InstanceFact,
    MarkFact,
    OriginFact,
    RunFact,
    ShapeFact,
    WatchFact,
)
from proxy.control.gates.gates import KEEP_I7, blocking, differences, evaluate, missing_gates, passed, refusal
from proxy.model.stages import Stage, Standing

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
LIMITS = GateLimits(comparisons=3000, lag_seconds=5.0)
LIVE = InstanceFact("one", lease_left=0.8, heartbeat_age=0.2, generation=7, diverged=False, backlog=3, lag_seconds=0.1)
READ = ShapeFact("document.read", "document.read", 9000, 2700, 2700, 0, 0, 2700, origin_p99=0.010, target_p99=0.015)
QUERY = ShapeFact("7f3a", "FOR d IN orders RETURN d", 900, 300, 300, 0, 0, 300, origin_p99=0.001, target_p99=0.005)
GOOD = Evidence(
    collection="shop/orders",
    standing=Standing(Stage.SHADOW),
    generation=7,
    instances=(LIVE,),
    backfill=RunFact(1, NOON, 0, {}),
    verification=RunFact(2, NOON + timedelta(hours=1), 5, {"differences": 0}),
    open_runs=(),
    mark=MarkFact(5, "import: not captured", "one"),
    last_joined=NOON,
    since=NOON,
    compared=3003,
    mismatched=0,
    unsettled=3,
    open_mismatches=0,
    dead_letters=0,
    unsupported=(),
    gaps=(),
    shapes=(READ, QUERY),
    watch=WatchFact("log", since=NOON, behind=1.5),
    origin=OriginFact("", looked=50),
)
EVERYTHING_WRONG: dict[str, Any] = {
    "backfill": None,
    "verification": None,
    "compared": 0,
    "dead_letters": 1,
    "unsupported": ("RETURN PREGEL()",),
    "shapes": (),
    "watch": None,
    "origin": None,
}
PASS, FAIL, OPEN = GateVerdict.PASSED, GateVerdict.FAILED, GateVerdict.INCONCLUSIVE


def test_all_pass() -> None:
    gates = evaluate(GOOD, LIMITS)
    assert passed(gates)
    assert {gate.remedy for gate in gates} == {""}
    assert blocking(gates, force=False) == ()


def _gap(effect: str, minutes: int) -> GapFact:
    return GapFact("import", effect, 4, NOON + timedelta(hours=1, minutes=minutes))


def _bypass(minutes: int, *, repaired: bool = True) -> BypassFact:
    return BypassFact("a1", removed=True, found_at=NOON + timedelta(hours=1, minutes=minutes), repaired=repaired)


@pytest.mark.parametrize(
    ("gate", "changed", "verdict", "found"),
    [
        ("backfilled", {"backfill": None}, FAIL, "no backfill"),
        ("backfilled", {"backfill": None, "open_runs": ("backfill",)}, OPEN, "under way"),
        ("verified", {"verification": None}, OPEN, "no verification"),
        ("verified", {"verification": RunFact(2, NOON, 5, {})}, OPEN, "says no differences"),
        ("verified", {"verification": RunFact(2, NOON, 5, {"missing": 1, "extra": 2})}, FAIL, "found 3 differences"),
        ("verified", {"backfill": RunFact(3, NOON + timedelta(hours=2), 0, {})}, OPEN, "older than the backfill"),
        ("verified", {"last_joined": NOON + timedelta(hours=2)}, OPEN, "before the last instance joined"),
        ("verified", {"last_joined": None}, PASS, "0 differences"),
        ("verification current", {"mark": MarkFact(6, "batch", "two")}, FAIL, "mark 6: batch (instance two)"),
        ("verification current", {"mark": None}, PASS, "no mark"),
        ("verification current", {"verification": None}, FAIL, "mark 5"),
        ("caught up", {"instances": ()}, OPEN, "no instance"),
        ("caught up", {"instances": (replace(LIVE, lag_seconds=5.1),)}, FAIL, "lag 5.1 s"),
        ("caught up", {"instances": (replace(LIVE, lag_seconds=5.0, backlog=9000),)}, PASS, "backlog 9003"),
        ("zero mismatches", {"mismatched": 1}, FAIL, "1 confirmed in 3000 reads"),
        ("zero mismatches", {"open_mismatches": 2}, FAIL, "2 unresolved mismatches in 3000 reads"),
        (
            "zero mismatches",
            {"mismatched": 5, "open_mismatches": 1},
            FAIL,
            "1 unresolved mismatch in 3000 reads, 5 conf",
        ),
        ("zero mismatches", {"compared": 3002}, OPEN, "none in 2999 reads"),
        ("zero mismatches", {"compared": 0, "unsettled": 0}, OPEN, "none in 0 reads"),
        ("zero mismatches", {"compared": 6003}, PASS, "true rate at most 0.05%"),
        ("rechecks resolved", {"unsettled": 4}, FAIL, "4 of 3003"),
        ("rechecks resolved", {"compared": 0}, OPEN, "no comparison"),
        ("every query compared", {"shapes": ()}, OPEN, "no read was seen"),
        (
            "every query compared",
            {"shapes": (READ, replace(QUERY, compared=0, recent=0))},
            OPEN,
            "1 of 2 never: FOR d IN",
        ),
        (
            "every query compared",
            {"shapes": (READ, replace(QUERY, compared=0, exempt="old"))},
            PASS,
            "2 seen, 1 exempt",
        ),
        ("every query compared", {"shapes": (replace(READ, recent=0),)}, PASS, "1 seen"),
        ("sample size per query", {"shapes": ()}, OPEN, "no read was seen"),
        ("sample size per query", {"shapes": (READ, replace(QUERY, recent=299))}, OPEN, "1 with too few: FOR d IN"),
        ("sample size per query", {"shapes": (READ, replace(QUERY, recent=299))}, OPEN, "(299 of 300)"),
        ("sample size per query", {"shapes": (READ, replace(QUERY, unsettled=2))}, OPEN, "(298 of 300)"),
        (
            "sample size per query",
            {"shapes": (READ, replace(QUERY, recent=0, exempt="rare"))},
            PASS,
            "2700 of the rarest",
        ),
        ("sample size per query", {}, PASS, "300 of the rarest (true rate at most 1.00%)"),
        ("latency budget", {"shapes": (READ, replace(QUERY, target_p99=0.0051))}, FAIL, "5.1 ms against 1.0 ms"),
        ("latency budget", {"shapes": (replace(READ, target_p99=0.0151), QUERY)}, FAIL, "15.1 ms against 10.0 ms"),
        (
            "latency budget",
            {"shapes": (READ, replace(QUERY, target_p99=9.0, exempt="rare"))},
            PASS,
            "at most 1.50 times",
        ),
        ("latency budget", {"shapes": (READ, replace(QUERY, timed=299))}, OPEN, "299 of 300"),
        (
            "latency budget",
            {"shapes": (replace(READ, origin_p99=None, target_p99=None, timed=0),)},
            OPEN,
            "timed too seldom",
        ),
        ("latency budget", {"shapes": ()}, OPEN, "no read was seen"),
        ("no out-of-band writes", {"watch": None}, OPEN, "nobody watches"),
        ("no out-of-band writes", {"watch": WatchFact("log", NOON, 30.1)}, OPEN, "judged up to 30 s ago"),
        (
            "no out-of-band writes",
            {"watch": WatchFact("log", NOON + timedelta(hours=2), 0)},
            OPEN,
            "after the last verification",
        ),
        ("no out-of-band writes", {"verification": None}, OPEN, "nothing is verified"),
        (
            "no out-of-band writes",
            {"bypassed": (_bypass(+1),), "bypasses": 1},
            FAIL,
            "1 written around the proxies: a1 (removed)",
        ),
        ("no out-of-band writes", {"bypassed": (_bypass(-1),), "bypasses": 1}, PASS, "none, watched since"),
        ("no out-of-band writes", {"bypassed": (_bypass(-1, repaired=False),), "bypasses": 7}, FAIL, "and 6 more"),
        ("no out-of-band writes", {"watch": None, "bypassed": (_bypass(+1),), "bypasses": 1}, FAIL, "a1"),
        ("rollback possible", {"origin": None}, OPEN, "not asked"),
        ("rollback possible", {"origin": OriginFact("ArangoDB does not answer: refused")}, FAIL, "does not answer"),
        (
            "rollback possible",
            {"origin": OriginFact("", 50, ("k1", "k2"))},
            FAIL,
            "2 of 50 looked up are not in ArangoDB: k1",
        ),
        ("rollback possible", {}, PASS, "has 50 of 50"),
        ("no dead letter", {"dead_letters": 1}, FAIL, "1"),
        ("no unsupported traffic", {"unsupported": ("FOR d IN GRAPH",)}, FAIL, "unsupported: FOR d IN GRAPH"),
        ("no unsupported traffic", {"gaps": (_gap("async job", 1),)}, FAIL, "import (async job, 4 times)"),
        ("no unsupported traffic", {"gaps": (_gap("async job", -1),)}, PASS, "none"),
        ("no unsupported traffic", {"gaps": (_gap("passthrough", 1),)}, PASS, "none"),
        ("no unsupported traffic", {"gaps": tuple(_gap(f"way {n}", 1) for n in range(5))}, FAIL, "and 2 more"),
        ("instances in sync", {"instances": ()}, FAIL, "no instance"),
        ("instances in sync", {"instances": (replace(LIVE, lease_left=-0.1),)}, FAIL, "silent"),
        ("instances in sync", {"instances": (LIVE, replace(LIVE, diverged=True))}, FAIL, "diverged"),
        ("instances in sync", {"instances": (replace(LIVE, generation=6),)}, FAIL, "at generation 6, not 7"),
    ],
)
def test_each_gate(gate: str, changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    evidence = replace(GOOD, **changed)
    if gate == "caught up" and "9003" in found:
        evidence = replace(evidence, instances=(LIVE, *evidence.instances))
    judged = {one.name: one for one in evaluate(evidence, LIMITS)}[gate]
    assert judged.verdict is verdict
    assert found in judged.figures
    assert bool(judged.remedy) == (verdict is not PASS)


def test_force_goes_past_all_but_those_that_keep_clients_own_writes_visible() -> None:
    evidence = replace(GOOD, backfill=None, compared=0, instances=(replace(LIVE, diverged=True, lag_seconds=60),))
    gates = evaluate(evidence, LIMITS)
    assert {gate.name for gate in blocking(gates, force=True)} == {"caught up", "instances in sync"}
    assert len(blocking(gates, force=False)) > 2


@pytest.mark.parametrize("gate", [gate.name for gate in evaluate(GOOD, LIMITS)])
def test_force_is_refused_by_the_gates_that_are_listed_and_by_no_other(gate: str) -> None:
    """I7: one list decides, whatever the gate found."""
    for changed in ({"instances": ()}, {"instances": (replace(LIVE, lag_seconds=60, generation=6),)}):
        broken = replace(GOOD, **{**EVERYTHING_WRONG, **changed})
        judged = {one.name: one for one in evaluate(broken, LIMITS)}[gate]
        assert judged.verdict is not PASS
        assert bool(blocking([judged], force=True)) is (gate in KEEP_I7)
        assert blocking([judged], force=False)


def test_a_refusal_names_every_gate_those_that_forbid_it_first() -> None:
    broken = replace(GOOD, backfill=None, instances=(replace(LIVE, diverged=True),))
    found = {"shop/orders": evaluate(broken, LIMITS), "shop/good": evaluate(GOOD, LIMITS)}
    title, *lines = refusal(found, force=False).split("\n  ")
    assert title == "Flip blocked by 2 gates"
    assert len(lines) == len(evaluate(GOOD, LIMITS))  # of what is held back alone
    assert lines[0] == "shop/orders: backfilled is fail (no backfill is done): `crossfade backfill shop/orders`"
    assert lines[1].startswith("shop/orders: instances in sync is fail (one is diverged): ")
    assert "shop/orders: no dead letter is pass (0)" in lines[2:]
    forced = refusal(found, force=True)
    assert "no --force goes past it: a proxy that does not behave by the epoch" in forced
    assert "backfilled is fail (no backfill is done): --force goes past it" in forced
    assert refusal({"shop/good": found["shop/good"]}, force=False) == ""


def test_a_collection_that_is_not_known_cannot_be_forced() -> None:
    gates = missing_gates("shop/typo")
    assert blocking(gates, force=True) == gates
    assert "crossfade mirror shop/typo" in gates[0].remedy


def test_what_is_inconclusive_does_not_pass() -> None:
    """I9: a gate never passes on ignorance."""
    gates = evaluate(replace(GOOD, compared=2999, unsettled=0), LIMITS)
    assert {gate.verdict for gate in gates} == {PASS, OPEN}
    assert not passed(gates)
    assert [gate.name for gate in blocking(gates, force=False)] == ["zero mismatches"]


def test_no_gates_are_no_pass() -> None:
    assert not passed(())


def test_what_a_verification_says() -> None:
    assert differences({"differences": 2, "missing": 9}) == 2
    assert differences({"missing": 1, "stale": 1}) == 2
    assert differences({}) is None
