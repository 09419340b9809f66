"""Other clients' reads continue during an expensive query: long computations run only in worker processes.

The origin is the development server, for which such queries are expensive as well: it answers them with no rows. No
test asserts a number of seconds: they count the answers to others while a query was running, and check which process
evaluated it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.devserver.store import MemoryStore
from proxy.model.operations import Operation, Outcome
from proxy.model.stages import CollectionState, Stage
from proxy.routing import query_facts
from proxy.shadow import pair_comparison, recheck
from proxy.stores.postgres.evaluation import Evaluation
from proxy.wire.endpoints import named
from tests.ad_hoc import Database
from tests.harness import Running, running
from tests.integration.shadow_fixtures import hand_over, shadow_with_rules, stack_on

BOOKS = "_system/books"
DOCUMENT = "/_api/document/books"
# each takes longer than any time limit
NESTED = "FOR p IN books LET a = (FOR i IN 1..3000 FOR j IN 1..3000 FILTER i * j == p.v RETURN 1) RETURN LENGTH(a)"


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path) as started:
        await started.client.post("/_api/collection", json={"name": "books"})
        for stage in (Stage.MIRROR, Stage.SHADOW):
            await started.move(CollectionState(stage), BOOKS)
        for number in range(5):
            await started.client.post(DOCUMENT, json={"_key": f"k{number}", "v": f"pub-{number}", "n": number})
        await started.drained()
        await started.move(CollectionState(Stage.FLIPPED, 100), BOOKS)
        yield started


async def run_query(stack: Running, text: str, **more: Any) -> Any:
    answer = await stack.client.post("/_api/cursor", json={"query": text, **more}, headers={"x-crossfade-explain": "1"})
    assert answer.status_code == 201, answer.text
    return answer.json()["result"], answer.headers["x-crossfade-served-by"]


async def test_queries_are_evaluated_in_a_worker_process(stack: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object, **__: object) -> None:
        raise AssertionError("evaluated where clients wait")

    monkeypatch.setattr(Evaluation, "run", never)
    many = [f"pub-{number}" for number in range(20_000)]
    for text, binds, expected in (
        ("FOR d IN books SORT d.n RETURN REGEX_TEST(d.v, '[0-3]$')", {}, [True] * 4 + [False]),
        ("FOR d IN books SORT d.n RETURN [d.n, LENGTH(1..d.n)]", {}, [[n, n + 1 if n < 1 else n] for n in range(5)]),
        ("FOR d IN books FILTER REGEX_TEST(d.v, '[0-3]$') SORT d.n RETURN d.n", {}, [0, 1, 2, 3]),  # by no statement
        ("FOR d IN books FILTER d.v IN @x SORT d.n RETURN d.n", {"x": many}, [0, 1, 2, 3, 4]),
        ("FOR d IN books FILTER d.n == 3 RETURN d.v /*" + "x" * 5000 + "*/", {}, ["pub-3"]),
    ):
        result, by = await run_query(stack, text, bindVars=binds)
        assert by == "postgresql", text
        assert len(result) == len(expected)
        if "1..d.n" not in text:
            assert result == expected


async def test_a_result_of_a_worker_is_read_in_batches(stack: Running) -> None:
    text = "FOR d IN books FOR i IN 1..100 SORT d.n, i RETURN CONCAT(d.v, '/', i)"
    body = {"query": text, "batchSize": 7, "count": True}
    answer = (await stack.client.post("/_api/cursor", json=body)).json()
    assert (len(answer["result"]), answer["count"], answer["hasMore"]) == (7, 500, True)
    found = list(answer["result"])
    while answer["hasMore"]:
        answer = (await stack.client.post(f"/_api/cursor/{answer['id']}")).json()
        assert answer["count"] == 500
        found += answer["result"]
    assert found == [f"pub-{n}/{i}" for n in range(5) for i in range(1, 101)]


@pytest.fixture
def cool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the origin answer an expensive query with no rows."""
    run = MemoryStore.run

    def answering(self: MemoryStore, operation: Operation, *asleep: Any) -> Outcome:
        if operation.endpoint.name == "cursor.create" and (
            b"REGEX_TEST" in operation.body or b"3000" in operation.body
        ):
            return Outcome(201, b'{"result":[],"hasMore":false,"cached":false,"extra":{},"error":false,"code":201}')
        return run(self, operation, *asleep)

    monkeypatch.setattr(MemoryStore, "run", answering)


