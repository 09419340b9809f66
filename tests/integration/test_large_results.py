"""Results and modifications of PostgreSQL alone that memory does not hold: same answers as the development server's."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from proxy.base.spool import SpoolSpace
from proxy.complete import CompleteStore, loading
from proxy.complete.loaded_part import Missing
from proxy.devserver.store import MemoryStore
from proxy.model.operations import Outcome
from proxy.wire.decode import decode_parts
from tests.ad_hoc import Database
from tests.complete_fixtures import complete_store
from tests.little_memory import hold_little, whole

NUMBER = 60
WRITES = {"collections": {"write": ["c", "d", "e"]}}


@pytest.fixture
async def complete(dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CompleteStore]:
    hold_little(monkeypatch)
    async with complete_store(dsn) as store:
        await fill(store)
        yield store


@pytest.fixture
async def memory() -> MemoryStore:
    store = MemoryStore()
    await fill(store)
    return store


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each time that a view loads anything, whether it loads documents."""
    found: list[bool] = []
    load = loading.load

    async def noted(session: Any, view: Any, missing: Missing, numbers: Any) -> None:
        found.append(missing.documents or bool(missing.keys) or bool(missing.vertices))
        await load(session, view, missing, numbers)

    monkeypatch.setattr(loading, "load", noted)
    return found


async def fill(store: Any) -> None:
    for name in ("c", "d"):
        await send(store, "POST", "/_api/collection", {"name": name})
    await send(store, "POST", "/_api/collection", {"name": "e", "type": 3})
    await send(store, "POST", "/_api/index?collection=c", {"type": "persistent", "fields": ["n"]})
    documents = [{"_key": f"k{n:03}", "n": n, "kind": n % 3, "text": "x" * n} for n in range(NUMBER)]
    await send(store, "POST", "/_api/document/c", documents)
    edges = [{"_key": f"e{n:03}", "_from": "c/k000", "_to": f"c/k{n:03}"} for n in range(NUMBER)]
    await send(store, "POST", "/_api/document/e", edges)


async def send(store: Any, method: str, target: str, body: Any = None, transaction: str = "") -> Outcome:
    data = b"" if body is None else orjson.dumps(body)
    headers = [(b"x-arango-trx-id", transaction.encode())] if transaction else []
    answer: Outcome = await whole(await store.execute(decode_parts(method, target.encode(), headers, data)))
    return answer


async def rows_of(store: Any, body: dict[str, Any], transaction: str = "") -> tuple[list[list[Any]], dict[str, Any]]:
    """Return the batches of a query, and its last answer."""
    answer = orjson.loads((await send(store, "POST", "/_api/cursor", body, transaction)).body)
    assert answer["code"] == 201, answer
    batches = [answer["result"]]
    while answer["hasMore"]:
        answer = orjson.loads((await send(store, "POST", f"/_api/cursor/{answer['id']}", None, transaction)).body)
        batches.append(answer["result"])
    return batches, answer


