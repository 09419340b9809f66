"""The gate `writes rehearsed`."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict
from proxy.control.gates.promotion_evidence import RehearsalFact, RehearsedShape
from proxy.control.gates.rules.writes_rehearsed import NAME
from tests.unit.control.gates.evidence import FAIL, OPEN, PASS, promotion_holds

_SHAPE = RehearsedShape("document.create", 40, 9, 0)


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"rehearsal": RehearsalFact(())}, OPEN, "no write was seen"),
        (
            {"rehearsal": RehearsalFact((_SHAPE, RehearsedShape("import", 7, 0, 0)))},
            OPEN,
            "1 of 2 never rehearsed: imp",
        ),
        (
            {"rehearsal": RehearsalFact((_SHAPE, RehearsedShape("import", 7, 5, 2)), 1)},
            FAIL,
            "1 differ: import (2 of 5)",
        ),
        ({"rehearsal": RehearsalFact((RehearsedShape("import", 7, 5, 2),))}, PASS, "of 5 writes"),  # a closed one
        ({"rehearsal": RehearsalFact((_SHAPE,))}, PASS, "0 of 9 writes differ, 1 shapes"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    promotion_holds(NAME, changed, verdict, found)
