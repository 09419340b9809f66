"""The gate `definitions carried over`."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict
from proxy.control.gates.promotion_evidence import DefinitionsFact
from proxy.control.gates.rules.definitions_carried_over import NAME
from tests.unit.control.gates.evidence import FAIL, OPEN, PASS, promotion_holds


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"definitions": DefinitionsFact("ArangoDB does not answer")}, OPEN, "does not answer"),
        ({"definitions": DefinitionsFact(refused=("its schema cannot be carried over: x",))}, FAIL, "its schema"),
        ({"definitions": DefinitionsFact(kept_only=("index g (geo) is shown",))}, PASS, "without effect: index g"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    promotion_holds(NAME, changed, verdict, found)