def without_revisions(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_revisions(item) for name, item in value.items() if name not in ("_rev", "revision")}
    return [without_revisions(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("text", "options"),
    [
        *itertools.product(
            ["FOR d IN c RETURN d", "FOR d IN c LET r = RAND() * 0 FILTER d.n >= r SORT d.kind, d.n DESC RETURN d"],
            [{}, {"batchSize": 7}, {"batchSize": 7, "count": True}, {"stream": True, "batchSize": 25}],
        ),
        ("FOR d IN c LIMIT 10, 40 RETURN d", {"batchSize": 9, "count": True, "options": {"fullCount": True}}),
        ("FOR d IN c LET r = RAND() * 0 UPDATE d WITH {n: d.n + r} IN c RETURN NEW", {"batchSize": 50}),
        ("FOR d IN c LET r = RAND() * 0 INSERT {_key: d._key, n: d.n + r} INTO d RETURN NEW", {}),
        ("FOR d IN c UPDATE d WITH {m: d.n} IN c RETURN NEW", {"batchSize": 50, "count": True}),
        ("FOR d IN c LET s = d.n % 20 == 7 ? SLEEP(0.001) : 0 RETURN [d, s]", {"batchSize": 50, "count": True}),
        ("FOR d IN c INSERT {_key: d._key, s: d.n == 7 ? SLEEP(0.001) : 0} INTO d RETURN NEW", {}),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
async def test_batches_are_as_long_as_requested(
    complete: CompleteStore,
    memory: MemoryStore,
    loads: list[bool],
    text: str,
    options: dict[str, Any],
    inside: bool,
) -> None:
    """However many bytes that is, within a stream transaction too. No query loads a view."""
    numbers = ["", ""]
    if inside:
        begun = [await send(one, "POST", "/_api/transaction/begin", WRITES) for one in (memory, complete)]
        numbers = [orjson.loads(one.body)["result"]["id"] for one in begun]
    ours, last = await rows_of(memory, {"query": text, **options}, numbers[0])
    theirs, other = await rows_of(complete, {"query": text, **options}, numbers[1])
    assert not any(loads)
    assert without_revisions(theirs) == without_revisions(ours)
    assert list(other) == list(last)
    assert other.get("count") == last.get("count")
    assert other["extra"]["stats"].get("fullCount") == last["extra"]["stats"].get("fullCount")


OPERATIONS: list[tuple[str, str, Any]] = [
    ("PUT", "/_api/document/c?onlyget=true", [f"k{n:03}" for n in range(NUMBER)] + ["none", 7, {"_key": "k001"}]),
    ("PUT", "/_api/simple/lookup-by-keys", {"collection": "c", "keys": [f"k{n:03}" for n in range(70)]}),
    ("PUT", "/_api/simple/all", {"collection": "c", "skip": 2}),
    ("PUT", "/_api/simple/by-example", {"collection": "c", "example": {"kind": 1}}),
    ("PUT", "/_api/simple/range", {"collection": "c", "attribute": "n", "left": 4, "right": 30}),
    ("GET", "/_api/collection/c/checksum?withData=true", None),
    ("GET", "/_api/collection/c/figures", None),
    ("GET", "/_api/edges/e?vertex=c/k000", None),
    ("POST", "/_api/edges/e?direction=in", ["c/k000", "c/k007"]),
    ("PUT", "/_api/simple/update-by-example", {"collection": "c", "example": {"kind": 2}, "newValue": {"kind": 3}}),
    ("PUT", "/_api/simple/replace-by-example", {"collection": "c", "example": {"kind": 1}, "newValue": {"m": 1}}),
    ("PUT", "/_api/simple/remove-by-example", {"collection": "c", "example": {"kind": 0}, "limit": 5}),
    ("PUT", "/_api/simple/remove-by-keys", {"collection": "c", "keys": ["k001", "c/k002", "none", "k002", "k050", 7]}),
]


# of those, some are answered in memory outside of a transaction
TOUCHING_MANY: list[tuple[str, str, Any]] = [
    ("PUT", "/_api/simple/all-keys", {"collection": "c", "type": "id"}),
    ("PUT", "/_api/simple/first-example", {"collection": "c", "example": {"m": True}}),
    ("PUT", "/_api/simple/first-example", {"collection": "c", "example": {"m": False}}),
]


@pytest.mark.parametrize(("method", "target", "body"), OPERATIONS)
async def test_other_operations(
    complete: CompleteStore, memory: MemoryStore, method: str, target: str, body: Any
) -> None:
    compare(*[await send(store, method, target, body) for store in (memory, complete)])
    left = [await rows_of(store, {"query": "FOR d IN c SORT d._key RETURN d"}) for store in (memory, complete)]
    assert without_revisions(left[0][0]) == without_revisions(left[1][0])


def compare(ours: Outcome, theirs: Outcome) -> None:
    one, other = (without_revisions(orjson.loads(outcome.body)) for outcome in (ours, theirs))
    for answer in (one, other):
        for name in ("id", "globallyUniqueId", "extra", "figures", "keyOptions", "objectId"):
            answer.pop(name, None) if isinstance(answer, dict) else None
    assert (theirs.status, other) == (ours.status, one)
    assert theirs.header(b"x-arango-error-codes") == ours.header(b"x-arango-error-codes")


@pytest.mark.parametrize(("method", "target", "body"), [*OPERATIONS, *TOUCHING_MANY])
async def test_operations_within_a_transaction(
    complete: CompleteStore, memory: MemoryStore, loads: list[bool], method: str, target: str, body: Any
) -> None:
    """They read its snapshot, and what it has written, and load no documents."""
    answers, left = [], []
    for store in (memory, complete):
        begun = await send(store, "POST", "/_api/transaction/begin", WRITES)
        number = orjson.loads(begun.body)["result"]["id"]
        await send(store, "PATCH", "/_api/document/c", [{"_key": "k001", "kind": 1, "m": True}], number)
        await send(store, "POST", "/_api/document/e", {"_key": "new", "_from": "c/k000", "_to": "c/k007"}, number)
        answers.append(await send(store, method, target, body, number))
        assert (await send(store, "PUT", f"/_api/transaction/{number}")).status == 200
        left.append(await rows_of(store, {"query": "FOR d IN c SORT d._key RETURN d"}))
    compare(*answers)
    assert without_revisions(left[0][0]) == without_revisions(left[1][0])
    assert not any(loads)


async def test_a_batch_may_be_requested_again(complete: CompleteStore) -> None:
    body = {"query": "FOR d IN c RETURN d.text", "batchSize": 40, "options": {"allowRetry": True}}
    first = orjson.loads((await send(complete, "POST", "/_api/cursor", body)).body)
    path = f"/_api/cursor/{first['id']}/2"
    second, again = [(await send(complete, "POST", path)).body for _ in range(2)]
    assert second == again
    assert len(orjson.loads(second)["result"]) == NUMBER - 40


async def test_any_number_of_large_results_may_wait(complete: CompleteStore) -> None:
    """More than there are connections, of streams too."""
    answers = []
    for number in range(20):
        body = {"query": "FOR d IN c RETURN d", "batchSize": 20, "stream": bool(number % 2)}
        answers.append(orjson.loads((await send(complete, "POST", "/_api/cursor", body)).body))
    for answer in answers:
        assert answer["code"] == 201
        following = orjson.loads((await send(complete, "POST", f"/_api/cursor/{answer['id']}")).body)
        assert [row["n"] for row in following["result"]] == list(range(20, 40))


async def test_disk_is_bounded_and_free_again_after_the_cursor(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.base.spool.PIECE", 1 << 10)
    hold_little(monkeypatch)
    space = SpoolSpace(limit=20 << 10)
    async with complete_store(dsn, spools=space) as store:
        await fill(store)
        body = {"query": "FOR d IN c RETURN d", "batchSize": 10}
        answer = orjson.loads((await send(store, "POST", "/_api/cursor", body)).body)
        assert space.left < 20 << 10
        refused = await send(store, "POST", "/_api/cursor", {"query": "FOR d IN c FOR e IN c RETURN [d, e]"})
        assert (refused.status, orjson.loads(refused.body)["errorNum"]) == (500, 32)
        await send(store, "DELETE", f"/_api/cursor/{answer['id']}")
        assert space.left == 20 << 10


async def test_an_evaluated_modification_lets_others_have_their_turn(complete: CompleteStore) -> None:
    """It is evaluated on the event loop, in pieces of milliseconds."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    text = "FOR i IN 1..3000 LET r = RAND() * 0 FILTER i + r >= 2990 INSERT {i: i} INTO d"
    assert (await send(complete, "POST", "/_api/cursor", {"query": text})).status == 201
    counting.cancel()
    assert turns > 20


async def test_an_error_at_the_end_leaves_nothing(complete: CompleteStore, dsn: str) -> None:
    """What was sent before the end of the query is rolled back, or kept up to the last intermediate commit."""
    text = "FOR d IN c LET r = RAND() * 0 INSERT {_key: d.n == 58 ? 'k001' : d._key, n: d.n + r} INTO d"
    for options, left in (({}, 0), ({"intermediateCommitCount": 25}, 50)):
        refused = await send(complete, "POST", "/_api/cursor", {"query": text, "options": options})
        assert orjson.loads(refused.body)["errorNum"] == 1210
        count = orjson.loads((await send(complete, "GET", "/_api/collection/d/count")).body)["count"]
        assert count == left


async def test_a_query_that_writes_a_document_twice_sees_its_own_writes(
    complete: CompleteStore, memory: MemoryStore
) -> None:
    text = (
        "FOR i IN 0..119 LET r = RAND() * 0 LET k = CONCAT('u', i % 40) UPSERT {_key: k} INSERT {_key: k, n: 1} "
        "UPDATE {n: OLD.n + 1 + r} IN d RETURN [OLD.n, NEW.n]"
    )
    ours, theirs = [await rows_of(store, {"query": text}) for store in (memory, complete)]
    assert ours[0] == theirs[0]


async def test_a_document_is_written_again_beyond_an_intermediate_commit(
    complete: CompleteStore, memory: MemoryStore
) -> None:
    """A part of what waits in memory is sent: what is left of it writes a document that was sent."""
    text = (
        "FOR x IN c SORT x._key UPSERT FILTER CURRENT.n > 58 INSERT {n: 1} UPDATE {o: x.n} IN c "
        "INSERT {_key: x._key} INTO d RETURN NEW._key"
    )
    body = {"query": text, "options": {"intermediateCommitCount": 3}}
    ours, theirs = [await rows_of(store, body) for store in (memory, complete)]
    assert ours[0] == theirs[0]
    read = {"query": "FOR x IN c FILTER x.n > 58 RETURN x.o"}
    ours, theirs = [await rows_of(store, read) for store in (memory, complete)]
    assert ours[0] == theirs[0] == [[NUMBER - 1]]


async def test_the_database_is_not_left_in_a_transaction(complete: CompleteStore, dsn: str) -> None:
    """A scan that LIMIT ends, and a query that fails in its second page."""
    await rows_of(complete, {"query": "FOR d IN c LET r = RAND() * 0 FILTER d.n >= r LIMIT 3 RETURN d"})
    text = "FOR d IN c LET r = RAND() * 0 FILTER d.n >= r FOR x IN (d.n < 30 ? [] : 'none') RETURN x"
    assert orjson.loads((await send(complete, "POST", "/_api/cursor", {"query": text})).body)["errorNum"] == 1563
    database = await Database.open(dsn, size=1)
    open_ones = await database.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in tr%'"
    )
    await database.close()
    assert open_ones == 0
