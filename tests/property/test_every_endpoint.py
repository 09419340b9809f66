"""Random requests to all endpoints get the same answers, and leave the same documents, from two servers.

The first is the development server, the second answers from PostgreSQL alone. ENDPOINT_SEQUENCES sets the number of
sequences, ENDPOINT_SEED another seed.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from typing import Final

import asyncpg
import orjson
import pytest

from proxy.base.errors import ArangoError
from proxy.complete import CompleteStore
from proxy.devserver.store import MemoryStore
from proxy.model.endpoint import Family
from proxy.model.operations import Operation, Outcome
from proxy.model.revision import decode_rev
from proxy.stores.base import Store
from proxy.wire.decode import decode_parts
from proxy.wire.encode import error_outcome
from tests.ad_hoc import Database
from tests.little_memory import hold_little, whole
from tests.property.paired_answers import Different, Names, compare_outcomes
from tests.property.query_requests import UNORDERED
from tests.property.server_requests import World, first_requests, server_request
from tests.property.write_requests import Request

SEQUENCES: Final = int(os.environ.get("ENDPOINT_SEQUENCES", "120"))
SEED: Final = int(os.environ.get("ENDPOINT_SEED", "0"))
LENGTH: Final = 30
NOT_YET: Final = frozenset[str]()  # what PostgreSQL does not answer yet
_ANY_ORDER: Final = frozenset({Family.SIMPLE, Family.EDGES, Family.QUERY, Family.CURSOR})
Documents = Callable[[], Awaitable[Mapping[str, Mapping[str, str]]]]
_ALL_DOCUMENTS: Final = """
CREATE FUNCTION pg_temp.all_documents() RETURNS TABLE (named text, key text, raw text) LANGUAGE plpgsql AS $$
DECLARE
    known record;
BEGIN
    FOR known IN SELECT collection, relation FROM _crossfade.collection LOOP
        RETURN QUERY EXECUTE format(
            'SELECT %L::text, key::text, raw::text FROM %s WHERE doc IS NOT NULL', known.collection, known.relation);
    END LOOP;
