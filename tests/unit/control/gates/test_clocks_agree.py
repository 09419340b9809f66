"""The gate `clocks agree`."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict
from proxy.control.gates.promotion_evidence import ClockFact
from proxy.control.gates.rules.clocks_agree import NAME
from tests.unit.control.gates.evidence import FAIL, OPEN, PASS, promotion_holds


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"clocks": ()}, OPEN, "not read"),
        ({"clocks": (ClockFact("ArangoDB", 0, 0, "no answer"),)}, OPEN, "ArangoDB: no answer"),
        ({"clocks": (ClockFact("ArangoDB", 0.3, 0.01),)}, FAIL, "0.300 s (±0.010) between ArangoDB and PostgreSQL"),
        ({"clocks": (ClockFact("ArangoDB", 0.2, 0.01), ClockFact("one", -0.2, 0.01))}, FAIL, "ArangoDB and one"),
        ({"clocks": (ClockFact("ArangoDB", -0.26, 0.02), ClockFact("one", 0, 0.01))}, OPEN, "too uncertain"),
        ({"clocks": (ClockFact("ArangoDB", -0.2, 0.02),)}, PASS, "0.200 s (±0.020) between PostgreSQL and ArangoDB"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    promotion_holds(NAME, changed, verdict, found)
