"""A worker process gives the same answers and verdicts as this process, on random queries."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from proxy.base.errors import ArangoError, DatabaseError
from proxy.devserver.store import MemoryStore
from proxy.isolation import Isolation, Lane
from proxy.model.operations import Operation, Outcome
from proxy.shadow.diff.documents import NotComparable
from proxy.shadow.pair_comparison import PairComparer
from proxy.shadow.readers import ReadBothSides
from proxy.stores.postgres import PostgresStore
from proxy.wire.endpoints import named
from tests.ad_hoc import Database
from tests.integration.compile_fixtures import BothDatabases
from tests.property.aql_queries import Maker, documents, edges

CASES = int(os.environ.get("AQL_CASES", "160")) // 2


@pytest.fixture
async def lane() -> AsyncIterator[Lane]:
    isolation = Isolation(["proxy.shadow.recheck"])
    yield isolation.lane("test", workers=1, waiting=8, nice=5)
    await isolation.close()


async def answer(store: PostgresStore, operation: Operation) -> Any:
    """Return the answer without what differs between any two runs, or the error."""
    try:
        body = orjson.loads((await store.execute(operation)).body)
    except (ArangoError, DatabaseError) as error:
        return type(error), str(error)
    body["extra"]["stats"].pop("executionTime")
    body.pop("id", None)
    return body


async def test_a_worker_process_gives_the_same_answers_and_verdicts(database: Database, lane: Lane) -> None:
    rng = random.Random(int(os.environ.get("AQL_SEED", "0")))
    both, maker = BothDatabases(database), Maker(rng)
    for name, rows, edge in (
        ("c", documents(rng, 14), False),
        ("f", documents(rng, 8), False),
        ("g", edges(rng, 10, 9), True),
        ("h", edges(rng, 5, 9), True),
    ):
        await both.fill(name, rows, edge=edge)
    here, apart = PostgresStore(database), PostgresStore(database, lane=lane)
    pairs, others = (
        PairComparer(ReadBothSides(here, MemoryStore()), None),
        PairComparer(ReadBothSides(here, MemoryStore()), lane),
    )
    answered = 0
    for number in range(CASES):
        text = maker.query()
        if any(word in text for word in ("RAND(", "DATE_NOW(")):
            continue
        # every third is large, so that a worker does all of it
        text += f" /*{'x' * 40_000}*/" if number % 3 == 0 else ""
        body = orjson.dumps({"query": text, "bindVars": maker.binds, "batchSize": 5, "count": True})
        operation = Operation(named("cursor.create"), "POST", "db", path=("_api", "cursor"), body=body)
        expected = await answer(here, operation)
        assert await answer(apart, operation) == expected, text
        answered += isinstance(expected, dict)
        shown = Outcome(201, b'{"result":[1,{"a":2}],"hasMore":false,"error":false,"code":201}')
        verdicts: list[object] = []
        for one in (pairs, others):
            try:
                judged = (await one.compare(operation, shown, (), frozenset())).judged
                verdicts.append(str(judged) if isinstance(judged, NotComparable) else judged)
            except (ArangoError, DatabaseError, NotComparable) as error:
                verdicts.append((type(error), str(error)))
        assert verdicts[0] == verdicts[1], text
    assert answered > CASES // 4
    await here.close()
    await apart.close()
