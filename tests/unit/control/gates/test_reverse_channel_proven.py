"""The gate `reverse channel proven`."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict
from proxy.control.gates.promotion_evidence import CanaryFact
from proxy.control.gates.rules.reverse_channel_proven import NAME
from tests.unit.control.gates.evidence import FAIL, OPEN, PASS, promotion_holds


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"canaries": ()}, OPEN, "no proxy"),
        (
            {"canaries": (CanaryFact("one", ""), CanaryFact("two", "it lost its revision"))},
            FAIL,
            "two: it lost its rev",
        ),
        ({"canaries": (CanaryFact("one", "", 0.1), CanaryFact("two", "", 0.25))}, PASS, "2 proxies, at most 0.25 s"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    promotion_holds(NAME, changed, verdict, found)
