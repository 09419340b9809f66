"""A short form of `make flips`: its scenarios, with three clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.demo.postgres import EmbeddedPostgres
from proxy.model.revision import encode_rev
from tests.faults.flips import Flips, flips, table
from tests.faults.oracle import Key
from tests.faults.revisions import Revisions
from tests.faults.violations import Kind


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
    key = Key("k", issued=6, removals=[0, 3])
    for version, floor in ((None, 0), (None, 3), (5, 4), (4, 3)):
        assert key.violation(version, floor) is None
    for version, floor, kind in (
        (None, 4, Kind.LOST),
        (4, 5, Kind.STALE),
        (2, 3, Kind.RESURRECTED),
        (7, 4, Kind.UNWRITTEN),
        (3, 0, Kind.UNWRITTEN),  # a removal leaves no version
    ):
        found = key.violation(version, floor)
        assert found is not None
        assert found.kind is kind
    key.raise_floor(None, 1, "a read")
    assert key.floor == 3
    key.raise_floor(2, 0, "a write")
    assert key.floor == 3


def test_the_oracle_knows_each_revision_once() -> None:
    """A version has one revision, no two versions have the same, and the newer version has the greater."""
    known = Revisions()
    texts = {number: encode_rev(number << 20) for number in range(1, 10)}
    for key, version, revision in (("k", 1, 2), ("k", 3, 6), ("k", 3, 6), ("k", 2, 4), ("other", 1, 1)):
        assert known.saw(key, version, texts[revision]) is None
    assert known.of("k", 2) == 4 << 20
    assert known.of("k", 4) is None
    for key, version, revision in (("k", 1, 3), ("other", 2, 6), ("k", 4, 5), ("other", 0, 7)):
        found = known.saw(key, version, texts[revision])
        assert found is not None, (key, version, revision)
        assert found.kind is Kind.REVISION
