"""The gate `every query compared`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict
from proxy.control.gates.rules.every_query_compared import NAME
from tests.unit.control.gates.evidence import OPEN, PASS, QUERY, READ, holds


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"shapes": ()}, OPEN, "no read was seen"),
        ({"shapes": (READ, replace(QUERY, compared=0, recent=0))}, OPEN, "1 of 2 never: FOR d IN"),
        ({"shapes": (READ, replace(QUERY, compared=0, exempt="old"))}, PASS, "2 seen, 1 exempt"),
        ({"shapes": (replace(READ, recent=0),)}, PASS, "1 seen"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    holds(NAME, changed, verdict, found)
