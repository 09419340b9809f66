"""The gate `accounts carried over`."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict
from proxy.control.gates.promotion_evidence import AccountsFact
from proxy.control.gates.rules.accounts_carried_over import NAME
from tests.unit.control.gates.evidence import FAIL, OPEN, PASS, promotion_holds


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"accounts": AccountsFact("ArangoDB shows its accounts to administrators")}, OPEN, "administrators"),
        ({"accounts": AccountsFact(users=2, differences=("user ann: password",))}, FAIL, "user ann: password"),
        (
            {"accounts": AccountsFact(users=2, enforcement=("ArangoDB does not require credentials, one does",))},
            FAIL,
            "one",
        ),
        ({"accounts": AccountsFact(users=2, with_tokens=("ann",))}, PASS, "2 users are equal; access tokens"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    promotion_holds(NAME, changed, verdict, found)
