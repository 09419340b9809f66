"""Short: what `make around WRITES=10000` does for longer."""

from __future__ import annotations

from pathlib import Path

from tests.faults.around import around


async def test_nobody_is_accused_who_came_through_a_proxy_and_nobody_gets_around_unseen(tmp_path: Path) -> None:
    """I10: three proxies, a kill, PostgreSQL away, a backfill that copies what anybody wrote."""
    result = await around(tmp_path, writes=250, faults=2, seed=2)
    assert result.good, result.text()
    assert result.writes >= 250
