"""Who takes the writes changes in the transaction of the control row alone, and by its rules (I7)."""

from __future__ import annotations

import asyncio

import pytest

import sql
from proxy.base.errors import DatabaseUnavailable, PreconditionFailed, StatementError
from proxy.model.stages import CollectionState, Phase, Stage, Transition
from proxy.state import audit, control_row
from tests.ad_hoc import Database, Session
from tests.harness import straight
from tests.integration.target_fixtures import create, put, raw_of

A, B = "shop/a", "shop/b"
FLIPPED, PROMOTED = CollectionState(Stage.FLIPPED, 100), CollectionState(Stage.PROMOTED, 100)
PROMOTION = tuple(Transition(name, FLIPPED, PROMOTED) for name in (B, A))
DEMOTION = tuple(Transition(name, PROMOTED, FLIPPED) for name in (B, A))


async def _writers(database: Database) -> dict[str, tuple[str, str, int]]:
    rows = await database.fetch(
        "SELECT collection, stage, weight, writer "
        "FROM _crossfade.collection JOIN _crossfade.stamp_floor USING (collection)"
    )
    return {row["collection"]: (row["stage"], row["writer"], row["weight"]) for row in rows}


async def _flipped(database: Database) -> None:
    for name in (A, B):
        await create(database, name)
        await put(database, name, raw_of(name, "k"))
    await database.execute("UPDATE _crossfade.collection SET stage = 'flipped', weight = 100")


async def _taken(session: Session) -> None:
    await session.fetchval(sql.promotion.BEGIN_TAKING, [A, B])
    for name in (A, B):
        await session.fetchval(sql.carryover.TAKE_WRITES, name, 1 << 60, "{}", "0")


async def _begin(database: Database, transitions: tuple[Transition, ...], phase: Phase, wait: str = "0") -> int:
    async with database.transaction() as session:
        control = await control_row.lock(session)
        await session.fetchval(sql.complete.LOCK_WAIT, wait)
        _, generation = await control_row.begin(session, control, transitions, phase, actor="test", reason=None)
        return generation


async def _commit(database: Database, *, taking: bool = False) -> None:
    async with database.transaction() as session:
        control = await control_row.lock(session)
        if taking:
            await _taken(session)
        await control_row.commit(session, control, actor="test", reason=None, detail={}, action="promote")


async def _promoted(database: Database) -> None:
    await _flipped(database)
    await _begin(database, PROMOTION, Phase.HOLD)
    await _commit(database, taking=True)


async def test_there_and_back(database: Database) -> None:
    await _flipped(database)
    generation = await _begin(database, PROMOTION, Phase.HOLD)
    assert {writer for _, writer, _ in (await _writers(database)).values()} == {"origin"}
    await _commit(database, taking=True)
    assert await _writers(database) == {A: ("promoted", "target", 100), B: ("promoted", "target", 100)}
    era = await database.fetchval("SELECT era FROM _crossfade.era")
    assert await database.fetchval("SELECT min(floor) FROM _crossfade.stamp_floor") == era
    assert await database.fetchval("SELECT generation FROM _crossfade.control") == generation + 1
    await _begin(database, DEMOTION, Phase.DRAIN)
    assert await _writers(database) == {A: ("promoted", "none", 100), B: ("promoted", "none", 100)}
    assert await database.fetchval("SELECT held_since IS NOT NULL FROM _crossfade.control")
    await _commit(database)
    assert await _writers(database) == {A: ("flipped", "origin", 100), B: ("flipped", "origin", 100)}
    assert await database.fetchval("SELECT min(floor) FROM _crossfade.stamp_floor") == era + 1
    assert [entry.action for entry in await audit.entries(database)] == ["promote", "promote"]


async def test_the_abort_of_a_demotion_lets_postgresql_write_again(database: Database) -> None:
    await _promoted(database)
    await database.execute("UPDATE _crossfade.control SET closing = true")
    generation = await _begin(database, DEMOTION, Phase.DRAIN)
    assert not await database.fetchval("SELECT closing FROM _crossfade.control")
    async with database.transaction() as session:
        assert await control_row.give_up(session, generation, actor="test", reason="a test")
    assert await _writers(database) == {A: ("promoted", "target", 100), B: ("promoted", "target", 100)}


async def test_a_stage_and_who_takes_the_writes_cannot_part(database: Database) -> None:
    await _flipped(database)
    generation = await _begin(database, PROMOTION, Phase.HOLD)
    with pytest.raises(PreconditionFailed, match="does not take the writes of shop/a, shop/b"):
        await _commit(database)
    async with database.transaction() as session:
        await control_row.give_up(session, generation, actor="test", reason="a test")
    with pytest.raises(StatementError, match="the writer is not target: shop/a origin"):
        await _begin(database, DEMOTION, Phase.DRAIN)
    await _begin(database, PROMOTION, Phase.HOLD)
    await _commit(database, taking=True)
    with pytest.raises(StatementError, match="the writer is not none: shop/a target"):
        await _roll_back(database)


async def _roll_back(database: Database) -> None:
    async with database.transaction() as session:
        control = await control_row.lock(session)
        back, by = [Transition(A, PROMOTED, CollectionState(Stage.SHADOW))], control_row.By.OPERATOR
        await control_row.immediate(session, control, back, actor="test", action="rollback", reason=None, by=by)


async def test_an_instance_that_was_alone_leaves_promoted_collections_and_their_demotion(database: Database) -> None:
    await _promoted(database)
    await _begin(database, DEMOTION, Phase.DRAIN)
    async with database.transaction() as session:
        assert await control_row.roll_back_all(session, actor="test", reason="a test") is None


@pytest.mark.parametrize("lacks", ["a write", "the collection", "a drop of another one"])
async def test_arangodb_has_everything_before_it_takes_writes_again(database: Database, lacks: str) -> None:
    await _promoted(database)
    if lacks == "a write":
        await database.execute("INSERT INTO _crossfade.outbox (collection, key) VALUES ($1, 'k')", B)
    elif lacks == "a drop of another one":
        await database.execute(
            "INSERT INTO _crossfade.outbox (collection, key, kind, body) VALUES ('shop/x', '', 'drop', '{}')"
        )
    else:
        await database.execute("UPDATE _crossfade.stamp_floor SET in_arangodb = false WHERE collection = $1", B)
    await _begin(database, DEMOTION, Phase.DRAIN)
    with pytest.raises(StatementError, match="ArangoDB lacks writes of shop/"):
        await _commit(database)
    assert (await _writers(database))[A] == ("promoted", "none", 100)


async def test_a_change_waits_for_the_writes_that_have_tested_the_writer(database: Database, dsn: str) -> None:
    await _promoted(database)
    async with straight(dsn) as client:
        transaction = client.transaction()
        await transaction.start()
        assert await client.fetchrow(sql.writes.BEGIN.text, A, ["k"], 1, "5s", False)
        with pytest.raises(DatabaseUnavailable):
            await _begin(database, DEMOTION, Phase.DRAIN, "20ms")
        begun = asyncio.create_task(_begin(database, DEMOTION, Phase.DRAIN))
        await asyncio.wait([begun], timeout=0.05)
        assert not begun.done()
        await transaction.commit()
        await begun
        assert await client.fetchrow(sql.writes.BEGIN.text, A, ["k"], 1, "5s", False) is None
