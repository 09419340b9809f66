"""A short run of `make false-alarms MINUTES=10`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.false_alarms import false_alarms


@pytest.mark.long
async def test_races_cause_no_mismatch_and_every_seeded_divergence_is_found(tmp_path: Path) -> None:
    """I8: three proxies, hot keys, a target that is late; then a divergence of each class, each found by one read."""
    result = await false_alarms(tmp_path, 3.0, planted=14, seed=2)
    assert not result.alarms, result.text()
    assert not result.missed, result.text()
    assert not result.failed, result.text()
    assert result.figures["matched"] > 100, result.text()
    assert result.figures["lagged"] > 0, result.text()