END
$$"""


class Pair:
    """Two servers that get the same requests. documents: those of the second, by `database/collection` and key."""

    def __init__(self, ours: MemoryStore, theirs: Store, documents: Documents) -> None:
        self.ours = ours
        self.theirs = theirs
        self.documents = documents
        self.names = Names()
        self.seen: Counter[str] = Counter()

    async def send(self, request: Request, world: World | None = None) -> Outcome:
        """Send a request to both, compare answers and documents. Raise Different."""
        operation = operation_of(request)
        besides = world is not None and bool(world.running)  # a transaction may lock what the request names
        ours = await executed(self.ours, operation)
        theirs = await executed(self.theirs, operation_of(self._translated(request)))
        await self._job_done(theirs)
        self.seen[f"{operation.endpoint.name} {ours.status // 100}xx"] += 1
        if operation.method not in ("GET", "HEAD"):
            try:
                await self.compare_documents()
            except Different as error:
                error.add_note(f"answered {ours.status} {ours.body[:300]!r} and {theirs.status} {theirs.body[:300]!r}")
                raise
        unordered = UNORDERED if operation.endpoint.family in _ANY_ORDER else ()
        compare_outcomes(self.names, ours, theirs, unordered, any_error=besides)
        if world is not None:
            _remember(world, operation, ours)
        return ours

    async def _job_done(self, outcome: Outcome) -> None:
        """Wait until the second server has done a request that it answered as accepted: the first has done it."""
        job = outcome.header(b"x-arango-async-id")
        status = 204
        while job is not None and status == 204:
            asked = Request("GET", f"/_api/job/{job.decode()}")
            status = (await executed(self.theirs, operation_of(asked))).status
            await asyncio.sleep(0.002)

    def _translated(self, request: Request) -> Request:
        headers = tuple((name, self.names.translate(value)) for name, value in request.headers)
        texts = (self.names.translate(text) for text in (request.target, request.body))
        target, body = texts
        return Request(request.method, target, headers, body)

    async def compare_documents(self) -> None:
        """Compare all documents; generated keys that no answer has shown are in the order of their revisions."""
        found = await self.documents()
        for database in list(self.ours.server.databases.values()):
            for collection in list(database.collections.values()):
                if collection.system:
                    continue
                ours = {key: raw.decode() for key, raw in collection.documents.items()}
                theirs = dict(found.get(f"{database.name}/{collection.name}", {}))
                self._learn_keys(ours, theirs)
                translated = {self.names.translate(key): raw for key, raw in ours.items()}
                if translated.keys() != theirs.keys():
                    raise Different(f"{collection.name}: keys {sorted(translated)} are not {sorted(theirs)}")
                if len(set(map(_age, ours.values()))) != len(set(map(_age, theirs.values()))):
                    raise Different(f"{collection.name}: revisions {ours} are not {theirs}")
                for key, raw in translated.items():
                    try:
                        self.names.match(raw, theirs[key])
                    except Different as error:
                        raise Different(f"{collection.name}/{key}: {error}") from None

    def _learn_keys(self, ours: dict[str, str], theirs: dict[str, str]) -> None:
        known = {self.names.translate(key) for key in ours}
        new = sorted((key for key in theirs if key not in known), key=lambda key: _age(theirs[key]))
        if new:
            missing = [key for key in ours if self.names.translate(key) not in theirs]
            for one, other in zip(sorted(missing, key=lambda key: _age(ours[key])), new, strict=False):
                self.names.learn(one, other)


def _age(raw: str) -> int:
    return decode_rev(orjson.loads(raw)["_rev"])


def operation_of(request: Request) -> Operation:
    headers = [(name.encode(), value.encode()) for name, value in request.headers]
    return decode_parts(request.method, request.target.encode(), headers, request.body.encode(), identified=True)


async def executed(store: Store, operation: Operation) -> Outcome:
    """Return the answer as a server would encode it."""
    try:
        return await whole(await store.execute(operation))
    except ArangoError as error:
        return error_outcome(error)


def _remember(world: World, operation: Operation, outcome: Outcome) -> None:
    """Note the ids of cursors, transactions and jobs that later requests may name."""
    job = outcome.header(b"x-arango-async-id")
    if job is not None:
        world.jobs.append(job.decode())
    if not outcome.body or outcome.status >= 300 or outcome.content_type != b"application/json":
        return
    body = json.loads(outcome.body)
    if operation.endpoint.family in (Family.QUERY, Family.CURSOR) and "id" in body:
        world.cursors.append(str(body["id"]))
    if operation.endpoint.name == "transaction.begin":
        world.transactions.append(str(body["result"]["id"]))


async def clean(pair: Pair) -> None:
    """Remove what a sequence has created, by requests whose answers are compared too."""
    server = pair.ours.server
    for number, one in list(server.transactions.items()):
        if one.running:
            await pair.send(Request("DELETE", f"/_db/{one.database.name}/_api/transaction/{number}"))
    for name in [name for name in server.databases if name != "_system"]:
        await pair.send(Request("DELETE", f"/_api/database/{name}"))
    graphs = [graph["_key"] for graph in server.databases["_system"].collections["_graphs"].scan()]
    for graph in graphs:
        await pair.send(Request("DELETE", f"/_api/gharial/{graph}"))
    names = [one.name for one in server.databases["_system"].collections.values() if not one.system]
    for name in names:
        await pair.send(Request("DELETE", f"/_api/collection/{name}"))
    for user in [name for name in server.accounts.by_name if name != "root"]:
        await pair.send(Request("DELETE", f"/_api/user/{user}"))


def _locked(store: MemoryStore) -> int:
    """Return the number of keys and values that transactions have locked."""
    databases = store.server.databases.values()
    locks = [collection.locks for database in databases for collection in database.collections.values()]
    return sum(len(one) + len(one.claims) for one in locks)


def _abort(refused: Request) -> Request:
    """Return the end of a transaction in which a request was refused that had written documents: they stay locked in
    ArangoDB, and not in PostgreSQL.
    """
    database, number = refused.target.split("/")[2], dict(refused.headers)["x-arango-trx-id"]
    return Request("DELETE", f"/_db/{database}/_api/transaction/{number}")


async def play(pair: Pair, sequence: int, length: int = LENGTH, without: Collection[str] = ()) -> None:
    """Send one random sequence. Raise with a note of what was sent. without: makers of requests that are left out."""
    rng = random.Random(SEED * 1_000_000 + sequence)
    world = World(rng, pair.ours.server, f"{sequence:x}", without=frozenset(without))
    sent: list[Request] = []
    try:
        for request in first_requests(world):
            sent.append(request)
            await pair.send(request, world)
        for _ in range(length):
            locked = _locked(pair.ours)
            sent.append(server_request(world))
            outcome = await pair.send(sent[-1], world)
            if outcome.status >= 400 and _locked(pair.ours) > locked:
                sent.append(_abort(sent[-1]))
                await pair.send(sent[-1], world)
        await clean(pair)
    except Exception as error:
        error.add_note(f"sequence {sequence}:\n" + "\n".join(map(str, sent)))
        raise


class TargetDocuments:
    """The documents of all collections as PostgreSQL has them, read by one statement: nothing is read more often."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, dsn: str) -> TargetDocuments:
        connection = await asyncpg.connect(dsn)
        await connection.execute(_ALL_DOCUMENTS)
        return cls(connection)

    async def close(self) -> None:
        await self._connection.close()

    async def __call__(self) -> Mapping[str, Mapping[str, str]]:
        found: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for row in await self._connection.fetch("SELECT named, key, raw FROM pg_temp.all_documents()"):
            found[row["named"]][row["key"]] = row["raw"]
        return found


@pytest.fixture
async def pair(dsn: str) -> AsyncIterator[Pair]:
    database, documents = await Database.open(dsn, size=8), await TargetDocuments.open(dsn)
    store = CompleteStore(database, lock_wait=0.02)
    yield Pair(MemoryStore(lock_wait=0.0), store, documents)
    await store.close()
    await documents.close()
    await database.close()


@pytest.mark.long
@pytest.mark.timeout(max(300, SEQUENCES * 5))
@pytest.mark.parametrize("part", range(4))
async def test_every_endpoint_is_the_same_on_both_servers(
    pair: Pair, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In half of the parts nearly every query and answer is a large one."""
    if part % 2:
        hold_little(monkeypatch)
    for sequence in range(part, SEQUENCES, 4):
        await play(pair, sequence, without=NOT_YET)
    assert sum(pair.seen.values()) > LENGTH
