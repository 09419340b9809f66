"""The gate `backfilled`."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict
from proxy.control.gates.rules.backfilled import NAME
from tests.unit.control.gates.evidence import FAIL, OPEN, holds


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"backfill": None}, FAIL, "no backfill"),
        ({"backfill": None, "open_runs": ("backfill",)}, OPEN, "under way"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    holds(NAME, changed, verdict, found)
