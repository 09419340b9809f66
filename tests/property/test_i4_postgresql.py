"""I4 on a real PostgreSQL: any interleaving of upserts, removals, duplicates, repairs and purges converges.

A history is run against an origin; what it commits becomes messages that are applied in any order, any number of
times, in any batches, with stamps from when they were sent; some are lost, and their keys repaired; eras are
raised and tombstones purged. Messages that are refused are read again. In the end the target has what the origin has,
and any of the messages a second time changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.demo.postgres import EmbeddedPostgres
from proxy.replication.key_repair import KeyRepairer
from proxy.replication.target_writer import TargetWriter
from proxy.replication.tombstone_gc import purge
from proxy.replication.versions import StampedVersion, newest
from tests.ad_hoc import Database
from tests.conftest import _create
from tests.property.i4_histories import History, histories

COLLECTION = "db/c"


class FinalOrigin:
    """The documents that a history has committed so far."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}

    def commit(self, row: StampedVersion) -> None:
        if row.raw is None:
            del self.documents[row.key]
        else:
            self.documents[row.key] = row.raw

    async def read(self, database: str, collection: str, keys: Sequence[str]) -> dict[str, bytes | None]:
        return {key: self.documents.get(key) for key in keys}


@dataclass
class World:
    """One event loop and one database for all examples."""

    runner: asyncio.Runner
    database: Database
    target: TargetWriter
    relation: str

    async def era(self) -> int:
        return int(await self.database.fetchval("SELECT era FROM _crossfade.era"))

    async def clean(self) -> None:
        await self.database.execute(f"TRUNCATE {self.relation}")
        await self.database.execute("UPDATE _crossfade.stamp_floor SET floor = 0")

    async def alive(self) -> dict[str, bytes]:
        rows = await self.database.fetch(f"SELECT key, raw::text AS raw FROM {self.relation} WHERE doc IS NOT NULL")
        return {row["key"]: row["raw"].encode() for row in rows}


@pytest.fixture(scope="module")
def world(postgres_server: EmbeddedPostgres) -> Iterator[World]:
    with asyncio.Runner() as runner:

        async def make() -> tuple[Database, TargetWriter, str]:
            database = await Database.open(await _create(postgres_server, "migrated"), size=4)
            target = TargetWriter(database)
            await target.dead_letters.end_superseded()  # there are none: nothing is asked about them
            return database, target, await target.tables.relation(COLLECTION)

        database, target, relation = runner.run(make())
        yield World(runner, database, target, relation)
        runner.run(database.close())


def repairer(world: World, origin: FinalOrigin) -> KeyRepairer:
    return KeyRepairer(world.target, origin)


async def deliver(world: World, repair: KeyRepairer, rows: Sequence[StampedVersion]) -> None:
    """Apply a batch as the mirror does, and read again what is refused."""
    written = await world.target.write(COLLECTION, newest(rows))
    if written.reread:
        assert not (await repair.until_done(COLLECTION, sorted(written.reread))).left


steps = st.lists(
    st.sampled_from(["commit", "commit", "deliver", "deliver", "lose", "repair", "purge", "era"]), max_size=30
)


@given(histories, steps, st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_any_interleaving_converges(world: World, history: History, steps: list[str], data: st.DataObject) -> None:
    async def run() -> None:
        await world.clean()
        origin = FinalOrigin()
        repair = repairer(world, origin)
        events = history.rows()
        on_the_way: list[StampedVersion] = []
        sent: list[StampedVersion] = []
        for step in [*steps, *(["commit"] * len(events))]:
            if step == "commit" and events:
                event = events.pop(0)._replace(stamp=await world.era())
                origin.commit(event)
                on_the_way.append(event)
                sent.append(event)
            elif step == "deliver" and on_the_way:
                batch = data.draw(st.lists(st.sampled_from(on_the_way), min_size=1, max_size=4))
                if data.draw(st.booleans()):  # else it is delivered once more, later
                    on_the_way = [row for row in on_the_way if row not in batch]
                await deliver(world, repair, batch)
            elif step == "lose" and on_the_way:
                lost = on_the_way.pop(data.draw(st.integers(0, len(on_the_way) - 1)))
                assert not (await repair.until_done(COLLECTION, [lost.key])).left
            elif step == "repair":
                assert not (await repair.until_done(COLLECTION, ["a", "b"])).left
            elif step == "purge":
                await purge(world.database, COLLECTION, world.relation, await world.target.raise_era())
            elif step == "era":
                await world.target.raise_era()
        for row in data.draw(st.permutations(on_the_way)):
            await deliver(world, repair, [row])
        assert await world.alive() == origin.documents
        await purge(world.database, COLLECTION, world.relation, await world.target.raise_era())
        for row in data.draw(st.lists(st.sampled_from(sent), max_size=6)) if sent else []:  # duplicates
            await deliver(world, repair, [row])
            assert await world.alive() == origin.documents

    world.runner.run(run())


@given(histories, st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_concurrent_appliers_repairs_and_purges_converge(world: World, history: History, data: st.DataObject) -> None:
    """All run concurrently on several connections, to include PostgreSQL's own races."""
    events = history.rows()
    order = data.draw(st.permutations([*events, *events]))

    async def run() -> None:
        await world.clean()
        origin = FinalOrigin()
        repair = repairer(world, origin)
        stamp = await world.era()
        for event in events:
            origin.commit(event)

        async def applier(mine: Sequence[StampedVersion]) -> None:
            for row in mine:
                await deliver(world, repair, [row._replace(stamp=stamp)])

        async def purger() -> None:
            for _ in range(3):
                await purge(world.database, COLLECTION, world.relation, await world.target.raise_era())

        async with asyncio.TaskGroup() as group:
            for part in range(3):
                group.create_task(applier(order[part::3]))
            group.create_task(purger())
            group.create_task(repair.until_done(COLLECTION, ["a", "b", "c"]))
        assert await world.alive() == origin.documents

    world.runner.run(run())


def test_equal_revisions_with_other_content_are_repaired_only_by_repair(world: World) -> None:
    """mirror-protocol, answer 8."""

    async def run() -> None:
        await world.clean()
        [row] = History((("a", False),)).rows()
        assert row.raw is not None
        wrong = row._replace(raw=row.raw.replace(b'"version":0', b'"version":9'), stamp=await world.era())
        await world.target.write(COLLECTION, [wrong])
        written = await world.target.write(COLLECTION, [row._replace(stamp=await world.era())])
        assert (len(written.applied), written.reread) == (0, frozenset())
        assert wrong.raw is not None
        assert await world.alive() == {"a": wrong.raw}
        origin = FinalOrigin()
        origin.commit(row)
        assert not (await repairer(world, origin).until_done(COLLECTION, ["a"])).left
        assert await world.alive() == {"a": row.raw}

    world.runner.run(run())


def test_refusals_of_all_rows_create_no_dead_letters(world: World) -> None:
    from proxy.base.errors import StatementError

    async def run() -> None:
        await world.clean()
        [row] = History((("a", False),)).rows()
        other = TargetWriter(world.database)
        await other.tables.relation("db/dropped")
        await world.database.execute("DROP TABLE db.dropped")
        with pytest.raises(StatementError) as refused:
            await other.write("db/dropped", [row])
        assert refused.value.sqlstate == "42P01"
        assert await world.database.fetch("SELECT * FROM _crossfade.dead_letter") == []

    world.runner.run(run())
