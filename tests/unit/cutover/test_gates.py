"""Gates: three-valued, no data never passes (I9), gaps and marks block (I10), force keeps I7."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from proxy.cutover.gates import (
    Evidence,
    GapFact,
    InstanceFact,
    Limits,
    MarkFact,
    RunFact,
    Verdict,
    blocking,
    differences,
    evaluate,
    missing_gates,
    passed,
)
from proxy.cutover.stages import Stage, Standing

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
LIMITS = Limits(comparisons=3000, lag_seconds=5.0)
LIVE = InstanceFact("one", lease_left=0.8, heartbeat_age=0.2, generation=7, diverged=False, backlog=3, lag_seconds=0.1)
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
    compared=3000,
    mismatched=0,
    unsettled=3,
    open_mismatches=0,
    dead_letters=0,
    unsupported=(),
    gaps=(),
)
PASS, FAIL, OPEN = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE


def test_all_pass() -> None:
    gates = evaluate(GOOD, LIMITS)
    assert passed(gates)
    assert {gate.remedy for gate in gates} == {""}
    assert blocking(gates, force=False) == ()


def _gap(effect: str, minutes: int) -> GapFact:
    return GapFact("import", effect, 4, NOON + timedelta(hours=1, minutes=minutes))


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
        ("nothing unverified", {"mark": MarkFact(6, "batch", "two")}, FAIL, "mark 6: batch (instance two)"),
        ("nothing unverified", {"mark": None}, PASS, "no mark"),
        ("nothing unverified", {"verification": None}, FAIL, "mark 5"),
        ("caught up", {"instances": ()}, OPEN, "no instance"),
        ("caught up", {"instances": (replace(LIVE, lag_seconds=5.1),)}, FAIL, "lag 5.1 s"),
        ("caught up", {"instances": (replace(LIVE, lag_seconds=5.0, backlog=9000),)}, PASS, "backlog 9003"),
        ("no mismatch", {"mismatched": 1}, FAIL, "1 of 3000"),
        ("no mismatch", {"open_mismatches": 2}, FAIL, "2 kinds open"),
        ("no mismatch", {"compared": 2999}, OPEN, "0 of 2999"),
        ("no mismatch", {"compared": 0}, OPEN, "0 of 0"),
        ("no mismatch", {"compared": 6000}, PASS, "true rate at most 0.05%"),
        ("settled", {"unsettled": 4}, FAIL, "4 of 3000"),
        ("settled", {"compared": 0}, OPEN, "no comparison"),
        ("no dead letter", {"dead_letters": 1}, FAIL, "1"),
        ("no gap", {"unsupported": ("FOR d IN GRAPH",)}, FAIL, "unsupported: FOR d IN GRAPH"),
        ("no gap", {"gaps": (_gap("async job", 1),)}, FAIL, "import (async job, 4 times)"),
        ("no gap", {"gaps": (_gap("async job", -1),)}, PASS, "none"),
        ("no gap", {"gaps": (_gap("passthrough", 1),)}, PASS, "none"),
        ("no gap", {"gaps": tuple(_gap(f"way {n}", 1) for n in range(5))}, FAIL, "and 2 more"),
        ("instances current", {"instances": ()}, FAIL, "no instance"),
        ("instances current", {"instances": (replace(LIVE, lease_left=-0.1),)}, FAIL, "silent"),
        ("instances current", {"instances": (LIVE, replace(LIVE, diverged=True))}, FAIL, "diverged"),
        ("instances current", {"instances": (replace(LIVE, generation=6),)}, FAIL, "at generation 6, not 7"),
    ],
)
def test_each_gate(gate: str, changed: dict[str, Any], verdict: Verdict, found: str) -> None:
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
    assert {gate.name for gate in blocking(gates, force=True)} == {"caught up", "instances current"}
    assert len(blocking(gates, force=False)) > 2


def test_a_collection_that_is_not_known_cannot_be_forced() -> None:
    gates = missing_gates("shop/typo")
    assert blocking(gates, force=True) == gates
    assert "crossfade mirror shop/typo" in gates[0].remedy


def test_no_gates_are_no_pass() -> None:
    assert not passed(())


def test_what_a_verification_says() -> None:
    assert differences({"differences": 2, "missing": 9}) == 2
    assert differences({"missing": 1, "stale": 1}) == 2
    assert differences({}) is None
