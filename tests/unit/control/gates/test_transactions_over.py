"""The gate `no open transaction`."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict
from proxy.control.gates.promotion_evidence import OpenTransactionFact
from proxy.control.gates.rules.transactions_over import NAME
from tests.unit.control.gates.evidence import FAIL, OPEN, PASS, promotion_holds


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"transactions": (OpenTransactionFact("77", "one", 6, lost=False),)}, FAIL, "1 open: 77 (one, 6 s)"),
        ({"transactions": (OpenTransactionFact("77", "one", 60, lost=True),)}, OPEN, "1 of unknown end: 77"),
        ({"transactions": (OpenTransactionFact("77", "one", 4, lost=False),)}, PASS, "none (1 younger)"),
        ({"transactions": ()}, PASS, "none"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    promotion_holds(NAME, changed, verdict, found)
