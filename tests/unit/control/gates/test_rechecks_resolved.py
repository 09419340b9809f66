"""The gate `rechecks resolved`."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict
from proxy.control.gates.rules.rechecks_resolved import NAME
from tests.unit.control.gates.evidence import FAIL, OPEN, holds


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"undecided": 4}, FAIL, "4 of 3003"),
        ({"compared": 0}, OPEN, "no comparison"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    holds(NAME, changed, verdict, found)
