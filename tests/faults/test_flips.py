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
async def test_clients_see_no_flip_no_outage_and_no_frozen_proxy(made: Flips) -> None:
    """I7: nothing older than what anybody was told; no request fails; a straggler is named, and nothing committed."""
    results = [
        await made.run(scenario, rounds, seed=5, clients=3, pace=0.05)
        for scenario, rounds in (("calm", 1), ("pestered", 1), ("cut one", 1), ("frozen", 2))
    ]
    assert all(result.good for result in results), table(results)
    assert sum(result.flips for result in results) >= 3
    assert results[3].refused >= 1  # with a proxy that stood still


def test_what_the_judge_lets_pass() -> None:
    """A version or a later one; nothing, where a removal may have come; never what nobody wrote."""
    key = Key("k", issued=5, removals=[0, 3])
    assert key.shown(None, 0) == key.shown(None, 3) == key.shown(5, 4) == ""
    assert "4 was known" in key.shown(None, 4)
    assert "4 was known" in key.shown(3, 4)
    assert "nobody wrote" in key.shown(6, 4)
    key.learn(None, 1, "a read")
    assert key.floor == 3
    key.learn(2, 0, "a write")
    assert key.floor == 3
