"""Gaps are limited per database; those above the limit still block the gates of all its collections (I10)."""

from __future__ import annotations

import pytest

from proxy.replication import coverage_gaps
from proxy.replication.coverage_gaps import Gaps, Uncovered
from tests.ad_hoc import Database


async def test_gaps_over_the_limit_share_one_row(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage_gaps, "_ROWS", 5)
    counted = Gaps(database)
    for _ in range(2):
        for number in range(8):
            counted.add("shop", f"c{number}", "cursor.create", Uncovered.READ, "in a transaction")
        counted.add("blog", "posts", "cursor.create", Uncovered.READ, "in a transaction")
        counted.add("", "", "version", Uncovered.PASSTHROUGH, "passthrough")
        await counted.flush()
    rows = await database.fetch(
        "SELECT database, collection, endpoint, seen FROM _crossfade.uncovered ORDER BY 1, 2, 3"
    )
    assert [tuple(row) for row in rows] == [
        ("", "", "version", 2),
        ("blog", "blog/posts", "cursor.create", 2),
        ("shop", "shop/*", "other", 6),
        *(("shop", f"shop/c{number}", "cursor.create", 2) for number in range(5)),
    ]


async def test_gaps_between_two_flushes_are_bounded_and_omit_no_database(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage_gaps, "_LIMIT", 2)
    counted = Gaps(database)
    for number in range(4):
        counted.add("shop", f"c{number}", "cursor.create", Uncovered.READ, "in a transaction")
    await counted.flush()
    rows = await database.fetch("SELECT collection, endpoint, seen FROM _crossfade.uncovered ORDER BY 1")
    assert [tuple(row) for row in rows] == [
        ("shop/*", "other", 2),
        ("shop/c0", "cursor.create", 1),
        ("shop/c1", "cursor.create", 1),
    ]
