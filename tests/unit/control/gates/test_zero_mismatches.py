"""The gate `zero mismatches`."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict
from proxy.control.gates.rules.zero_mismatches import NAME
from tests.unit.control.gates.evidence import FAIL, OPEN, PASS, holds


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"mismatched": 1}, FAIL, "1 confirmed in 3000 reads"),
        ({"open_mismatches": 2}, FAIL, "2 unresolved mismatches in 3000 reads"),
        ({"mismatched": 5, "open_mismatches": 1}, FAIL, "1 unresolved mismatch in 3000 reads, 5 conf"),
        ({"compared": 3002}, OPEN, "none in 2999 reads"),
        ({"compared": 0, "undecided": 0}, OPEN, "none in 0 reads"),
        ({"compared": 6003}, PASS, "true rate at most 0.05%"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    holds(NAME, changed, verdict, found)
