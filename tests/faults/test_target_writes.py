"""Writes that PostgreSQL itself decides, while it crashes: acknowledged ones are there, refused ones are not.

Clients remember what each of their writes was told: an answer, an error that says that nothing was written, or that the
outcome of a commit is unknown. Two writers stand for two proxies.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import orjson
import pytest

from deploy.demo.postgres import EmbeddedPostgres
from proxy.base.errors import CommitOutcomeUnknown, DatabaseError
from proxy.model.operations import Operation
from proxy.stores.postgres.writes import DocumentWriter
from proxy.wire.decode import decode_parts
from tests.ad_hoc import Database
from tests.conftest import migrated_template
from tests.harness import eventually
from tests.integration.target_fixtures import take_writes

CRASHES: Final = 3
CLIENTS: Final = 6
BETWEEN: Final = 60  # acknowledged writes between two crashes


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL for this test alone; its folder survives each stop."""
    folder = Path(tempfile.mkdtemp(prefix="crossfade-pg-"))
    try:
        with EmbeddedPostgres(folder=folder, options={"fsync": "off"}) as started:
            yield started
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Clients:
    """Clients that insert documents, each with its number, and note what became of it."""

    def __init__(self, writers: list[DocumentWriter]) -> None:
        self._writers = itertools.cycle(writers)
        self._numbers = itertools.count()
        self.acknowledged: dict[int, str] = {}  # number -> key
        self.refused: set[int] = set()
        self.unknown: set[int] = set()
        self.ended = False

    async def client(self) -> None:
        writer = next(self._writers)
        while not self.ended:
            number = next(self._numbers)
            try:
                outcome = await writer.execute(_insert(number))
            except CommitOutcomeUnknown:
                self.unknown.add(number)
            except DatabaseError:
                self.refused.add(number)
                await asyncio.sleep(0.05)
            else:
                assert outcome.status == 202, outcome
                written = orjson.loads(outcome.body)
                self.acknowledged[number] = (written[0] if isinstance(written, list) else written)["_key"]


def _insert(number: int) -> Operation:
    body = {"number": number} if number % 3 else [{"number": number}, {"number": number}]
    return decode_parts("POST", b"/_api/document/c", [], orjson.dumps(body))


async def test_acknowledged_writes_survive_a_crash_and_refused_ones_did_not_happen(server: EmbeddedPostgres) -> None:
    await migrated_template(server.dsn)
    dsn = server.dsn.rsplit("/", 1)[0] + "/migrated"
    pools = [await Database.open(dsn, size=4, timeout=10.0) for _ in range(2)]
    relation = await take_writes(pools[0], "_system/c", {"keyOptions": {"type": "autoincrement"}})
    clients = Clients([DocumentWriter(pool, lock_wait=10.0) for pool in pools])
    tasks = [asyncio.create_task(clients.client()) for _ in range(CLIENTS)]
    for crash in range(1, CRASHES + 1):
        wanted = crash * BETWEEN
        await eventually(lambda wanted=wanted: len(clients.acknowledged) >= wanted, f"{wanted} acknowledged writes")
        await asyncio.to_thread(server.stop, "immediate")
        await asyncio.to_thread(server.start)
    wanted = (CRASHES + 1) * BETWEEN
    await eventually(lambda: len(clients.acknowledged) >= wanted, f"{wanted} acknowledged writes")
    clients.ended = True
    await asyncio.gather(*tasks)

    rows = await pools[0].fetch(f"SELECT key, (doc ->> 'number')::integer AS number FROM {relation}")
    outbox = await pools[0].fetch("SELECT key FROM _crossfade.outbox")
    for pool in pools:
        await pool.close()
    there = Counter(row["number"] for row in rows)
    keys = {(row["number"], row["key"]) for row in rows}
    assert [number for number, key in clients.acknowledged.items() if (number, key) not in keys] == []
    assert [number for number in clients.refused if number in there] == []
    assert {number for number, count in there.items() if count != (1 if number % 3 else 2)} == set()  # all or nothing
    assert there.keys() <= clients.acknowledged.keys() | clients.unknown
    assert {row["key"] for row in outbox} == {row["key"] for row in rows}
    assert clients.refused
