"""Random AQL queries that write have the same results, and leave the same documents, in both stores.

MODIFICATION_SEQUENCES sets the number of sequences (with `--timeout=0` if they are many), MODIFICATION_SEQUENCE the
only one, STORE_SEED another seed.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol

import orjson
import pytest

from proxy.base.errors import ArangoError
from proxy.base.spool import SpoolSpace
from proxy.devserver.store import MemoryStore
from proxy.model.cursor_requests import request_of
from proxy.model.operations import Outcome
from proxy.semantics.unique_index import uniques_of
from proxy.stores.postgres.catalog import Catalog
from proxy.stores.postgres.modifications import ModificationQueries
from proxy.stores.postgres.unique_indexes import NewIndex, create
from proxy.stores.postgres.writes.key_assignment import KeyAssignment
from proxy.wire.decode import decode_parts
from proxy.wire.encode import error_outcome, json_outcome
from tests.ad_hoc import Database
from tests.integration.target_fixtures import take_writes
from tests.little_memory import hold_little
from tests.property.modification_texts import COLLECTIONS, Maker, Query
from tests.property.test_two_stores import SEED, Names, Stores
from tests.property.write_requests import Request, properties, unique_indexes

SEQUENCES: Final = int(os.environ.get("MODIFICATION_SEQUENCES", "160"))
ONLY: Final = os.environ.get("MODIFICATION_SEQUENCE")
LENGTH: Final = 8
FOUND: Final = (
    (334, 1826),  # a new key in a unique index was another one each time that the write was decided
    (334, 2347),  # a document was written again that was sent for an intermediate commit
    (335, 2444),  # a key was taken to be free in each run, since what was read of it was forgotten
)
AHEAD: Final = (1 << 61) - (1 << 50)  # revisions above the clock, which is the same for two collections


class QueryMaker(Protocol):
    """Makes random queries."""

    def query(self) -> Query: ...


class Both:
    """Collections in both stores, and the queries that are sent to both."""

    def __init__(self, memory: MemoryStore, database: Database, name: str, spools: SpoolSpace | None = None) -> None:
        self.memory = memory
        self.database = database
        self.name = name  # of the database
        self.names = Names(one_to_one=False)
        self.collections: dict[str, Stores] = {}
        self.queries = ModificationQueries(database, Catalog(database), KeyAssignment(), spools=spools)

    async def create(self, name: str, body: Mapping[str, Any], definitions: Sequence[Mapping[str, Any]] = ()) -> Stores:
        """Create a collection in both stores, with the same properties and unique indexes."""
        made = self.memory.run(
            decode_parts("POST", f"/_db/{self.name}/_api/collection".encode(), [], orjson.dumps(body))
        )
        assert made.status == 200 or name.startswith("_"), made.body  # a new database has some
        indexes = {}
        for definition in definitions:
            target = f"/_db/{self.name}/_api/index?collection={name}".encode()
            index = orjson.loads(self.memory.run(decode_parts("POST", target, [], orjson.dumps(definition))).body)
            indexes[index["id"]] = index
        apart = len(self.collections) << 16  # a revision of PostgreSQL stands for one of the development server
        relation = await take_writes(
            self.database,
            f"{self.name}/{name}",
            {**body, "indexes": list(indexes.values())},
            last=0 if body["keyOptions"].get("type") == "autoincrement" else apart,
            revision=AHEAD + apart,
        )
        for unique in uniques_of(list(indexes.values())):
            async with self.database.transaction() as session:
                await create(session, NewIndex(relation, unique))
        stores = self.collections[name] = Stores(self.memory, self.database, name, relation, self.name)
        stores.names = self.names
        return stores

    async def run(self, query: Query) -> tuple[Outcome, Outcome]:
        """Send a query to both, and compare results and documents."""
        body = orjson.dumps(query.body())
        ours = self.memory.run(decode_parts("POST", f"/_db/{self.name}/_api/cursor".encode(), [], body))
        theirs = await self.on_postgresql(self.names.translate(body.decode()).encode())
        found = [(stores, await stores.learn_documents()) for stores in self.collections.values()]
        for stores, rows in found:
            stores.compare_rows(rows)
        self.learn(orjson.loads(ours.body).get("result"), orjson.loads(theirs.body).get("result"))
        one, other = (shown(outcome) for outcome in (ours, theirs))
        assert orjson.loads(self.names.translate(orjson.dumps(one).decode())) == other
        return ours, theirs

    async def run_random(self, maker: Callable[[list[str]], QueryMaker], length: int, sent: list[Query]) -> None:
        """Send queries that are made for the keys of all documents, and add each to `sent`."""
        for _ in range(length):
            keys = sorted({key for stores in self.collections.values() for key in stores.stored})
            sent.append(maker(keys).query())
            await self.run(sent[-1])

    async def on_postgresql(self, body: bytes) -> Outcome:
        try:
            found = await self.queries.execute(self.name, request_of(body))
        except ArangoError as error:
            return error_outcome(error)
        rows = found.rows
        if found.spooled is not None:
            rows = orjson.loads(b"[" + found.spooled.text(0, len(found.spooled)) + b"]")
        return json_outcome(201, {"result": rows, "extra": found.extra})

    def learn(self, ours: Any, theirs: Any) -> None:
        """Learn revisions and keys of documents that the queries show and nothing stores."""
        if isinstance(ours, list) and isinstance(theirs, list):
            for one, other in zip(ours, theirs, strict=False):
                self.learn(one, other)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            self.names.learn_from(ours, theirs)
            for name in ours.keys() & theirs.keys():
                self.learn(ours[name], theirs[name])


@contextlib.contextmanager
def noted(sequence: int) -> Iterator[list[Query]]:
    """Add a note of the sequence and of the queries that it sent to whatever is raised."""
    sent: list[Query] = []
    try:
        yield sent
    except Exception as error:
        error.add_note(f"sequence {sequence}:\n" + "\n".join(map(str, sent)))
        raise


def shown(outcome: Outcome) -> dict[str, Any]:
    """Return what both stores must answer: time, memory and how documents were found are left out."""
    body = orjson.loads(outcome.body)
    if outcome.status >= 400:
        return {"status": outcome.status, "number": body["errorNum"], "message": body["errorMessage"]}
    stats = body["extra"]["stats"]
    kept = ("writesExecuted", "writesIgnored", "intermediateCommits", "fullCount")
    return {
        "rows": body["result"],
        "warnings": body["extra"]["warnings"],
        "stats": {name: stats[name] for name in kept if name in stats},
    }


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Database]:
    opened = await Database.open(dsn, size=4)
    yield opened
    await opened.close()


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("part", range(4))
async def test_random_modifications_are_the_same_in_both_stores(
    pool: Database, part: int, monkeypatch: pytest.MonkeyPatch, *, large: bool
) -> None:
    """large: of the size that memory does not hold, and with sizes that make these queries so."""
    memory, spools = MemoryStore(), SpoolSpace() if large else None
    if large:
        hold_little(monkeypatch)
    for sequence in range(part, SEQUENCES, 4) if ONLY is None else [int(ONLY)] * (part == 0):
        await play(memory, pool, SEED, sequence, spools)


@pytest.mark.parametrize(("seed", "sequence"), FOUND)
async def test_what_random_modifications_once_found(
    pool: Database, monkeypatch: pytest.MonkeyPatch, seed: int, sequence: int
) -> None:
    """Queries with more writes than memory holds."""
    hold_little(monkeypatch)
    await play(MemoryStore(), pool, seed, sequence, SpoolSpace())


async def play(memory: MemoryStore, pool: Database, seed: int, sequence: int, spools: SpoolSpace | None) -> None:
    """Send one random sequence. Raise with a note of what was sent."""
    rng = random.Random(seed * 1_000_000 + sequence)
    name = f"db{sequence}"
    memory.run(decode_parts("POST", b"/_api/database", [], orjson.dumps({"name": name})))
    both = Both(memory, pool, name, spools)
    for collection in COLLECTIONS:
        body = {**properties(rng, collection), "type": 3 if collection == "e" else 2}
        # generated keys have the same place among all others in both stores
        body["keyOptions"] |= {"type": "autoincrement", "offset": 1000 * COLLECTIONS.index(collection) + 1000}
        await both.create(collection, body, unique_indexes(rng))
    with noted(sequence) as sent:
        for collection, stores in both.collections.items():
            documents = [
                {"_key": key, "n": rng.randrange(3), "s": rng.choice(("s", "t")), "_from": "c/a", "_to": "d/b"}
                for key in rng.sample(("a", "b", "c:d", "7"), rng.randrange(4))
            ]
            await stores.both(
                Request("POST", f"/_db/{name}/_api/document/{collection}", (), orjson.dumps(documents).decode())
            )
        await both.run_random(partial(Maker, rng), LENGTH, sent)
