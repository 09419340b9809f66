"""Completions against live instances: what ArangoDB lacks is carried first, or nothing changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import sql
from backfill.completion import gate_evidence
from proxy.base.errors import PreconditionFailed
from proxy.control.epoch import EpochRun, EpochStep, TimedOut
from proxy.model.stages import Phase, Stage
from proxy.state import audit
from tests.ad_hoc import Database
from tests.harness import eventually
from tests.integration.cli_fixtures import Shell, quiet_instances
from tests.integration.control_fixtures import until
from tests.integration.promotion_fixtures import A, B, Promotions, promotions

__all__ = ["quiet_instances"]  # a fixture that every test here uses

ROW = "INSERT INTO _crossfade.outbox (collection, key) VALUES ($1, '1')"
IN_ARANGODB = "SELECT in_arangodb FROM _crossfade.stamp_floor WHERE collection = $1"


@pytest.fixture
async def stack(database: Database, tmp_path: Path) -> AsyncIterator[Promotions]:
    async with promotions(database, tmp_path) as made:
        yield made


async def test_it_waits_for_what_arangodb_lacks_and_then_gives_it_nothing_more(stack: Promotions) -> None:
    one = await stack.start("one")
    await stack.promote(A, B)
    await stack.database.execute(ROW, A)
    at_rest: list[object] = []

    async def look() -> None:
        at_rest.append(await stack.stands())

    completing = asyncio.create_task(stack.complete(A, at_rest=look))
    await until(lambda: one.lease.snapshot.phase is Phase.DRAIN)
    assert await stack.stands() == {A: ("promoted", "none"), B: ("promoted", "target")}
    assert await stack.database.fetchrow(sql.writes.BEGIN.text, A, ["1"], 1, "5s", False) is None
    assert not completing.done()
    assert at_rest == []
    await stack.database.execute("DELETE FROM _crossfade.outbox")
    done = await completing
    assert [transition.after.stage for transition in done.transitions] == [Stage.COMPLETE]
    assert at_rest == [{A: ("promoted", "none"), B: ("promoted", "target")}]
    assert await stack.stands() == {A: ("complete", "target"), B: ("promoted", "target")}
    assert not await stack.database.fetchval(IN_ARANGODB, A)
    assert not one.lease.snapshot.is_complete
    assert [entry.action for entry in await audit.entries(stack.database)] == ["complete", "promote"]
    with pytest.raises(PreconditionFailed, match="only an archive brings it back"):
        await stack.demote(A)
    await stack.complete(A, B)
    assert one.lease.snapshot.is_complete
    # what is created from now on is complete as well
    await stack.database.execute("SELECT _crossfade.create_collection('_system', 'new', false, 1, '{}', 0)")
    assert (await stack.stands())["_system/new"] == ("complete", "target")
    assert await stack.database.fetchval("SELECT count(*) FROM _crossfade.outbox") == 0


async def test_a_certificate_of_different_sides_does_not_hold(
    stack: Promotions, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_evidence, "RECHECK_SECONDS", 0.0)
    await stack.start("one")
    await stack.promote(A, B)
    relation = await stack.database.fetchval("SELECT relation FROM _crossfade.collection WHERE collection = $1", A)
    changed = "overlay(raw::text PLACING '\"n\":2' FROM strpos(raw::text, '\"n\":1') FOR 5)::json"
    await stack.database.execute(
        f"UPDATE {relation} SET raw = {changed}, doc = _crossfade.queryable({changed}) WHERE key = '2'"
    )
    shell = Shell({"CROSSFADE_DSN": dsn, "CROSSFADE_ORIGIN": stack.origin.url, "COLUMNS": "220"})
    nowhere = await shell("complete", "a", "--certificate", str(tmp_path / "end.pdf"))
    assert (nowhere.code, "is a file .json or .html" in nowhere.err) == (1, True)
    done = await shell(
        "complete", "a", "b", "--force", "--reason", "a test", "--certificate", str(tmp_path / "end.json")
    )
    assert done.code == 1, done.err
    assert "end.json does not hold: _system/a: 1 documents are different (2: other content)" in done.out
    assert await stack.stands() == {A: ("complete", "target"), B: ("complete", "target")}
    certificate = json.loads((tmp_path / "end.json").read_text())
    assert [one["equal"] for one in certificate["collections"]] == [False, True]
    sides = certificate["collections"][0]
    assert sides["postgresql"]["checksum"] != sides["arangodb"]["checksum"]
    assert "does not hold" in (tmp_path / "end.html").read_text()


async def test_what_takes_too_long_or_is_killed_changes_nothing(
    stack: Promotions, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.start("one")
    await stack.promote(A)
    await stack.database.execute(
        "INSERT INTO _crossfade.outbox (collection, key) SELECT $1, '1' FROM generate_series(1, 600)", A
    )
    with pytest.raises(TimedOut, match="ArangoDB lacks 600 writes"):
        await stack.complete(A, timeout=0.2)
    await stack.database.execute("DELETE FROM _crossfade.outbox WHERE id > (SELECT min(id) FROM _crossfade.outbox)")

    class Killed(BaseException):
        """The end of a command that cleans nothing up."""

    def kill_in_drain(step: EpochStep) -> None:
        if step.phase is Phase.DRAIN:
            raise Killed

    async def nothing(*_: object) -> int:
        return 0

    monkeypatch.setattr(EpochRun, "_abort", nothing)
    with pytest.raises(Killed):
        await stack.complete(A, progress=kill_in_drain)
    monkeypatch.undo()

    async def settled() -> bool:
        return await stack.phase() == "settled"

    await eventually(settled, "an instance aborts it")
    assert (await stack.stands())[A] == ("promoted", "target")
    assert await stack.database.fetchval(IN_ARANGODB, A)
    assert await stack.database.fetchrow(sql.writes.BEGIN.text, A, ["1"], 1, "5s", False)


async def test_a_new_collection_is_complete_only_if_there_is_one_that_is(database: Database) -> None:
    """Collections that are gone decide nothing."""
    made = "SELECT (_crossfade.ensure_collection('shop', $1)).stage"
    assert await database.fetchval(made, "gone") == "off"
    await database.execute("UPDATE _crossfade.collection SET dropped_at = now()")
    assert await database.fetchval(made, "next") == "off"
    await database.execute("UPDATE _crossfade.collection SET stage = 'complete', weight = 100 WHERE name = 'next'")
    assert await database.fetchval(made, "last") == "complete"
