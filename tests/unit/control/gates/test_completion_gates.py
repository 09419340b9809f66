"""The gates of a completion: each with what passes it, what fails it, and too little evidence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.control.gates.completion_evidence import (
    BrownoutFact,
    CarriedFact,
    CompletionEvidence,
    FinalArchiveFact,
    LostFact,
    NeededFact,
    PromotedFact,
    SidesFact,
)
from proxy.control.gates.gate_types import GatedChange, GateVerdict
from proxy.control.gates.gates import blocking, evaluate, passed, refusal
from tests.unit.control.gates.evidence import FAIL, GOOD, LIMITS, OPEN

DAY = 86_400.0
COMPLETABLE = CompletionEvidence(
    promoted=PromotedFact("promoted", 8 * DAY),
    needed=NeededFact(3),
    carried=CarriedFact(12, 0.2),
    brownout=BrownoutFact(10, 2.0),
    archive=FinalArchiveFact("/backup/final", late=True, documents=40),
    sides=SidesFact(40),
    lost=LostFact(),
)


def judged(changed: dict[str, object]) -> dict[str, tuple[GateVerdict, str, str]]:
    evidence = replace(GOOD, completion=replace(COMPLETABLE, **changed))  # type: ignore[arg-type]
    gates = evaluate(evidence, LIMITS, GatedChange.COMPLETION)
    return {gate.name: (gate.verdict, gate.figures, gate.remedy) for gate in gates}


def test_all_pass() -> None:
    gates = evaluate(replace(GOOD, completion=COMPLETABLE), LIMITS, GatedChange.COMPLETION)
    assert len(gates) == 8
    assert passed(gates)
    assert {gate.remedy for gate in gates} == {""}


def test_what_was_not_read_is_inconclusive_and_never_a_pass() -> None:
    gates = evaluate(GOOD, LIMITS, GatedChange.COMPLETION)
    assert {gate.verdict for gate in gates} == {OPEN}
    assert all(gate.remedy for gate in gates)
    assert [gate.name for gate in blocking(gates, force=True)] == ["no collection cut off"]
    text = refusal({"shop/orders": gates}, force=False, change=GatedChange.COMPLETION)
    assert text.startswith("Completion blocked by 8 gates")


@pytest.mark.parametrize(
    ("gate", "changed", "verdict", "found"),
    [
        ("promoted long enough", {"promoted": PromotedFact("flipped", 9 * DAY)}, FAIL, "stage flipped"),
        ("promoted long enough", {"promoted": PromotedFact("promoted", 6.9 * DAY)}, OPEN, "promoted for 6.9 days"),
        ("ArangoDB not needed", {"needed": NeededFact(2, ("Foxx (3 times)",))}, FAIL, "Foxx (3 times)"),
        ("reverse mirror current", {"carried": CarriedFact(9, 5.1)}, FAIL, "the oldest is 5.1 s old"),
        ("reverse mirror current", {"carried": CarriedFact(1, 0.1, ("a1: unique",))}, FAIL, "refused: a1: unique"),
        ("brown-out passed", {"brownout": None}, OPEN, "not tried"),
        ("brown-out passed", {"brownout": BrownoutFact(4, 1, "GET /x got 503")}, FAIL, "GET /x got 503"),
        ("final archive", {"archive": None}, OPEN, "no archive was named"),
        ("final archive", {"archive": FinalArchiveFact("/b", "part 1 is damaged")}, FAIL, "part 1 is damaged"),
        ("final archive", {"archive": FinalArchiveFact("/b", documents=4)}, FAIL, "/b, 4 documents"),
        ("both sides equal", {"sides": SidesFact(trouble="ArangoDB is away")}, OPEN, "ArangoDB is away"),
        ("both sides equal", {"sides": SidesFact(40, 1, ("a1: other content",))}, FAIL, "1 of 40 documents: a1"),
        ("nothing left behind", {"lost": LostFact(("views of shop: v",))}, FAIL, "views of shop: v"),
        ("no collection cut off", {"lost": LostFact(cut_off=("shop/old", "crm/a"))}, FAIL, "shop/old; crm/a"),
    ],
)
def test_cases(gate: str, changed: dict[str, object], verdict: GateVerdict, found: str) -> None:
    others = judged(changed)
    assert others[gate][0] is verdict
    assert found in others[gate][1]
    assert others[gate][2]
    assert [name for name, other in others.items() if other[0] is not GateVerdict.PASSED] == [gate]


def test_what_arangodb_does_not_show_may_be_lost_or_cut_off() -> None:
    found = judged({"lost": LostFact(trouble="ArangoDB is away")})
    assert {found[name][:2] for name in ("nothing left behind", "no collection cut off")} == {
        (OPEN, "ArangoDB is away")
    }
