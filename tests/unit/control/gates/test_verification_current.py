"""The gate `verification current`."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict, MarkFact
from proxy.control.gates.rules.verification_current import NAME
from tests.unit.control.gates.evidence import FAIL, PASS, holds


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"mark": MarkFact(6, "batch", "two")}, FAIL, "mark 6: batch (instance two)"),
        ({"mark": None}, PASS, "no mark"),
        ({"verification": None}, FAIL, "mark 5"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    holds(NAME, changed, verdict, found)
