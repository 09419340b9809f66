"""The gate `served by PostgreSQL alone`."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict
from proxy.control.gates.promotion_evidence import ServedFact
from proxy.control.gates.rules.served_alone import NAME
from tests.unit.control.gates.evidence import FAIL, OPEN, PASS, promotion_holds


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"served": ServedFact(0)}, OPEN, "no request was seen"),
        ({"served": ServedFact(3, refused=("geo queries: simple.near",))}, FAIL, "geo queries"),
        ({"served": ServedFact(3, together=("FOR … with shop/b",))}, FAIL, "with shop/b"),
        ({"served": ServedFact(3, unknown=("a", "b", "c", "d", "e"))}, OPEN, "a; b; c; and 2 more"),
        ({"served": ServedFact(3)}, PASS, "3 shapes and endpoints"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    promotion_holds(NAME, changed, verdict, found)