@pytest.mark.parametrize("text", [NESTED])
@pytest.mark.usefixtures("cool")
async def test_other_requests_are_answered_during_an_expensive_query(stack: Running, text: str) -> None:
    """I2: the worker has a lower priority than the proxy and is ended at its time limit, and the origin answers."""
    await run_query(stack, "FOR d IN books RETURN [d.n, LENGTH(1..2)]")  # a worker is there
    burning = asyncio.create_task(run_query(stack, text))
    answered = 0
    workers = stack.application.target.workers
    assert workers is not None
    lane = workers._lane
    while not burning.done() and answered < 50:
        read = await stack.client.get(DOCUMENT + "/k1")
        assert read.json()["n"] == 1
        answered += len(lane._busy)
    assert answered >= 50
    assert stack.application.lease.may_read_target
    priorities = [os.getpriority(os.PRIO_PROCESS, pid) for pid in lane.pids]
    assert priorities
    assert min(priorities) > os.getpriority(os.PRIO_PROCESS, 0)
    burned = lane.pids
    assert await burning == ([], "arangodb")
    assert not {*lane.pids} & {*burned}
    result, by = await run_query(stack, "FOR d IN books SORT d.n RETURN [d.n, LENGTH(1..2)]")
    assert (len(result), by) == (5, "postgresql")


async def test_a_comparison_over_its_limit_is_skipped_with_a_reason_and_the_next_one_runs(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I2, I10: the origin answered; PostgreSQL's answer takes longer than the time limit."""
    monkeypatch.setattr(pair_comparison, "SECONDS", 0.5)
    shadowed = await stack_on(database)
    shadowed.shadow = shadow_with_rules(shadowed)
    await shadowed.shadow.start()
    await shadowed.insert_both("a", v="pub-1", n=1)
    for text in (NESTED,):
        body = orjson.dumps({"query": text.replace("books", "docs")})
        operation = Operation(named("cursor.create"), "POST", "db", path=("_api", "cursor"), body=body)
        hand_over(shadowed.shadow, operation, Outcome(201, b'{"result":[],"hasMore":false,"error":false,"code":201}'))
        await shadowed.shadow.idle()
    await shadowed.query("FOR d IN docs RETURN [d.n, LENGTH(1..3)]")
    verdicts = [(verdict.kind, verdict.reason) for verdict in shadowed.verdicts]
    assert verdicts == [("skipped", "over the limit of time"), ("match", "")]
    await shadowed.close()


async def test_large_answers_are_compared_and_rechecked_in_workers(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many queries that differ: the verdicts are unchanged, and no work is done in the process that serves clients."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("compared where clients wait")

    shadowed = await stack_on(database, recheck_timeout=10.0)
    shadowed.shadow = shadow_with_rules(shadowed)
    await shadowed.shadow.start()
    for number in range(40):
        await shadowed.insert_both(f"k{number:02}", n=number, text="x" * 1000)
    monkeypatch.setattr(pair_comparison, "judge", never)
    monkeypatch.setattr(recheck, "judge", never)
    text = "FOR d IN docs SORT d.n RETURN d"
    await shadowed.query(text)
    for number in (3, 5):
        await shadowed.change_target(f"k{number:02}", lambda raw: raw.replace(b"xxx", b"xyx"))
    await asyncio.gather(*(shadowed.query(text) for _ in range(4)))
    assert await shadowed.counts() == {"compared": 5, "matched": 1, "mismatched": 4}
    assert await shadowed.mismatches() == [("value", ("[].text",), ("k03", "k05"))]
    await shadowed.close()


async def test_a_large_query_is_parsed_in_a_worker(stack: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that takes long to parse is routed, compared and counted as any other, and parsed elsewhere."""

    def never(*_: object) -> None:
        raise AssertionError("parsed where clients wait")

    monkeypatch.setattr(query_facts, "parse", never)
    condition = " OR ".join(f"d.n == {number}" for number in range(3, 400))
    assert await run_query(stack, f"FOR d IN books FILTER {condition} SORT d.n RETURN d.n") == ([3, 4], "postgresql")
    await stack.application.shadow.idle()
    shapes = await stack.database.fetch("SELECT text FROM _crossfade.shape WHERE text LIKE 'FOR d IN books%'")
    assert len(shapes) == 1


async def test_large_arrays_and_imports_are_captured(stack: Running) -> None:
    documents = [{"_key": f"a{number}", "text": "x" * 100} for number in range(3000)]
    answer = await stack.client.post(DOCUMENT, json=documents)
    assert (answer.status_code, len(answer.json())) == (202, 3000)
    body = orjson.dumps([{"text": "y" * 100} for _ in range(3000)])
    answer = await stack.client.post("/_api/import?collection=books&type=list", content=body)
    assert answer.json()["created"] == 3000
    await stack.drained()
    assert await stack.differences(BOOKS) == []
