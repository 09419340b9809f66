"""A short run of what `make false-alarms MINUTES=10` does for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.false_alarms import false_alarms


@pytest.mark.long
async def test_races_are_no_mismatches_and_every_divergence_is_found(tmp_path: Path) -> None:
    """I8: three proxies, hot keys, a target that is late; then a divergence of each class, each found by one read."""
    result = await false_alarms(tmp_path, 3.0, planted=14, seed=2)
    assert not result.alarms, result.text()
    assert not result.missed, result.text()
    assert not result.failed, result.text()
    assert result.figures["matched"] > 100, result.text()
    assert result.figures["lagged"] > 0, result.text()
