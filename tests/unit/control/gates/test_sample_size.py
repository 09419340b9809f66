"""The gate `sample size per query`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict
from proxy.control.gates.rules.sample_size import NAME
from tests.unit.control.gates.evidence import OPEN, PASS, QUERY, READ, holds


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"shapes": ()}, OPEN, "no read was seen"),
        ({"shapes": (READ, replace(QUERY, recent=299))}, OPEN, "1 with too few: FOR d IN"),
        ({"shapes": (READ, replace(QUERY, recent=299))}, OPEN, "(299 of 300)"),
        ({"shapes": (READ, replace(QUERY, undecided=2))}, OPEN, "(298 of 300)"),
        ({"shapes": (READ, replace(QUERY, recent=0, exempt="rare"))}, PASS, "2700 of the rarest"),
        ({}, PASS, "300 of the rarest (true rate at most 1.00%)"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    holds(NAME, changed, verdict, found)
