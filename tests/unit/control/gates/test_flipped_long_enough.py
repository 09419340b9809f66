"""The gate `flipped long enough`."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict
from proxy.control.gates.promotion_evidence import FlippedFact
from proxy.control.gates.rules.flipped_long_enough import NAME
from tests.unit.control.gates.evidence import FAIL, OPEN, PASS, promotion_holds


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"flipped": FlippedFact("shadow", 0, 9e9, 0, 5000)}, FAIL, "stage shadow"),
        ({"flipped": FlippedFact("flipped", 50, 9e9, 0, 5000)}, FAIL, "stage flipped at 50 %"),
        ({"flipped": FlippedFact("flipped", 100, 9e9, 1, 5000)}, FAIL, "1 mismatches"),
        ({"flipped": FlippedFact("flipped", 100, 23.9 * 3600, 0, 5000)}, OPEN, "for 23.9 h"),
        ({"flipped": FlippedFact("flipped", 100, 24 * 3600, 0, 0)}, OPEN, "no read compared"),
        ({"flipped": FlippedFact("flipped", 100, 24 * 3600, 0, 1)}, PASS, "for 24.0 h, 0 mismatches, 0 open"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    promotion_holds(NAME, changed, verdict, found)
