"""A short form of `make flips`: its scenarios, with three clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.demo.postgres import EmbeddedPostgres
from tests.faults.flips import Flips, flips, table
from tests.faults.oracle import Key


@pytest.fixture
async def made(postgres_server: EmbeddedPostgres, dsn: str, tmp_path: Path) -> AsyncIterator[Flips]:
    async with flips(tmp_path, postgres_server, dsn) as started:
        yield started


@pytest.mark.long
async def test_flips_outages_and_frozen_proxies_cause_no_stale_read_and_no_error(made: Flips) -> None:
    """I7: no read is older than a version seen before; no request fails; a straggler is named and nothing committed."""
    results = [
        await made.run(scenario, rounds, seed=5, clients=3, pace=0.05)
        for scenario, rounds in (("calm", 1), ("nuisance", 1), ("cut one", 1), ("frozen", 2))
    ]
    assert all(result.good for result in results), table(results)
    assert sum(result.flips for result in results) >= 3
    assert results[3].refused >= 1  # with a stopped proxy


def test_the_oracle_accepts_only_versions_that_may_be_read() -> None:
    """The expected version or a later one, or nothing after a possible removal, but never a version that was not
    written.
    """
    key = Key("k", issued=5, removals=[0, 3])
    assert key.violation(None, 0) == key.violation(None, 3) == key.violation(5, 4) == ""
    assert "4 was known" in key.violation(None, 4)
    assert "4 was known" in key.violation(3, 4)
    assert "was never written" in key.violation(6, 4)
    key.raise_floor(None, 1, "a read")
    assert key.floor == 3
    key.raise_floor(2, 0, "a write")
    assert key.floor == 3
