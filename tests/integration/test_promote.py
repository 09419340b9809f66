"""Promotions and demotions against live instances, a real PostgreSQL and a development ArangoDB with users."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

import sql
from proxy.base.errors import CrossfadeError, PreconditionFailed, StatementError, UpstreamUnavailable
from proxy.carryover import group_handover
from proxy.carryover.account_copy import compare_accounts, copy_accounts
from proxy.carryover.server_reading import read_server
from proxy.complete.query_indexes import QueryIndexes
from proxy.control.controller import rollback
from proxy.control.epoch import EpochRun, EpochStep, TimedOut
from proxy.control.promotion.revision_floor import newest_revision
from proxy.control.promotion.rights import OriginRights
from proxy.control.promotion.rights_keeper import RightsKeeper
from proxy.model.stages import Phase, Stage
from proxy.state import audit
from tests.ad_hoc import Database
from tests.harness import eventually
from tests.integration.control_fixtures import Application, until
from tests.integration.promotion_fixtures import A, B, Promotions, promotions
from tests.integration.target_fixtures import create, put, raw_of

FLIPPED = {A: ("flipped", "origin"), B: ("flipped", "origin")}
PROMOTED = {A: ("promoted", "target"), B: ("promoted", "target")}


@pytest.fixture
async def stack(database: Database, tmp_path: Path) -> AsyncIterator[Promotions]:
    async with promotions(database, tmp_path) as made:
        yield made


async def _write(stack: Promotions, collection: str, key: str) -> int:
    """Begin a write that PostgreSQL decides, and return its revision; 0 if the fence refuses it."""
    row = await stack.database.fetchrow(sql.writes.BEGIN.text, collection, [key], 1, "5s", False)
    return row["revisions"][0] if row is not None else 0


async def test_a_group_there_and_back(stack: Promotions) -> None:
    one, two = await stack.start("one"), await stack.start("two")
    before = await stack.granted()
    steps: list[EpochStep] = []
    done = await stack.promote(B, A, progress=steps.append)
    assert [transition.collection for transition in done.transitions] == [A, B]
    assert list(dict.fromkeys(step.phase for step in steps)) == [Phase.HOLD, Phase.IDLE]
    assert await stack.stands() == PROMOTED
    assert one.lease.snapshot.state(A).stage is two.lease.snapshot.state(B).stage is Stage.PROMOTED
    # nobody but Crossfade may write them in ArangoDB, and what everyone had is noted
    assert await stack.levels(A) == {"ann": "ro", "bob": "none", "carl": "ro"}
    assert await stack.levels(B) == {"ann": "ro", "bob": "ro", "carl": "ro"}
    assert await stack.noted() == 3
    newest = await newest_revision(stack.client)
    assert 0 < await _write(stack, A, "1") < newest + (60_000 << 20)
    listed = await stack.database.fetch("SELECT name FROM _crossfade.catalog WHERE kind = 'collection'")
    assert {A, B} <= {row["name"] for row in listed}
    counted = "SELECT _crossfade.count_of(relation) FROM _crossfade.collection WHERE collection = $1"
    assert await stack.database.fetchval(counted, A) == 2
    assert (await stack.promote(A)).transitions == ()

    # back: what ArangoDB lacks is carried first
    await stack.database.execute("INSERT INTO _crossfade.outbox (collection, key) VALUES ($1, '1')", A)
    given = await _write(stack, B, "1")
    back = asyncio.create_task(stack.demote(A, B, progress=steps.append))
    await until(lambda: one.lease.snapshot.phase is Phase.DRAIN)
    assert await stack.stands() == {A: ("promoted", "none"), B: ("promoted", "none")}
    assert await _write(stack, A, "1") == 0
    assert not back.done()
    await stack.database.execute("DELETE FROM _crossfade.outbox")
    await back
    assert await stack.stands() == FLIPPED
    assert await newest_revision(stack.client) > given
    assert await stack.granted() == before
    assert await stack.noted() == 0
    assert [entry.action for entry in await audit.entries(stack.database)] == ["demote", "promote"]
    again = await stack.promote(A)
    assert await stack.database.fetchval(counted, A) == 2
    assert again.epoch == done.epoch + 2
    more = await stack.promote(A, B)  # one of them is promoted already
    assert [transition.collection for transition in more.transitions] == [B]


class Broken(CrossfadeError):
    """What a step of a test raises."""


def fail() -> NoReturn:
    raise Broken


@pytest.mark.parametrize("step", ["prepared", "rights taken", "compared", "writes taken"])
async def test_what_fails_at_any_step_changes_nothing(stack: Promotions, step: str) -> None:
    await stack.start("one")
    before = await stack.granted()
    stack.broken[step] = fail
    with pytest.raises(Broken):
        await stack.promote(A, B)
    assert (await stack.stands(), await stack.phase()) == (FLIPPED, "settled")
    await eventually(lambda: _no_notes(stack), "rights are given back")
    assert await stack.granted() == before
    stack.broken.clear()
    await stack.promote(A, B)
    assert await stack.stands() == PROMOTED


async def _no_notes(stack: Promotions) -> bool:
    await stack.rights.give_back()
    return await stack.noted() == 0


async def test_who_does_not_acknowledge_is_named_and_the_promotion_aborted(stack: Promotions) -> None:
    one = await stack.start("one", Application(under_way=1))
    with pytest.raises(TimedOut, match="one has not met the phase's conditions"):
        await stack.promote(A, timeout=0.5)
    assert (await stack.stands(), await stack.phase()) == (FLIPPED, "settled")
    promoting = asyncio.create_task(stack.promote(A))
    await until(lambda: one.lease.snapshot.phase is Phase.HOLD)
    await rollback(stack.database, [A], actor="an operator")
    with pytest.raises(PreconditionFailed, match="aborted by another command"):
        await promoting
    assert (await stack.stands())[A] == ("shadow", "origin")


async def test_a_disk_that_lacks_the_hold_acknowledges_nothing(stack: Promotions) -> None:
    one = await stack.start("one")
    file = one.settings.state_dir / "control.new"
    file.mkdir()  # the new snapshot cannot be written
    with pytest.raises(TimedOut):
        await stack.promote(A, timeout=0.5)
    file.rmdir()
    await stack.promote(A)
    assert (one.settings.state_dir / "promoted").exists()


async def test_definitions_that_change_under_the_hold_refuse_it(stack: Promotions) -> None:
    await stack.start("one")

    def change() -> None:
        stack.origin.store.server.databases["_system"].find("a").wait_for_sync = True

    stack.broken["rights taken"] = change
    with pytest.raises(PreconditionFailed, match="properties or indexes of _system/a were changed"):
        await stack.promote(A, B)
    assert await stack.stands() == FLIPPED


async def test_arangodb_that_is_away_changes_nothing(stack: Promotions) -> None:
    await stack.start("one")
    before = await stack.granted()
    loop = asyncio.get_running_loop()
    stack.broken["prepared"] = lambda: loop.create_task(stack.origin.stop())
    with pytest.raises((UpstreamUnavailable, CrossfadeError)):
        await stack.promote(A)
    assert (await stack.stands(), await stack.phase()) == (FLIPPED, "settled")
    await stack.origin.start()
    await asyncio.sleep(stack.settings.lost_request_timeout)
    await eventually(lambda: _no_notes(stack), "rights are given back")
    assert await stack.granted() == before


class Killed(BaseException):
    """The end of a command that cleans nothing up."""


def kill() -> NoReturn:
    raise Killed


@pytest.fixture
def killable(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let a command that ends leave everything as it is."""

    async def nothing(*_: object) -> int:
        return 0

    def switch() -> None:
        monkeypatch.setattr(EpochRun, "_abort", nothing)
        monkeypatch.setattr(OriginRights, "give_back", nothing)

    return switch


