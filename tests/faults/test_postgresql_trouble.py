"""PostgreSQL under administration and traffic: restarted, all connections taken by others, constraints added.

Each client reads what it wrote, at every stage. In the end both databases are equal, and nothing is marked or a dead
letter that PostgreSQL would have accepted.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from deploy.demo.postgres import EmbeddedPostgres
from proxy.model.stages import CollectionState, Stage
from sql.loader import migrations
from tests.harness import Running, eventually, running

BOOKS = "_system/books"
DOCUMENT = "/_api/document/books"
STAGES_UP_TO = {
    Stage.MIRROR: (CollectionState(Stage.MIRROR),),
    Stage.SHADOW: (CollectionState(Stage.MIRROR), CollectionState(Stage.SHADOW)),
    Stage.FLIPPED: (CollectionState(Stage.MIRROR), CollectionState(Stage.SHADOW), CollectionState(Stage.FLIPPED, 100)),
}
_COUNT_OTHER_SESSIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'others'"
)


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL for this test alone; its folder survives each stop."""
    folder = Path(tempfile.mkdtemp(prefix="crossfade-pg-"))
    try:
        with EmbeddedPostgres(folder=folder, options={"fsync": "off", "max_connections": "40"}) as started:
            yield started
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def stack(server: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[Running]:
    connection = await asyncpg.connect(server.dsn)
    for migration in migrations():
        await connection.execute(migration.text)
    await connection.close()
    async with running(server.dsn, tmp_path) as started:
        await started.client.post("/_api/collection", json={"name": "books"})
        yield started


async def at(stack: Running, stage: Stage) -> None:
    for state in STAGES_UP_TO[stage]:
        await stack.move(state, BOOKS)
    await stack.client.post(DOCUMENT, json=[{"_key": f"k{n}", "n": 0} for n in range(4)])
    await stack.drained()


class Client:
    """Writes one key by documents and queries, and checks that reads are never older than its writes."""

    def __init__(self, stack: Running, key: str) -> None:
        self.stack, self.key = stack, key
        self.acknowledged, self.wrong = 0, list[str]()
        self._stop = asyncio.Event()

    async def run(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            query = {"query": "UPDATE @key WITH {n: @n} IN books", "bindVars": {"key": self.key, "n": number}}
            wrote = await (
                self.stack.client.post("/_api/cursor", json=query)
                if number % 3 == 0
                else self.stack.client.patch(f"{DOCUMENT}/{self.key}", json={"n": number})
            )
            read = await self.stack.client.get(f"{DOCUMENT}/{self.key}")
            if wrote.is_success:
                self.acknowledged += 1
                if not read.is_success or read.json()["n"] != number:
                    self.wrong.append(f"{self.key}: wrote {number}, read {read.text}")
            elif wrote.status_code < 500:
                self.wrong.append(f"{self.key}: {wrote.text}")
            await asyncio.sleep(0.01)

    def stop(self) -> None:
        self._stop.set()

    async def progress(self, number: int = 3) -> None:
        """Wait until this many more writes are acknowledged."""
        goal = self.acknowledged + number
        await eventually(lambda: self.acknowledged >= goal, f"{self.key} makes progress")


@contextlib.asynccontextmanager
async def traffic(stack: Running) -> AsyncIterator[list[Client]]:
    """Run the clients; at the end both databases must be equal, without marks or dead letters."""
    clients = [Client(stack, f"k{n}") for n in range(4)]
    tasks = [asyncio.create_task(client.run()) for client in clients]
    try:
        await asyncio.gather(*(client.progress() for client in clients))
        yield clients
        await asyncio.gather(*(client.progress() for client in clients))
    finally:
        for client in clients:
            client.stop()
        await asyncio.gather(*tasks)
    assert [wrong for client in clients for wrong in client.wrong] == []
    await stack.drained()
    assert await stack.differences(BOOKS) == []
    assert await stack.database.fetch("SELECT collection, reason FROM _crossfade.unverified") == []
    assert await stack.database.fetch("SELECT key, reason FROM _crossfade.dead_letter") == []


@pytest.mark.parametrize(
    ("mode", "stage"), [*(("fast", stage) for stage in STAGES_UP_TO), ("immediate", Stage.FLIPPED)], ids=str
)
async def test_a_restart_under_traffic_costs_no_write_and_no_document(
    stack: Running, server: EmbeddedPostgres, stage: Stage, mode: str
) -> None:
    """Statements end with 57P01, crash recovery refuses new sessions with 57P03; both are transient."""
    await at(stack, stage)
    async with traffic(stack) as clients:
        for _ in range(2):
            await asyncio.to_thread(server.stop, mode)
            await clients[0].progress()
            await asyncio.to_thread(server.start)
            await clients[0].progress()


@pytest.mark.parametrize("stage", [Stage.SHADOW, Stage.FLIPPED])
async def test_no_write_is_lost_while_other_sessions_take_every_connection(
    stack: Running, server: EmbeddedPostgres, stage: Stage
) -> None:
    """The others then terminate the proxy's sessions, so that it has none left."""
    await at(stack, stage)
    others: list[asyncpg.Connection[asyncpg.Record]] = []
    settings = {"application_name": "others"}
    keeper = await asyncpg.connect(server.dsn)

    async def take_all() -> None:
        for _ in range(60):
            with contextlib.suppress(asyncpg.PostgresError):
                others.append(await asyncpg.connect(server.dsn, server_settings=settings))

    try:
        async with traffic(stack) as clients:
            await take_all()
            await clients[0].progress()
            await keeper.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                "AND application_name <> 'others' AND pid <> pg_backend_pid()"
            )
            await take_all()
            assert await keeper.fetchval(_COUNT_OTHER_SESSIONS) > 20
            await clients[0].progress()
            for one in others:
                await one.close()
    finally:
        for one in others:
            one.terminate()
        await keeper.close()


@pytest.mark.parametrize("stage", [Stage.FLIPPED])
@pytest.mark.parametrize(
    "constraint",
    ["ADD CHECK (doc IS NULL OR doc ->> 'n' IS DISTINCT FROM '666')", "ADD UNIQUE (raw)", "ALTER raw SET NOT NULL"],
)
async def test_documents_that_an_added_constraint_refuses_become_dead_letters(
    stack: Running, stage: Stage, constraint: str
) -> None:
    """A flip is rolled back before the answer, and everything recovers when the constraint is dropped."""
    if "raw)" in constraint:
        constraint = "ADD COLUMN n text GENERATED ALWAYS AS (doc ->> 'n') STORED, ADD UNIQUE (n)"
    await at(stack, stage)
    for n in range(4):
        await stack.client.patch(f"{DOCUMENT}/k{n}", json={"n": 1000 + n})
    await stack.drained()
    if "NOT NULL" in constraint:
        constraint = "ALTER doc SET NOT NULL"  # no tombstones
    await stack.database.execute(f"ALTER TABLE _system.books {constraint}")
    if "NOT NULL" in constraint:
        answer = await stack.client.delete(f"{DOCUMENT}/k1")
    else:
        value = 666 if "CHECK" in constraint else 1000
        answer = await stack.client.patch(f"{DOCUMENT}/k1", json={"n": value})
    assert answer.is_success
    shown = await stack.client.get(f"{DOCUMENT}/k1")
    assert shown.status_code == 404 if "NOT NULL" in constraint else shown.json()["n"] in (666, 1000)
    await stack.client.patch(f"{DOCUMENT}/k2", json={"n": 7})
    await stack.drained()
    assert [one.partition(":")[0] for one in await stack.differences(BOOKS)] == ["k1"]
    letters = await stack.database.fetch("SELECT key FROM _crossfade.dead_letter")
    assert [row["key"] for row in letters] == ["k1"]
    found = await stack.database.fetchval("SELECT stage FROM _crossfade.collection WHERE collection = $1", BOOKS)
    assert found == "shadow"
    if "UNIQUE" in constraint:
        await stack.database.execute("ALTER TABLE _system.books DROP COLUMN n")
    elif "CHECK" in constraint:
        await stack.database.execute("ALTER TABLE _system.books DROP CONSTRAINT books_doc_check")
    else:
        await stack.database.execute("ALTER TABLE _system.books ALTER doc DROP NOT NULL")
    await stack.application.mirror.catch_up.retry_dead_letters(0)
    assert await stack.differences(BOOKS) == []
    assert await stack.database.fetch("SELECT key FROM _crossfade.dead_letter") == []


async def test_stage_changes_arrive_without_notifications(stack: Running, caplog: pytest.LogCaptureFixture) -> None:
    """The listening session is terminated repeatedly: heartbeats find the change."""
    await at(stack, Stage.SHADOW)
    ending = True

    async def end() -> None:
        while ending:
            await stack.database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND query LIKE 'LISTEN%' AND pid <> pg_backend_pid()"
            )
            await asyncio.sleep(0.02)

    task = asyncio.create_task(end())
    try:
        async with traffic(stack) as clients:
            for state in (
                CollectionState(Stage.FLIPPED, 100),
                CollectionState(Stage.SHADOW),
                CollectionState(Stage.FLIPPED, 100),
            ):
                await stack.move(state, BOOKS)
                await clients[0].progress()
    finally:
        ending = False
        await task
    assert "a task failed" not in caplog.text
