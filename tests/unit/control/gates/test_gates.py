"""Gates together: no data never passes (I9), one list decides what `--force` does not pass (I7)."""

from __future__ import annotations

import pkgutil
from dataclasses import replace
from typing import Any, Final

import pytest

from proxy.control.gates import rules
from proxy.control.gates.gate_types import GatedChange
from proxy.control.gates.gates import RULES, blocking, evaluate, missing_gates, passed, refusal
from proxy.control.gates.promotion_evidence import NOTHING_READ
from tests.unit.control.gates.evidence import GOOD, LIMITS, LIVE, OPEN, PASS, PROMOTABLE

PROTECTED: Final = frozenset({"caught up", "instances in sync", "no dead letter"})
FLIP: Final = [
    *("backfilled", "verified", "verification current", "no out-of-band writes", "caught up", "zero mismatches"),
    *("rechecks resolved", "every query compared", "sample size per query", "latency budget", "no dead letter"),
    *("no unsupported traffic", "instances in sync", "rollback possible"),
]
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


def test_each_module_is_a_gate_with_a_place_of_its_own() -> None:
    assert len(RULES) == len(list(pkgutil.iter_modules(rules.__path__)))
    assert len({rule.name for rule in RULES}) == len({rule.position for rule in RULES}) == len(RULES)
    for change in GatedChange:
        judging = [rule.name for rule in RULES if change in rule.judges]
        assert [gate.name for gate in evaluate(GOOD, LIMITS, change)] == judging
    assert all(rule.judges for rule in RULES)
    assert all(rule.describe for rule in RULES)


def test_all_pass() -> None:
    gates = evaluate(GOOD, LIMITS)
    assert passed(gates)
    assert {gate.remedy for gate in gates} == {""}
    assert blocking(gates, force=False) == ()


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
        assert bool(blocking([judged], force=True)) is (gate in PROTECTED)
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
    assert "--force does not ignore it: a proxy at another epoch" in forced
    assert "backfilled is fail (no backfill is done): --force passes it" in forced
    assert refusal({"shop/good": found["shop/good"]}, force=False) == ""


@pytest.mark.parametrize("change", GatedChange)
def test_a_collection_that_is_not_known_cannot_be_forced(change: GatedChange) -> None:
    gates = missing_gates("shop/typo", change)
    assert blocking(gates, force=True) == gates
    assert "crossfade mirror shop/typo" in gates[0].remedy


def test_a_flip_has_the_gates_that_it_had() -> None:
    assert [gate.name for gate in evaluate(GOOD, LIMITS)] == FLIP


def test_all_gates_of_a_promotion_pass() -> None:
    gates = evaluate(replace(GOOD, promotion=PROMOTABLE), LIMITS, GatedChange.PROMOTION)
    assert passed(gates)
    assert {gate.remedy for gate in gates} == {""}


def test_what_was_not_read_passes_no_gate_of_a_promotion() -> None:
    """I9: of what only a promotion needs, nothing passes on ignorance."""
    judged = {gate.name: gate for gate in evaluate(GOOD, LIMITS, GatedChange.PROMOTION)}
    alone = [rule.name for rule in RULES if rule.judges == {GatedChange.PROMOTION}]
    assert len(alone) >= 11
    assert {judged[name].verdict for name in alone} == {OPEN}
    assert all(judged[name].remedy for name in alone)


def test_force_goes_past_no_gate_of_a_promotion_that_keeps_writes() -> None:
    gates = evaluate(replace(GOOD, promotion=NOTHING_READ, instances=()), LIMITS, GatedChange.PROMOTION)
    kept = blocking(gates, force=True)
    assert {gate.name for gate in kept} == {
        rule.name for rule in RULES if rule.protects_writes and GatedChange.PROMOTION in rule.judges
    } - {
        "backfilled",
        "verification current",
        "no dead letter",
    }
    assert not any(gate.protects_reads for gate in gates)
    text = refusal({"shop/orders": gates}, force=True, change=GatedChange.PROMOTION)
    assert text.startswith(f"Promotion blocked by {len(kept)} gates\n")
    assert "--force does not ignore it: a promotion could not be undone" in text


def test_what_is_inconclusive_does_not_pass() -> None:
    """I9: a gate never passes on ignorance."""
    gates = evaluate(replace(GOOD, compared=2999, undecided=0), LIMITS)
    assert {gate.verdict for gate in gates} == {PASS, OPEN}
    assert not passed(gates)
    assert [gate.name for gate in blocking(gates, force=False)] == ["zero mismatches"]


def test_no_gates_are_no_pass() -> None:
    assert not passed(())
