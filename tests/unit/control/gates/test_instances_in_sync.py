"""The gate `instances in sync`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict
from proxy.control.gates.rules.instances_in_sync import NAME
from tests.unit.control.gates.evidence import FAIL, LIVE, holds


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"instances": ()}, FAIL, "no instance"),
        ({"instances": (replace(LIVE, lease_left=-0.1),)}, FAIL, "silent"),
        ({"instances": (LIVE, replace(LIVE, diverged=True))}, FAIL, "diverged"),
        ({"instances": (replace(LIVE, generation=6),)}, FAIL, "at generation 6, not 7"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    holds(NAME, changed, verdict, found)
