"""Random writes have the same answers, and leave the same documents, in the development server and in PostgreSQL.

Revisions differ, and so do generated keys: each of one store must always stand for the same one of the other.
STORE_SEQUENCES sets the number of sequences (with `--timeout=0` if they are many), STORE_SEED another seed.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import orjson
import pytest

from proxy.base.errors import ArangoError
from proxy.devserver.store import MemoryStore
from proxy.model.documents import to_jsonb
from proxy.model.operations import Operation, Outcome
from proxy.model.revision import decode_rev
from proxy.semantics.encoded_document import revision_of
from proxy.semantics.unique_index import uniques_of
from proxy.stores.postgres import PostgresStore
from proxy.stores.postgres.unique_indexes import NewIndex, create
from proxy.stores.postgres.writes import DocumentWriter
from proxy.wire.decode import decode_parts
from proxy.wire.encode import error_outcome
from tests.ad_hoc import Database
from tests.integration.target_fixtures import take_writes
from tests.property.write_requests import Maker, Request, properties, unique_indexes

SEQUENCES: Final = int(os.environ.get("STORE_SEQUENCES", "240"))
SEED: Final = int(os.environ.get("STORE_SEED", "0"))
LENGTH: Final = 12
_REVISION: Final = re.compile(r"_[A-Za-z0-9_-]{10}")
FIRST_KEY: Final = 900_000  # generated keys of the development server are smaller, and as long
_READS: Final = frozenset({"document.read", "document.head", "document.read_many"})


class Names:
    """Revisions and generated keys of the development server, and those of PostgreSQL that stand for them."""

    def __init__(self, *, one_to_one: bool = True) -> None:
        """one_to_one: False for names of several collections, which have some revisions in common in PostgreSQL."""
        self._one_to_one = one_to_one
        self._target: dict[str, str] = {}
        self._origin: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None  # of all names, made again when there are more

    def learn(self, ours: str, theirs: str) -> None:
        """Note a pair; one that contradicts an earlier pair fails the test."""
        if ours != theirs or ours in self._target:
            if ours not in self._target:
                self._pattern = None
            assert self._target.setdefault(ours, theirs) == theirs, (ours, theirs)
            assert self._origin.setdefault(theirs, ours) == ours or not self._one_to_one, (ours, theirs)

    def known(self, ours: str) -> bool:
        return ours in self._target

    def translate(self, text: str) -> str:
        """Return a text of the development server with the names of PostgreSQL."""
        if not self._target:
            return text
        if self._pattern is None:
            self._pattern = re.compile("|".join(map(re.escape, sorted(self._target, key=len, reverse=True))))
        return self._pattern.sub(lambda found: self._target[found[0]], text)

    def learn_revisions(self, ours: Any, theirs: Any) -> None:
        """Learn the revisions in two documents: computed values may contain former versions."""
        if isinstance(ours, list) and isinstance(theirs, list):
            for one, other in zip(ours, theirs, strict=False):
                self.learn_revisions(one, other)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            for name, one in ours.items():
                other = theirs.get(name)
                if name == "_rev" and all(_REVISION.fullmatch(str(each)) for each in (one, other)):
                    self.learn(str(one), str(other))
                else:
                    self.learn_revisions(one, other)

    def learn_from(self, ours: Any, theirs: Any) -> None:
        """Learn from two answers of the same form."""
        if isinstance(ours, list) and isinstance(theirs, list):
            for one, other in zip(ours, theirs, strict=False):
                self.learn_from(one, other)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            for name in ("_rev", "_oldRev", "_key"):
                one, other = ours.get(name), theirs.get(name)
                if isinstance(one, str) and isinstance(other, str):
                    self.learn(one, other)
            for name in ("new", "old"):
                self.learn_from(ours.get(name), theirs.get(name))


class Stores:
    """A collection in both stores."""

    def __init__(
        self, memory: MemoryStore, database: Database, name: str, relation: str, holder: str = "_system"
    ) -> None:
        """holder: the name of its database."""
        self.memory = memory
        self.database = database
        self.name = name
        self.holder = holder
        self.relation = relation
        self.names = Names()
        self.writer = DocumentWriter(database)
        self.reader = PostgresStore(database)
        self.outbox = 0

    @property
    def stored(self) -> dict[str, bytes]:
        return self.memory.server.databases[self.holder].collections[self.name].documents

    async def both(self, request: Request) -> None:
        """Send a request to both stores, and compare their answers and then their documents."""
        before = dict(self.stored)
        ours = self.memory.run(_operation(request))
        translated = Request(
            request.method,
            self.names.translate(request.target),
            tuple((name, self.names.translate(value)) for name, value in request.headers),
            self.names.translate(request.body),
        )
        theirs = await self._on_postgresql(_operation(translated))
        if ours.body and theirs.body:
            self.names.learn_from(orjson.loads(ours.body), orjson.loads(theirs.body))
        documents = await self.compare_documents()
        assert theirs.status == ours.status, (ours, theirs)
        assert theirs.body.decode() == self.names.translate(ours.body.decode())
        assert _headers(theirs) == self.names.translate(_headers(ours))
        await self._compare_outbox(before, documents)

    async def _on_postgresql(self, operation: Operation) -> Outcome:
        store = self.reader if operation.endpoint.name in _READS else self.writer
        try:
            return await store.execute(operation)
        except ArangoError as error:
            return error_outcome(error)

    async def compare_documents(self) -> dict[str, str]:
        """Compare all documents, learn the names in them, and return those of PostgreSQL."""
        return self.compare_rows(await self.learn_documents())

    def compare_rows(self, rows: Sequence[Any]) -> dict[str, str]:
        """Compare all documents with the rows of PostgreSQL, whose names are learned. Return their texts."""
        theirs = {row["key"]: row["raw"] for row in rows}
        ours = {self.names.translate(key): self.names.translate(raw.decode()) for key, raw in self.stored.items()}
        assert ours == theirs
        assert len({row["rev"] for row in rows}) == len(set(map(revision_of, self.stored.values())))
        for row in rows:
            assert decode_rev(orjson.loads(row["raw"])["_rev"]) == row["rev"]
            if to_jsonb(row["raw"].encode()) is None:
                content = orjson.loads(row["raw"])
                assert set(orjson.loads(row["doc"])) == set(content) - {"_key", "_id", "_rev"}
        return theirs

    async def learn_documents(self) -> list[Any]:
        """Learn the keys and revisions of all documents, and return the rows of PostgreSQL."""
        rows = await self.database.fetch(
            f"SELECT key, rev, raw::text AS raw, doc::text AS doc FROM {self.relation} WHERE doc IS NOT NULL"
        )
        theirs = {row["key"]: row["raw"] for row in rows}
        ours = {key: raw.decode() for key, raw in self.stored.items()}
        # generated keys that no answer has shown, in the order of their revisions
        unknown = sorted((key for key in ours if key not in theirs and not self.names.known(key)), key=_age(ours))
        translated = set(map(self.names.translate, ours))
        new = sorted((key for key in theirs if key not in translated), key=_age(theirs))
        assert len(unknown) == len(new), (unknown, new)
        for one, other in zip(unknown, new, strict=True):
            self.names.learn(one, other)
        for key, raw in ours.items():
            self.names.learn_revisions(orjson.loads(raw), orjson.loads(theirs[self.names.translate(key)]))
        return rows

    async def _compare_outbox(self, before: dict[str, bytes], documents: dict[str, str]) -> None:
        """Each key whose document changed has a row for the reverse mirror."""
        rows = await self.database.fetch("SELECT id, key FROM _crossfade.outbox WHERE id > $1 ORDER BY id", self.outbox)
        if rows:
            self.outbox = rows[-1]["id"]
        former = {self.names.translate(key): self.names.translate(raw.decode()) for key, raw in before.items()}
        changed = {key for key in former.keys() | documents.keys() if former.get(key) != documents.get(key)}
        assert changed <= {row["key"] for row in rows}


def _age(documents: dict[str, str]) -> Any:
    return lambda key: decode_rev(orjson.loads(documents[key])["_rev"])


def _headers(outcome: Outcome) -> str:
    return repr([(name, value.decode()) for name, value in outcome.headers])


def _operation(request: Request) -> Operation:
    headers = [(name.encode(), value.encode()) for name, value in request.headers]
    return decode_parts(request.method, request.target.encode(), headers, request.body.encode())


async def stores_of(
    database: Database, memory: MemoryStore, rng: random.Random, name: str, kind: type[Stores] = Stores
) -> Stores:
    """Create a collection in both stores, with the same properties."""
    body = properties(rng, name)
    made = memory.run(decode_parts("POST", b"/_api/collection", [], orjson.dumps(body)))
    assert made.status == 200, made.body
    indexes = []
    for definition in unique_indexes(rng):
        target = f"/_api/index?collection={name}".encode()
        indexes.append(orjson.loads(memory.run(decode_parts("POST", target, [], orjson.dumps(definition))).body))
    indexes = list({index["id"]: index for index in indexes}.values())
    body["indexes"] = indexes
    last = FIRST_KEY if body["keyOptions"]["type"] in ("traditional", "padded") else 0
    relation = await take_writes(database, f"_system/{name}", body, last=last)
    for index in uniques_of(indexes):
        async with database.transaction() as session:
            await create(session, NewIndex(relation, index))
    return kind(memory, database, name, relation)


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Database]:
    opened = await Database.open(dsn, size=2)
    yield opened
    await opened.close()


@pytest.mark.parametrize("part", range(4))
async def test_random_writes_are_the_same_in_both_stores(pool: Database, part: int) -> None:
    memory = MemoryStore()
    for sequence in range(part, SEQUENCES, 4):
        rng = random.Random(SEED * 1_000_000 + sequence)
        stores = await stores_of(pool, memory, rng, f"c{sequence}")
        maker = Maker(rng, stores.name, stores.stored)
        sent: list[Request] = []
        for _ in range(LENGTH):
            sent.append(maker.request())
            try:
                await stores.both(sent[-1])
            except Exception as error:
                error.add_note(f"sequence {sequence}:\n" + "\n".join(map(str, sent)))
                raise
