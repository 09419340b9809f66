"""The gate `latency budget`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict
from proxy.control.gates.rules.latency_budget import NAME
from tests.unit.control.gates.evidence import FAIL, OPEN, PASS, QUERY, READ, holds


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"shapes": (READ, replace(QUERY, target_p99=0.0051))}, FAIL, "5.1 ms against 1.0 ms"),
        ({"shapes": (replace(READ, target_p99=0.0151), QUERY)}, FAIL, "15.1 ms against 10.0 ms"),
        ({"shapes": (READ, replace(QUERY, target_p99=9.0, exempt="rare"))}, PASS, "at most 1.50 times"),
        ({"shapes": (READ, replace(QUERY, timed=299))}, OPEN, "299 of 300"),
        ({"shapes": (replace(READ, origin_p99=None, target_p99=None, timed=0),)}, OPEN, "timed too seldom"),
        ({"shapes": ()}, OPEN, "no read was seen"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    holds(NAME, changed, verdict, found)
