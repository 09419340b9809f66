"""The fence of writes, its revisions and the outbox hold when PostgreSQL races them, and without a rule they do not."""

from __future__ import annotations

import asyncio

import pytest

import sql
from tests.ad_hoc import Database
from tests.harness import straight
from tests.integration.promotion_races import COLLECTION, Mutant, Race
from tests.integration.target_fixtures import create

MUTANTS = {
    "promoted writes test the writer without a lock": Mutant(promoted=""),
    "promoted writes lock it FOR KEY SHARE": Mutant(promoted="FOR KEY SHARE OF f"),
    "forward statements test the writer without a lock": Mutant(forward=""),
    "forward statements do not test the writer": Mutant(forward_tests_writer=False),
}


async def test_no_write_is_committed_behind_a_change_of_the_writer(database: Database, dsn: str) -> None:
    race = Race(dsn, await create(database, COLLECTION), Mutant(), seed=1)
    await race.run(changes=18)
    assert race.wrong == []
    happened = ("promoted writes", "forward writes", "pushes", "refused by the fence")
    assert min(race.counts[what] for what in happened) > 0
    assert race.counts["leases taken"] > 2


@pytest.mark.parametrize("name", MUTANTS)
async def test_each_rule_is_needed(database: Database, dsn: str, name: str) -> None:
    race = Race(dsn, await create(database, COLLECTION), MUTANTS[name], seed=1)
    await race.run(changes=600)
    assert race.wrong


@pytest.mark.parametrize("locks", [True, False])
async def test_the_lease_cannot_be_taken_while_rows_are_removed_under_it(
    database: Database, dsn: str, locks: bool
) -> None:
    """Otherwise a second applier has rows in hand when the outbox is empty, and a demotion does not await its push."""
    await create(database, COLLECTION)
    await database.execute(sql.writes.NOTE.text, COLLECTION, "a")
    confirm = sql.outbox.CONFIRM.text
    async with straight(dsn) as first, straight(dsn) as second:
        token = await first.fetchval(sql.outbox.TAKE_LEASE.text, 0, "first", 0.0)
        ids = [row["id"] for row in await first.fetch(sql.outbox.ROWS.text, 0, 10, 0)]
        async with first.transaction():
            text = confirm if locks else confirm.replace(" FOR SHARE)", ")")
            assert len(await first.fetch(text, 0, token, ids)) == 1
            taking = asyncio.create_task(second.fetchval(sql.outbox.TAKE_LEASE.text, 0, "second", 60.0))
            await asyncio.wait([taking], timeout=0.2 if locks else 30.0)
            in_hand = [] if locks else await second.fetch(sql.outbox.ROWS.text, 0, 10, 0)
            assert taking.done() is not locks
        assert await taking == token + 1
        in_hand = in_hand or await second.fetch(sql.outbox.ROWS.text, 0, 10, 0)
        assert len(in_hand) == int(not locks)
