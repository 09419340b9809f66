"""The gate `unique values`."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict
from proxy.control.gates.promotion_evidence import DefinitionsFact
from proxy.control.gates.rules.unique_values import NAME
from tests.unit.control.gates.evidence import FAIL, OPEN, PASS, promotion_holds


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"definitions": DefinitionsFact("ArangoDB does not answer")}, OPEN, "does not answer"),
        ({"definitions": DefinitionsFact(indexes=1)}, OPEN, "not looked for"),
        ({"definitions": DefinitionsFact(indexes=1, duplicates=("a and b",))}, FAIL, "a and b"),
        ({"definitions": DefinitionsFact(indexes=1, duplicates=())}, PASS, "1 unique indexes"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    promotion_holds(NAME, changed, verdict, found)
