"""The gate `no dead letter`."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict
from proxy.control.gates.rules.dead_letters import NAME
from tests.unit.control.gates.evidence import FAIL, holds


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"dead_letters": 1}, FAIL, "1"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    holds(NAME, changed, verdict, found)
