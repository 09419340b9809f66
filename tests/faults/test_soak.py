"""A short form of `make soak MINUTES=10`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.soak import soak


@pytest.mark.long
async def test_three_proxies_survive_kills_and_outages(tmp_path: Path) -> None:
    """I3, I4, I5 together: three proxies on the same keys, with a concurrent backfill."""
    result = await soak(tmp_path, 6.0, seed=3)
    assert result.good, result.text()
    assert result.backfilled.startswith("done"), result.text()
    assert result.faults
