"""The gate `caught up`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict
from proxy.control.gates.rules.caught_up import NAME
from tests.unit.control.gates.evidence import FAIL, LIVE, OPEN, PASS, holds


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"instances": ()}, OPEN, "no instance"),
        ({"instances": (replace(LIVE, lag_seconds=5.1),)}, FAIL, "lag 5.1 s"),
        ({"instances": (LIVE, replace(LIVE, lag_seconds=5.0, backlog=9000))}, PASS, "backlog 9003"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    holds(NAME, changed, verdict, found)
