"""Revisions that PostgreSQL gives follow its clock, and never repeat."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import asyncpg
import orjson
import pytest

from proxy.model.revision import decode_rev
from proxy.stores.postgres.writes import DocumentWriter
from proxy.wire.decode import decode_parts
from tests.ad_hoc import Database
from tests.harness import straight
from tests.integration.target_fixtures import take_writes

C = "_system/c"
_LONG_AGO = 1_600_000_000_000 << 20  # September 2020
_IN_A_DAY = (int(time.time() * 1000) + 86_400_000) << 20
_SLACK = 60_000  # milliseconds that a test may take


async def insert(database: Database) -> int:
    """Insert a document, and return its revision."""
    writer = DocumentWriter(database)
    outcome = await writer.execute(decode_parts("POST", b"/_api/document/c", [], b"{}"))
    return decode_rev(orjson.loads(outcome.body)["_rev"])


def age(revision: int) -> float:
    """Return milliseconds since the time that a revision shows."""
    return time.time() * 1000 - (revision >> 20)


async def move(connection: asyncpg.Connection, revision: int) -> None:
    """Set the sequence of the revisions."""
    await connection.execute("SELECT setval(revisions::regclass, $1) FROM _crossfade.stamp_floor", revision)


@pytest.fixture
async def other(database: Database, dsn: str) -> AsyncIterator[asyncpg.Connection]:
    await take_writes(database, C, {}, revision=_LONG_AGO)
    async with straight(dsn) as connection:
        yield connection


async def test_a_revision_shows_when_it_was_given(database: Database, other: asyncpg.Connection) -> None:
    first = await insert(database)
    assert 0 <= age(first) < _SLACK
    await move(other, _LONG_AGO)  # as if nothing had been written since then
    assert 0 <= age(await insert(database)) < _SLACK


async def test_a_collection_shows_no_new_revision_without_a_write(
    database: Database, other: asyncpg.Connection
) -> None:
    await insert(database)
    newest = "SELECT pg_sequence_last_value(revisions::regclass) FROM _crossfade.stamp_floor"
    before = await other.fetchval(newest)
    await asyncio.sleep(0.25)
    assert await other.fetchval(newest) == before


async def test_revisions_that_are_ahead_of_the_clock_continue(database: Database, other: asyncpg.Connection) -> None:
    await move(other, _IN_A_DAY)
    assert [await insert(database), await insert(database)] == [_IN_A_DAY + 1, _IN_A_DAY + 2]


async def test_one_transaction_moves_the_revisions_and_no_other_waits(
    database: Database, other: asyncpg.Connection
) -> None:
    follow = "SELECT _crossfade.follow_clock(revisions::regclass) FROM _crossfade.stamp_floor"
    async with other.transaction():
        await other.execute(follow)
        await move(other, _LONG_AGO)
        assert await insert(database) == _LONG_AGO + 1
    assert age(await insert(database)) < _SLACK


async def test_concurrent_writes_and_a_clock_that_moves_give_no_revision_twice(
    database: Database, other: asyncpg.Connection, dsn: str
) -> None:
    """Each writer takes the clock along at its own moments: the sequence is never moved back."""
    drawn: list[list[int]] = []

    async def draw(connection: asyncpg.Connection) -> None:
        own: list[int] = []
        drawn.append(own)
        for _ in range(300):
            own += await connection.fetchval(
                "SELECT revisions FROM _crossfade.begin_write($1, '{}', 3, '1s', false)", C
            )

    # of no lag, so that every write moves the sequence
    await other.execute(
        "CREATE OR REPLACE FUNCTION _crossfade.revision_lag() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 0'"
    )
    async with straight(dsn) as one, straight(dsn) as two, straight(dsn) as three:
        await asyncio.gather(*map(draw, (one, two, three)))
    every = [revision for own in drawn for revision in own]
    assert len(set(every)) == len(every) == 2700
    assert all(own == sorted(own) for own in drawn)
    assert len({revision >> 20 for revision in every}) > 1


async def test_after_a_failover_revisions_are_above_all_former_ones(
    database: Database, other: asyncpg.Connection
) -> None:
    former = await insert(database)
    await other.execute("SELECT _crossfade.leap_revisions(600000)")
    leapt = await insert(database)
    assert -600_000 <= age(leapt) < _SLACK - 600_000
    assert leapt > former
    await move(other, _IN_A_DAY)
    await other.execute("SELECT _crossfade.leap_revisions(10000)")
    assert await insert(database) == _IN_A_DAY + 1
