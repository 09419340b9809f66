"""The gate `verified`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict, RunFact
from proxy.control.gates.rules.verified import NAME, differences
from tests.unit.control.gates.evidence import FAIL, NOON, OPEN, PASS, holds


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"verification": None}, OPEN, "no verification"),
        ({"verification": RunFact(2, NOON, 5, {})}, OPEN, "no count of differences"),
        ({"verification": RunFact(2, NOON, 5, {"missing": 1, "extra": 2})}, FAIL, "found 3 differences"),
        ({"backfill": RunFact(3, NOON + timedelta(hours=2), 0, {})}, OPEN, "older than the backfill"),
        ({"last_joined": NOON + timedelta(hours=2)}, OPEN, "before the last instance joined"),
        ({"last_joined": None}, PASS, "0 differences"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    holds(NAME, changed, verdict, found)


def test_what_a_verification_says() -> None:
    assert differences({"differences": 2, "missing": 9}) == 2
    assert differences({"missing": 1, "stale": 1}) == 2
    assert differences({}) is None
