"""The gate `no unsupported traffic`."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict
from proxy.control.gates.rules.unsupported_traffic import NAME
from tests.unit.control.gates.evidence import FAIL, PASS, gap, holds


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"unsupported": ("FOR d IN GRAPH",)}, FAIL, "unsupported: FOR d IN GRAPH"),
        ({"gaps": (gap("async job", 1),)}, FAIL, "import (async job, 4 times)"),
        ({"gaps": (gap("async job", -1),)}, PASS, "none"),
        ({"gaps": (gap("passthrough", 1),)}, PASS, "none"),
        ({"gaps": tuple(gap(f"way {n}", 1) for n in range(5))}, FAIL, "and 2 more"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    holds(NAME, changed, verdict, found)
