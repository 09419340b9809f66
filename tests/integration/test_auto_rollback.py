"""Automatic rollback on a real stack: reads return to ArangoDB without an operator, and the reason is shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.base.errors import DatabaseUnavailable
from proxy.control import controller, rollback_budgets
from proxy.control.rollback_budgets import RollbackBudget
from proxy.control.transitions_plan import DesiredState
from proxy.model.operations import Operation, Outcome
from proxy.model.stages import CollectionState, Stage
from proxy.state import audit
from proxy.stores.postgres import PostgresStore
from tests.ad_hoc import Database
from tests.harness import Running, eventually, running

BOOKS, AUTHORS = "_system/books", "_system/authors"
DOCUMENT = "/_api/document/books"


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path) as started:
        for name in ("books", "authors"):
            await started.client.post("/_api/collection", json={"name": name})
        for stage in (Stage.MIRROR, Stage.SHADOW):
            await started.move(CollectionState(stage), BOOKS, AUTHORS)
        await started.client.post(DOCUMENT, json={"_key": "a", "n": 0})
        await started.drained()
        yield started


async def flip(stack: Running, budget: RollbackBudget | None, *collections: str, weight: int = 100) -> None:
    await controller.change(
        stack.database,
        [DesiredState(name, Stage.FLIPPED, weight) for name in collections],
        settings=stack.settings,
        actor="anna",
        reason="test",
        force=True,
        timeout=10,
        budget=budget,
    )


async def stages(stack: Running) -> list[str]:
    rows = await stack.database.fetch("SELECT stage FROM _crossfade.collection ORDER BY collection DESC")
    return [row["stage"] for row in rows]


async def rolled_back(stack: Running, reason: str) -> None:
    """Read until both collections have been rolled back, and check that the reason is shown."""

    async def done() -> bool:
        await stack.client.get(DOCUMENT + "/a")
        return await stages(stack) == ["shadow", "shadow"]

    await eventually(done, "automatic rollback")
    entry = (await audit.entries(stack.database, limit=1))[0]
    assert entry.action == "rollback"
    assert entry.actor == f"auto-rollback of instance {stack.application.instance}"
    assert reason in str(entry.reason)
    assert entry.detail["auto_rollback"]["armed_by"] == "anna"
    found = {one.collection: one for one in await rollback_budgets.read(stack.database)}
    assert not found[BOOKS].armed
    assert reason in str(found[BOOKS].why)
    assert reason in str(found[AUTHORS].why)  # flipped together, back together


async def test_confirmed_mismatches_roll_reads_back(stack: Running) -> None:
    """Reads are compared the other way round: PostgreSQL answers, ArangoDB is asked."""
    await flip(stack, RollbackBudget(), BOOKS, AUTHORS)
    await stack.database.execute("""UPDATE _system.books SET raw = replace(raw::text, '"n":0', '"n":9')::json""")
    answer = await stack.client.get(DOCUMENT + "/a", headers={"X-Crossfade-Explain": "1"})
    assert (answer.json()["n"], answer.headers["x-crossfade-served-by"]) == (9, "postgresql")
    await rolled_back(stack, "confirmed mismatches since automatic rollback was armed: ")
    assert (await stack.client.get(DOCUMENT + "/a")).json()["n"] == 0
    shown = await stack.database.fetchval("SELECT samples::text FROM _crossfade.mismatch")
    assert '"reversed": true' in shown


async def test_errors_of_postgresql_roll_reads_back(stack: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    await flip(stack, RollbackBudget(errors_percent=5), BOOKS, AUTHORS)
    assert set(await stages(stack)) == {"flipped"}

    async def fails(self: PostgresStore, operation: Operation, generation: int) -> Outcome | None:
        raise DatabaseUnavailable("too many clients already")

    monkeypatch.setattr(PostgresStore, "fenced", fails)
    await rolled_back(stack, "reads failed on PostgreSQL within 6 s")


async def test_slow_reads_roll_reads_back_before_they_have_ended(
    stack: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await flip(stack, RollbackBudget(seconds=0.2), BOOKS, AUTHORS)
    await eventually(lambda: bool(stack.application.auto_rollback.figures()), "the budgets are read")
    release = asyncio.Event()

    async def hangs(self: PostgresStore, operation: Operation, generation: int) -> Outcome | None:
        await release.wait()
        return None

    monkeypatch.setattr(PostgresStore, "fenced", hangs)
    reads = [asyncio.create_task(stack.client.get(DOCUMENT + "/a")) for _ in range(4)]

    async def done() -> bool:
        return await stages(stack) == ["shadow", "shadow"]

    await eventually(done, "automatic rollback")
    release.set()
    assert {answer.status_code for answer in await asyncio.gather(*reads)} == {200}
    assert "took longer than 200 ms" in str((await audit.entries(stack.database, limit=1))[0].reason)


async def test_an_outage_is_remembered_until_it_can_be_acted_on(
    stack: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await flip(stack, RollbackBudget(), BOOKS, AUTHORS)
    await eventually(lambda: bool(stack.application.auto_rollback.figures()), "the budgets are read")
    original_read, away = rollback_budgets.read, True

    async def unreachable(database: Database) -> tuple[rollback_budgets.CollectionBudget, ...]:
        if away:
            raise DatabaseUnavailable("away")
        return await original_read(database)

    async def fails(self: PostgresStore, operation: Operation, generation: int) -> Outcome | None:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(rollback_budgets, "read", unreachable)
    with monkeypatch.context() as broken:
        broken.setattr(PostgresStore, "fenced", fails)
        for _ in range(5):
            await stack.client.get(DOCUMENT + "/a")
        await eventually(lambda: bool(stack.application.auto_rollback._verdicts), "the failed reads are counted")
    assert set(await stages(stack)) == {"flipped"}
    away = False
    await rolled_back(stack, "reads failed on PostgreSQL")


async def test_automatic_rollback_stays_when_the_weight_grows_and_ends_with_the_flip(stack: Running) -> None:
    await flip(stack, RollbackBudget(mismatches=5), BOOKS, weight=10)
    await flip(stack, None, BOOKS)
    one = (await rollback_budgets.read(stack.database))[0]
    assert (one.armed, one.budget.mismatches, one.state.weight) == (True, 5, 100)
    await flip(stack, RollbackBudget(mismatches=7), BOOKS)  # nothing moves, and the budget changes
    one = (await rollback_budgets.read(stack.database))[0]
    assert (one.budget.mismatches, one.armed_by) == (7, "anna")
    assert (await audit.entries(stack.database, limit=1))[0].action == "auto-rollback"
    await flip(stack, RollbackBudget(mismatches=8), BOOKS, weight=50)
    assert (await rollback_budgets.read(stack.database))[0].budget.mismatches == 8
    await stack.move(CollectionState(Stage.SHADOW), BOOKS)
    one = (await rollback_budgets.read(stack.database))[0]
    assert (one.armed, one.why) == (False, None)
    assert (await audit.verify(stack.database)).broken is None
