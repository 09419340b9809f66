"""The gate `proxies ready`."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict
from proxy.control.gates.promotion_evidence import ProxyFact
from proxy.control.gates.rules.proxies_ready import NAME
from tests.unit.control.gates.evidence import FAIL, PASS, promotion_holds


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"proxies": ()}, FAIL, "no proxy"),
        ({"proxies": (ProxyFact("one", "1.0", "it registered no admin address"),)}, FAIL, "no admin address"),
        ({"proxies": (ProxyFact("one", "1.0"), ProxyFact("two", "0.9"))}, FAIL, "two is version 0.9"),
        ({"proxies": (ProxyFact("one", "1.0"), ProxyFact("two", "1.0"))}, PASS, "2 answer"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    promotion_holds(NAME, changed, verdict, found)
