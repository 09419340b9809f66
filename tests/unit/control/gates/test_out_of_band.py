"""The gate `no out-of-band writes`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from proxy.control.gates.gate_types import GateVerdict, WatchFact
from proxy.control.gates.rules.out_of_band import NAME
from tests.unit.control.gates.evidence import FAIL, NOON, OPEN, PASS, holds, out_of_band


@pytest.mark.parametrize(
    ("changed", "verdict", "found"),
    [
        ({"watch": None}, OPEN, "no process watches"),
        ({"watch": WatchFact("log", NOON, 30.1)}, OPEN, "judged up to 30 s ago"),
        ({"watch": WatchFact("log", NOON + timedelta(hours=2), 0)}, OPEN, "after the last verification"),
        ({"verification": None}, OPEN, "nothing is verified"),
        (
            {"out_of_band_writes": (out_of_band(+1),), "out_of_band_count": 1},
            FAIL,
            "1 written out of band: a1 (removed)",
        ),
        ({"out_of_band_writes": (out_of_band(-1),), "out_of_band_count": 1}, PASS, "none, watched since"),
        ({"out_of_band_writes": (out_of_band(-1, repaired=False),), "out_of_band_count": 7}, FAIL, "and 6 more"),
        ({"watch": None, "out_of_band_writes": (out_of_band(+1),), "out_of_band_count": 1}, FAIL, "a1"),
    ],
)
def test_cases(changed: dict[str, Any], verdict: GateVerdict, found: str) -> None:
    holds(NAME, changed, verdict, found)