@pytest.mark.parametrize("step", ["rights taken", "compared", "writes taken"])
async def test_instances_end_the_promotion_of_a_killed_command(
    stack: Promotions, step: str, killable: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.start("one")
    before = await stack.granted()
    stack.broken[step] = kill
    killable()
    with pytest.raises(Killed):
        await stack.promote(A, B)
    monkeypatch.undo()
    assert await stack.noted() == 3
    keeper = RightsKeeper(stack.database, stack.settings)
    try:
        await eventually(lambda: _settled(stack), "an instance aborts it")
        await keeper.check()
        assert not keeper.may_lack(A)
    finally:
        await keeper.close()
    assert await stack.stands() == FLIPPED
    assert await stack.granted() == before


async def _settled(stack: Promotions) -> bool:
    return await stack.phase() == "settled"


async def test_instances_end_the_demotion_of_a_killed_command(
    stack: Promotions, killable: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.start("one")
    await stack.promote(A, B)
    await stack.database.execute("INSERT INTO _crossfade.outbox (collection, key) VALUES ($1, '1')", A)

    def kill_in_drain(step: EpochStep) -> None:
        if step.phase is Phase.DRAIN:
            raise Killed

    killable()
    with pytest.raises(Killed):
        await stack.demote(A, B, progress=kill_in_drain)
    monkeypatch.undo()
    await eventually(lambda: _settled(stack), "an instance aborts it")
    assert await stack.stands() == PROMOTED
    assert await _write(stack, A, "1")
    # killed before its epoch is open: writes pause
    await stack.database.execute("UPDATE _crossfade.control SET closing = true")
    assert await _write(stack, A, "1") == 0

    async def goes_on() -> bool:
        return bool(await _write(stack, A, "1"))

    await eventually(goes_on, "an instance ends the pause")


async def test_rights_are_given_back_although_the_demotion_was_killed_before_it_did(
    stack: Promotions, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.start("one")
    before = await stack.granted()
    await stack.promote(A, B)

    async def killed(_: object) -> int:
        kill()

    monkeypatch.setattr(OriginRights, "give_back", killed)
    with pytest.raises(Killed):
        await stack.demote(A, B)
    monkeypatch.undo()
    assert await stack.stands() == FLIPPED
    assert (await stack.levels(A))["ann"] == "ro"
    keeper = RightsKeeper(stack.database, stack.settings)
    keeper.start()
    try:
        await eventually(lambda: _granted(stack, before), "a proxy gives them back")
        await eventually(lambda: not keeper.may_lack(A), "it knows")
        assert not await keeper.lacks(A)
    finally:
        await keeper.close()


async def _granted(stack: Promotions, expected: object) -> bool:
    return await stack.granted() == expected


async def test_a_demotion_that_takes_too_long_is_aborted(database: Database, tmp_path: Path) -> None:
    async with promotions(database, tmp_path, flip_hold_timeout=1.0) as stack:
        await stack.start("one", flip_hold_timeout=1.0)
        await stack.promote(A)
        await database.execute("INSERT INTO _crossfade.outbox (collection, key) VALUES ($1, '1')", A)
        with pytest.raises(TimedOut, match="writes have waited too long"):
            await stack.demote(A)
        assert (await stack.stands())[A] == ("promoted", "target")
        assert (await stack.levels(A))["ann"] == "ro"
        await database.execute(
            "INSERT INTO _crossfade.outbox (collection, key) SELECT $1, '1' FROM generate_series(1, 600)", A
        )
        with pytest.raises(TimedOut, match="ArangoDB lacks 601 writes"):
            await stack.demote(A, timeout=0.2)
        await database.execute("UPDATE _crossfade.stamp_floor SET in_arangodb = false WHERE collection = $1", A)
        with pytest.raises(PreconditionFailed, match="was created in PostgreSQL"):
            await stack.demote(A)


async def test_rights_that_an_administrator_gives_meanwhile_are_taken_again(stack: Promotions) -> None:
    await stack.start("one")
    await stack.promote(A)
    await stack.direct.put("/_api/user/carl/database/_system/a", json={"grant": "rw"})
    assert await stack.rights.retake() == 1
    assert (await stack.levels(A))["carl"] == "ro"
    await stack.demote(A)
    assert (await stack.levels(A))["carl"] == "rw"


async def test_accounts_stay_equal_through_promotions(stack: Promotions) -> None:
    """Else the gate of the next promotion fails, and accounts cannot be copied while a collection is promoted."""
    await stack.start("one")
    await stack.direct.post("/_api/user", json={"user": "dora"})
    await stack.direct.put("/_api/user/dora/database/*", json={"grant": "rw"})

    async def differences() -> object:
        return (await compare_accounts(stack.database, await read_server(stack.client, "root"), None)).changes

    server = await read_server(stack.client, "root")
    await copy_accounts(stack.database, server, None, actor="test", reason=None)
    for name in (A, B):
        await stack.promote(name)
        assert (await stack.levels(name))["ann"] == "ro"
        assert await differences() == ()
    await stack.demote(A)
    assert await differences() == ()
    await stack.promote(A)
    await stack.demote(A, B)
    assert await differences() == ()


async def test_a_request_for_rights_that_was_not_answered_delays_the_next_promotion(stack: Promotions) -> None:
    await stack.start("one")
    await stack.database.execute(
        "INSERT INTO _crossfade.origin_right (collection, username, granted, followed, asked_at) "
        "VALUES ($1, 'ann', NULL, '{}', clock_timestamp() + interval '1 hour')",
        A,
    )
    with pytest.raises(PreconditionFailed, match="was not answered by ArangoDB, and may still happen"):
        await stack.promote(A)
    await stack.database.execute("UPDATE _crossfade.origin_right SET asked_at = now() - interval '1 hour'")
    await stack.promote(A)


async def test_rights_that_were_not_given_back_yet_are_not_noted_again(stack: Promotions) -> None:
    await stack.start("one")
    before = await stack.granted()
    await stack.rights.take(await stack.rights.writers([B]))
    await stack.direct.put("/_api/user/bob/database/_system/b", json={"grant": "rw"})  # by an administrator, meanwhile
    await stack.rights.take([replace(right, granted="none") for right in await stack.rights.writers([B])])
    await stack.rights.give_back()
    assert await stack.granted() == before


async def test_a_demotion_waits_until_arangodb_gives_later_revisions(stack: Promotions) -> None:
    await stack.start("one")
    await stack.promote(A)
    ahead = (await newest_revision(stack.client)) + (1_000 << 20)
    await stack.database.execute(
        "SELECT setval(revisions::regclass, $1) FROM _crossfade.stamp_floor WHERE collection = $2", ahead, A
    )
    await stack.demote(A)
    assert await newest_revision(stack.client) > ahead


async def test_revisions_begin_above_all_that_arangodb_has_given(stack: Promotions) -> None:
    """Also above those that it gave to other collections, and by a clock that is ahead of PostgreSQL's."""
    await stack.start("one")
    clock = stack.origin.store.server.clock
    clock.observe(ahead := (int(time.time() * 1000) + 3_600_000) << 20)
    await stack.promote(A)
    assert await _write(stack, A, "1") > ahead


@pytest.mark.parametrize("small", [True, False])
async def test_unique_indexes_hold_from_the_commit_on_and_end_with_the_demotion(
    stack: Promotions, monkeypatch: pytest.MonkeyPatch, *, small: bool
) -> None:
    """The mirror may apply two writes, of which one sets a value free that the other takes, in either order."""
    await stack.start("one")
    index = {"type": "persistent", "fields": ["n"], "unique": True, "sparse": True}
    await stack.direct.patch("/_api/document/a/2", json={"n": 2})
    assert (await stack.direct.post("/_api/index?collection=a", json=index)).status_code == 201
    relation = await create(stack.database, A)
    await put(stack.database, A, (await stack.direct.get("/_api/document/a/2")).content)
    upkeep = QueryIndexes(stack.database)
    if not small:
        monkeypatch.setattr(group_handover, "SMALL", 0)
        with pytest.raises(PreconditionFailed, match=r"system/a \(2 documents\) would wait .* pass --long-pause"):
            await stack.promote(A)
    await stack.promote(A, long_pause=not small)
    swap = f"UPDATE {relation} SET raw = $1::json, doc = _crossfade.queryable($1::json), rev = rev + 1 WHERE key = '1'"
    twice = raw_of(A, "1", b'{"n": 2}').decode()
    with pytest.raises(StatementError, match="unique"):
        await stack.database.execute(swap, twice)
    await stack.demote(A)
    await stack.database.execute(swap, twice)
    await upkeep.ensure()
    await stack.database.execute(swap, twice)
