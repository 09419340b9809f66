"""The gate `own account`."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict
from proxy.control.gates.promotion_evidence import OwnAccountFact
from proxy.control.gates.rules.own_account import NAME
from tests.unit.control.gates.evidence import FAIL, OPEN, PASS, promotion_holds


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"own_account": OwnAccountFact("root", 60, (("one", 12),))}, FAIL, "root: 12 through one"),
        ({"own_account": OwnAccountFact("crossfade", 3500)}, OPEN, "crossfade: none in 1.0 h"),
        ({"own_account": OwnAccountFact("crossfade", 5400)}, PASS, "crossfade: none in 1.5 h"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    promotion_holds(NAME, changed, verdict, found)
