"""The gate `rollback possible`."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict, OriginFact
from proxy.control.gates.rules.rollback_possible import NAME
from tests.unit.control.gates.evidence import FAIL, OPEN, PASS, holds


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"origin": None}, OPEN, "not asked"),
        ({"origin": OriginFact("ArangoDB does not answer: refused")}, FAIL, "does not answer"),
        ({"origin": OriginFact("", 50, ("k1", "k2"))}, FAIL, "2 of 50 looked up are not in ArangoDB: k1"),
        ({}, PASS, "has 50 of 50"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    holds(NAME, changed, verdict, found)
