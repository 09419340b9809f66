"""PostgreSQL away: clients notice nothing, the backlog grows in the journal and drains by itself (I2, I3)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner

import proxy.cli
from deploy.demo.postgres import EmbeddedPostgres
from proxy.model.stages import CollectionState, Stage
from sql.loader import migrations
from tests.harness import Running, eventually, running

BOOKS = "_system/books"
DOCUMENT = "/_api/document/books"


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL for this test alone, which is stopped and started."""
    with EmbeddedPostgres(options={"fsync": "off"}) as started:
        yield started


@pytest.fixture
async def stack(server: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[Running]:
    connection = await asyncpg.connect(server.dsn)
    for migration in migrations():
        await connection.execute(migration.text)
    await connection.close()
    async with running(server.dsn, tmp_path, queue_documents=50) as started:
        await started.client.post("/_api/collection", json={"name": "books"})
        await started.move(CollectionState(Stage.MIRROR), BOOKS)
        yield started


async def test_an_outage_costs_clients_nothing_and_loses_nothing(stack: Running, server: EmbeddedPostgres) -> None:
    """More writes than the queue holds: what does not fit in memory remains an intent and is read again (I5)."""
    for n in range(20):
        assert (await stack.client.post(DOCUMENT, json={"_key": f"before{n}"})).status_code == 202
    await stack.drained()
    server.stop("immediate")
    for n in range(200):
        assert (await stack.client.post(DOCUMENT, json={"_key": f"during{n}", "n": n})).status_code == 202
        if n % 3 == 0:
            assert (await stack.client.delete(f"{DOCUMENT}/during{n}")).status_code in (200, 202)
        if n < 20:
            assert (await stack.client.patch(f"{DOCUMENT}/before{n}", json={"seen": True})).status_code in (201, 202)
    assert (await stack.client.get(DOCUMENT + "/during1")).status_code == 200
    assert stack.application.mirror.backlog >= 200
    server.start()
    await stack.drained()
    assert await stack.differences(BOOKS) == []


async def test_status_reports_the_backlog_while_postgresql_is_away(stack: Running, server: EmbeddedPostgres) -> None:
    """I10: the control database is unreachable, so the status comes from the proxy of this machine."""
    server.stop("immediate")
    for n in range(3):
        await stack.client.post(DOCUMENT, json={"n": n})
    environment = {"CROSSFADE_DSN": server.dsn, "CROSSFADE_ADMIN_PORT": str(stack.application.admin_port)}
    app, _ = proxy.cli.build()
    reported = await asyncio.to_thread(CliRunner().invoke, app, ["status"], env=environment)
    assert reported.exit_code == 2
    assert f"{stack.application.instance}: backlog 3, 3 of it in memory" in reported.stdout
    assert "Cannot connect to PostgreSQL" in reported.stderr
    unreachable = await asyncio.to_thread(
        CliRunner().invoke, app, ["status"], env={**environment, "CROSSFADE_ADMIN_PORT": "1"}
    )
    assert "does not answer either" in unreachable.stdout
    status = await asyncio.to_thread(CliRunner().invoke, app, ["status", "--json"], env=environment)
    printed = status.stdout  # and what the stack, which shares this process, logs meanwhile
    document = json.loads(printed[printed.index("{\n") : printed.rindex("\n}") + 2])
    assert any("backlog 3" in line for line in document["error"]["meanwhile"])
    server.start()
    await stack.drained()


async def test_after_one_pause_the_origin_serves_flipped_collections_during_an_outage(
    stack: Running, server: EmbeddedPostgres
) -> None:
    """I7 and DESIGN section 9: an outage after the flip costs one pause, no error and no stale read."""
    await stack.client.post(DOCUMENT, json={"_key": "a", "n": 0})
    await stack.drained()
    await stack.move(CollectionState(Stage.SHADOW), BOOKS)
    await stack.move(CollectionState(Stage.FLIPPED, 100), BOOKS)
    assert (await stack.client.get(DOCUMENT + "/a")).json()["n"] == 0
    server.stop("immediate")
    for n in range(1, 6):
        assert (await stack.client.patch(DOCUMENT + "/a", json={"n": n})).status_code in (201, 202)
        assert (await stack.client.get(DOCUMENT + "/a")).json()["n"] == n
    server.start()
    await stack.drained()
    assert await stack.differences(BOOKS) == []

    async def settled() -> bool:
        stage = await stack.database.fetchval("SELECT stage FROM _crossfade.collection WHERE collection = $1", BOOKS)
        return stage == "shadow" and not stack.application.lease.diverged

    await eventually(settled, "the instance that acknowledged alone has rolled the flip back and rejoined")
    assert (await stack.client.get(DOCUMENT + "/a")).json()["n"] == 5


async def test_an_origin_outage_under_traffic_leaves_both_databases_equal(stack: Running) -> None:
    """Lost answers are resolved by reading again (I5)."""
    stop = asyncio.Event()

    async def write(client: int) -> None:
        n = 0
        while not stop.is_set():
            n += 1
            answer = await stack.client.post(DOCUMENT, json={"_key": f"c{client}n{n % 7}", "n": n})
            if answer.status_code == 409:
                await stack.client.put(f"{DOCUMENT}/c{client}n{n % 7}", json={"n": n})

    async with asyncio.TaskGroup() as group:
        for client in range(4):
            group.create_task(write(client))
        for _ in range(3):
            await asyncio.sleep(0.15)
            await stack.origin.stop()
            await stack.origin.start()
        stop.set()
    await stack.drained()
    assert await stack.differences(BOOKS) == []
