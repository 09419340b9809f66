"""Writes in tiny parts have the answers of whole ones: random requests, with bodies that count as large.

The same sequences as in test_two_stores: the development server has each body as a whole, PostgreSQL in parts of a few
bytes and documents, of which two are already copied. STORE_SEQUENCES and STORE_SEED as there.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import msgspec
import pytest

from proxy.base.spool import SpoolSpace
from proxy.devserver.store import MemoryStore
from proxy.model.operations import Operation, Outcome
from proxy.semantics.large_writes import PartSize
from proxy.stores.postgres.writes import DocumentWriter, row_changes, transaction
from tests.ad_hoc import Database
from tests.property.test_two_stores import LENGTH, SEED, SEQUENCES, Stores, stores_of
from tests.property.write_requests import Maker, Request

SIZES = (PartSize(1, 1), PartSize(30, 2), PartSize(120, 1000), PartSize(4000, 3))


class LargeStores(Stores):
    """A collection in both stores. Bodies of arrays and imports are large, of `size` in PostgreSQL.

    inside: each request is carried out in a transaction of one snapshot, as within a stream transaction.
    """

    def part_size(self, size: PartSize, *, inside: bool) -> None:
        self.writer = DocumentWriter(self.database, part_size=size)
        self.inside = inside

    async def _on_postgresql(self, operation: Operation) -> Outcome:
        if operation.endpoint.name.startswith("document.read") or not operation.body:
            return await super()._on_postgresql(operation)
        spool = SpoolSpace().new()
        spool.append(operation.body)
        large = msgspec.structs.replace(operation, body=b"", large=spool)
        if self.inside:
            async with self.database.session() as session, session.transaction(isolation="repeatable_read"):
                outcome = await self.writer.execute(large, session)
        else:
            outcome = await super()._on_postgresql(large)
        assert outcome.stream is None
        return outcome


class LargeMaker(Maker):
    """Makes requests, most of which have several documents. Malformed bodies are among them."""

    def request(self) -> Request:
        made = super().request()
        if made.body.startswith("[") and self._rng.random() < 0.1:
            place = self._rng.randrange(len(made.body))
            wrong = self._rng.choice(("", ",", "]", "{", '"', ' {"a":1,"a":2},', "\n", "x"))
            body = made.body[:place] + wrong + made.body[place + self._rng.randrange(2) :]
            return Request(made.method, made.target, made.headers, body)
        return made


@pytest.fixture
async def pool(dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    for module in (row_changes, transaction):
        monkeypatch.setattr(module, "COPIED", 2)
    opened = await Database.open(dsn, size=3)
    yield opened
    await opened.close()


@pytest.mark.parametrize("part", range(4))
async def test_random_writes_in_tiny_parts_are_those_of_the_development_server(pool: Database, part: int) -> None:
    memory = MemoryStore()
    for sequence in range(part, SEQUENCES, 4):
        rng = random.Random(SEED * 1_000_000 + 500_000 + sequence)
        stores = await stores_of(pool, memory, rng, f"c{sequence}", LargeStores)
        assert isinstance(stores, LargeStores)
        stores.part_size(SIZES[sequence // 4 % len(SIZES)], inside=sequence // 16 % 2 == 1)
        maker = LargeMaker(rng, stores.name, stores.stored)
        sent: list[Request] = []
        for _ in range(LENGTH):
            sent.append(maker.request())
            try:
                await stores.both(sent[-1])
            except Exception as error:
                error.add_note(f"sequence {sequence}:\n" + "\n".join(map(str, sent)))
                raise
