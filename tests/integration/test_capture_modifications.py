"""AQL that writes, through a proxy: the client's answer as from ArangoDB, and both databases the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.capture import unread_rows as rows
from proxy.model.message import Request, Response
from proxy.model.stages import CollectionState, Stage
from tests.harness import Running, eventually, running

BOOKS, LOG = "_system/books", "_system/log"
CURSOR = "/_api/cursor"


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path) as started:
        for name in ("books", "log", "plain"):
            await started.client.post("/_api/collection", json={"name": name})
        await started.move(CollectionState(Stage.MIRROR), BOOKS, LOG)
        seed = [{"_key": f"k{n:03}", "n": n} for n in range(50)]
        for name in ("books", "plain"):
            await started.client.post(f"/_api/document/{name}", json=seed)
        yield started


async def assert_same(stack: Running) -> None:
    await stack.drained()
    assert await stack.differences(BOOKS) == []
    assert await stack.differences(LOG) == []
    marks = await stack.database.fetch("SELECT collection, reason FROM _crossfade.unverified")
    assert [tuple(row) for row in marks] == []


QUERIES: list[tuple[str, dict[str, Any]]] = [
    ("FOR d IN @@c FILTER d.n < 5 UPDATE d WITH {m: d.n * 1.5} IN @@c", {}),
    ("FOR d IN @@c FILTER d.n < 5 SORT d.n UPDATE d WITH {m: 1} IN @@c RETURN NEW.n", {"count": True}),
    ("FOR d IN @@c FILTER d.n > 40 REMOVE d IN @@c", {"count": True}),
    ("FOR d IN @@c FILTER d.n > 40 SORT d.n REMOVE d IN @@c LET n = OLD.n RETURN {n}", {}),
    ("FOR d IN @@c REPLACE d WITH {gone: true} IN @@c", {"batchSize": 7}),
    ("UPSERT {n: 3} INSERT {n: 3} UPDATE {seen: true} IN @@c RETURN OLD ? 'old' : 'new'", {}),
    ("FOR i IN 1..20 INSERT {_key: TO_STRING(i), i} INTO @@c RETURN NEW.i", {"options": {"fullCount": True}}),
    ("INSERT {_key: 'k001'} INTO @@c OPTIONS {overwriteMode: 'ignore'} RETURN NEW", {}),
    ("FOR d IN @@c FILTER d.n == 1000 REMOVE d IN @@c RETURN OLD", {}),
    ("INSERT {_key: 'k001'} INTO @@c", {}),
    ("FOR i IN 1..3 INSERT {_key: CONCAT('k00', i)} INTO @@c", {}),
]


@pytest.mark.parametrize(("query", "more"), QUERIES)
async def test_a_modification_is_captured_and_answers_as_arangodb(
    stack: Running, query: str, more: dict[str, Any]
) -> None:
    """I3, I6, I10."""
    proxied = await stack.client.post(CURSOR, json={"query": query, "bindVars": {"@c": "books"}, **more})
    direct = await stack.direct.post(CURSOR, json={"query": query, "bindVars": {"@c": "plain"}, **more})
    assert proxied.status_code == direct.status_code
    actual, expected = proxied.json(), direct.json()
    for answer in (actual, expected):
        answer.get("extra", {}).get("stats", {}).pop("executionTime", None)
    if "errorMessage" not in expected:
        assert list(actual) == list(expected)
        assert actual == expected
    else:
        assert actual["errorNum"] == expected["errorNum"]
    await assert_same(stack)


ROWS = "FOR d IN @@c SORT d.n UPDATE d WITH {seen: 1} IN @@c RETURN NEW.n"
CURSORS: list[dict[str, Any]] = [
    {"batchSize": 20},
    {"batchSize": 1, "count": True},
    {"batchSize": 25, "options": {"allowRetry": True}, "ttl": 5},
    {"batchSize": 50, "options": {"allowRetry": True}},
    {"batchSize": 50},
    {"batchSize": 7, "stream": True},
    {"batchSize": 7, "options": {"stream": True}},
    {"batchSize": 7.5, "ttl": None, "count": None, "options": None},
    {"batchSize": None},
    {"batchSize": 0},
    {"batchSize": 7, "stream": True, "count": True},
]


async def batches(client: httpx.AsyncClient, collection: str, more: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every answer of a cursor read to its end, each batch requested by number, twice if permitted."""
    body = {"query": ROWS, "bindVars": {"@c": collection}, **more}
    answers = [(await client.post(CURSOR, json=body)).json()]
    retries = (more.get("options") or {}).get("allowRetry")
    while answers[-1].get("hasMore"):
        name = answers[0]["id"]
        paths = [f"{CURSOR}/{name}/{answers[-1]['nextBatchId']}"] * (2 if retries else 1)
        answers += [(await client.post(path)).json() for path in paths]
    if "id" in answers[0]:
        answers.append((await client.post(f"{CURSOR}/{answers[0]['id']}/1")).json())
        path = f"{CURSOR}/{answers[0]['id']}"
        answers += [(await client.post(path)).json(), (await client.delete(path)).json()]
        answers += [(await client.post(path)).json(), (await client.delete(path)).json()]
    return answers


@pytest.mark.parametrize("more", CURSORS, ids=str)
async def test_batches_of_a_modification_equal_those_of_arangodb(stack: Running, more: dict[str, Any]) -> None:
    """I6: ids, hasMore, nextBatchId, count, `extra` in the right batch, retries, the end; I3."""
    actual, expected = [
        await batches(client, name, more) for client, name in ((stack.client, "books"), (stack.direct, "plain"))
    ]
    for answers in (actual, expected):
        assert len({answer["id"] for answer in answers if "id" in answer}) < 2
        for answer in answers:
            answer.get("extra", {}).get("stats", {}).pop("executionTime", None)
            answer["id"] = "id" in answer
    assert actual == expected
    await assert_same(stack)


@pytest.mark.parametrize("more", [{}, {"stream": True}, {"ttl": 1000}, {"options": {"allowRetry": True}}], ids=str)
@pytest.mark.parametrize(
    "query",
    [
        "FOR d IN books UPDATE d WITH {seen: 1} IN books RETURN NEW.n",
        "FOR d IN books FILTER d.n > 10 REMOVE d IN books RETURN OLD._key",
        "FOR i IN 1..9 INSERT {i} INTO books RETURN 1",
        "FOR i IN 1..60 UPSERT {n: i} INSERT {n: i} REPLACE {n: i, r: 1} IN books RETURN NEW",
        "LET gone = (FOR d IN books FILTER d.n > 10 REMOVE d IN books RETURN OLD) FOR d IN gone RETURN d._key",
    ],
)
async def test_writes_are_captured_whatever_the_client_does_with_its_cursor(
    stack: Running, query: str, more: dict[str, Any]
) -> None:
    """I3: a cursor that is never read to its end delays neither its writes, nor the backlog, nor a flip."""
    answer = (await stack.client.post(CURSOR, json={"query": query, "batchSize": 2, **more})).json()
    assert answer["hasMore"]
    await assert_same(stack)
    assert stack.application.mirror.lag_seconds == 0


async def test_a_cursor_stays_with_its_owner_when_another_user_requests_or_deletes_it(stack: Running) -> None:
    query = {"query": ROWS, "bindVars": {"@c": "books"}, "batchSize": 20}
    number = (await stack.client.post(CURSOR, json=query)).json()["id"]
    for method in ("POST", "PUT", "DELETE"):
        answer = await stack.client.request(method, f"{CURSOR}/{number}", auth=("stranger", "x"))
        assert (answer.status_code, answer.json()["errorNum"]) == (404, 1600)
        unnamed = await stack.client.request(method, f"{CURSOR}/{number}", auth=lambda request: request)
        assert unnamed.status_code == 404
        elsewhere = await stack.client.request(method, f"/_db/other{CURSOR}/{number}")
        assert elsewhere.status_code == 404
    rows = [(await stack.client.put(f"{CURSOR}/{number}")).json()["result"] for _ in range(2)]
    assert [len(part) for part in rows] == [20, 10]
    assert (await stack.client.post(f"{CURSOR}/9001{'0' * 15}")).json()["errorNum"] == 1600


@pytest.mark.parametrize("lost", [False, True], ids=["kept", "lost"])
async def test_rows_over_the_memory_limit_spill_to_the_state_directory(
    stack: Running, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    """If it has no space the next batch is an error for the client, but the writes are captured."""
    monkeypatch.setattr(rows, "_MEMORY", 100)
    room = stack.application.dispatcher._writes._modifications._room
    room.most = 10 if lost else room.most
    query = {"query": ROWS.replace("NEW.n", "NEW"), "bindVars": {"@c": "books"}, "batchSize": 20}
    answer = (await stack.client.post(CURSOR, json=query)).json()
    found = [document["n"] for document in answer["result"]]
    assert room.taken > 100 or lost
    while answer.get("hasMore"):
        answer = (await stack.client.post(f"{CURSOR}/{answer['id']}")).json()
        found += [document["n"] for document in answer.get("result", ())]
    assert found == list(range(20 if lost else 50))
    assert answer.get("errorNum") == (32 if lost else None)
    assert (room.taken, room.memory, room.files) == (0, 0, 0)
    await assert_same(stack)


async def test_a_cursor_expires_at_its_time_to_live(stack: Running) -> None:
    query = {"query": ROWS, "bindVars": {"@c": "books"}, "batchSize": 20, "ttl": 0.05}
    number = (await stack.client.post(CURSOR, json=query)).json()["id"]
    await eventually(
        lambda: not stack.application.dispatcher._writes._modifications.cursors._open, "the cursor is closed"
    )
    assert (await stack.client.post(f"{CURSOR}/{number}")).json()["errorNum"] == 1600


@pytest.mark.parametrize(
    "query",
    [
        "FOR d IN books SORT d.n UPDATE d WITH {m: 1} IN books LIMIT 1 RETURN NEW.n",
        "FOR d IN books FILTER d.n < 9 REPLACE d WITH {n: d.n} IN books FILTER NEW.n > 3 RETURN NEW._key",
        "LET made = (FOR i IN 1..5 INSERT {n: i} INTO log RETURN NEW.n) RETURN SUM(made)",
        "FOR d IN books FILTER d.n < 9 REMOVE d IN books COLLECT AGGREGATE s = SUM(OLD.n) RETURN s",
        "LET gone = (FOR d IN books FILTER d.n > 40 REMOVE d IN books RETURN OLD) "
        "FOR d IN gone INSERT {of: d._key} INTO log RETURN DISTINCT d.n % 2",
    ],
)
async def test_writes_with_unknown_keys_are_found_by_their_revisions(stack: Running, query: str) -> None:
    """I3: by its revisions; removals by a comparison of the complete collection (I6)."""
    await stack.client.patch("/_api/document/books/k001", json={"x": 1})
    assert (await stack.client.post(CURSOR, json={"query": query})).status_code == 201
    await assert_same(stack)


async def test_a_write_with_unknown_keys_is_searched_for_when_its_transaction_ends(stack: Running) -> None:
    """I1."""
    declared = {"collections": {"write": ["books", "log"]}}
    transaction = (await stack.client.post("/_api/transaction/begin", json=declared)).json()["result"]["id"]
    query = "FOR d IN books FILTER d.n < 9 REMOVE d IN books COLLECT WITH COUNT INTO n INSERT {n} INTO log RETURN n"
    await stack.client.post(CURSOR, json={"query": query}, headers={"x-arango-trx-id": transaction})
    assert stack.application.mirror.backlog > 0
    await stack.client.put(f"/_api/transaction/{transaction}")
    await assert_same(stack)


EXAMPLE = {"collection": "books", "example": {"n": 7}}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", CURSOR, {"query": "FOR d IN books FILTER d.n < 2 UPDATE d WITH {m: 1} IN books LIMIT 5 RETURN 1"}),
        ("PUT", "/_api/simple/update-by-example", {**EXAMPLE, "newValue": {"m": 1}}),
        ("PUT", "/_api/simple/remove-by-example", EXAMPLE),
        ("POST", "/_api/import?collection=books&type=documents&complete=true", {"n": 60}),
    ],
)
async def test_a_write_with_unknown_keys_rolls_a_flipped_collection_back(
    stack: Running, monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: dict[str, Any]
) -> None:
    """I7: a search that finds too much leaves a mark instead. An unknown user causes no rollback."""
    await stack.drained()
    for stage in (CollectionState(Stage.SHADOW), CollectionState(Stage.FLIPPED, 100)):
        await stack.move(stage, BOOKS)
    stage_of = "SELECT stage FROM _crossfade.collection WHERE collection = $1"
    forward = stack.application.origin.request

    async def guarded(request: Request, *, idempotent: bool = False) -> Response:
        if request.header(b"authorization") is None:  # the development server refuses no user
            return Response(401, [(b"content-type", b"application/json")], b'{"error":true,"code":401,"errorNum":11}')
        return await forward(request, idempotent=idempotent)

    monkeypatch.setattr(stack.application.origin, "request", guarded)
    unknown_user = await stack.client.request(method, path, json=body, auth=lambda request: request)
    assert unknown_user.status_code == 401
    assert await stack.database.fetchval(stage_of, BOOKS) == "flipped"
    assert (await stack.client.request(method, path, json=body)).status_code in (200, 201)
    assert await stack.database.fetchval(stage_of, BOOKS) == "shadow"
    await assert_same(stack)


async def test_a_modification_with_large_bind_variables_is_captured(stack: Running) -> None:
    """A body larger than the buffer must not be taken for a read."""
    rows = [{"_key": f"b{n}", "t": "x" * 1500} for n in range(3000)]
    query = {"query": "FOR d IN @rows INSERT d INTO books", "bindVars": {"rows": rows}}
    assert (await stack.client.post(CURSOR, json=query)).status_code == 201
    await assert_same(stack)


async def test_a_removal_by_keys_is_captured(stack: Running) -> None:
    removal = {"collection": "books", "keys": ["k001", "books/k002", "nowhere"]}
    answer = await stack.client.put("/_api/simple/remove-by-keys", json=removal)
    assert answer.json()["removed"] >= 1
    await assert_same(stack)


@pytest.mark.parametrize("verb", ["update", "replace", "remove"])
async def test_a_write_by_example_is_captured(stack: Running, verb: str) -> None:
    """I3: its answer is a number."""
    await stack.drained()  # PostgreSQL has the document already: the older version must not be taken for the new one
    example: dict[str, Any] = {"collection": "books", "example": {"n": 7}}
    if verb == "remove":
        example["options"] = {"limit": 1}
    else:
        example["newValue"] = {"of": {"deep": verb}}
    answer = await stack.client.put(f"/_api/simple/{verb}-by-example", json=example)
    assert answer.status_code == 200
    await assert_same(stack)
    found = await stack.database.fetchval("SELECT doc #>> '{of,deep}' FROM _system.books WHERE key = 'k007'")
    assert found == (None if verb == "remove" else verb)


async def test_a_modification_of_two_collections_mirrors_both(stack: Running) -> None:
    query = "FOR d IN books FILTER d.n < 3 UPDATE d WITH {m: 1} IN books INSERT {of: NEW._key} INTO log"
    await stack.client.post(CURSOR, json={"query": query})
    await assert_same(stack)
    assert await stack.database.fetchval("SELECT count(*) FROM _system.log") == 3


async def test_a_modification_is_in_a_flipped_collection_before_the_answer(stack: Running) -> None:
    """I7, and no rollback."""
    await stack.drained()
    await stack.move(CollectionState(Stage.SHADOW), BOOKS)
    await stack.move(CollectionState(Stage.FLIPPED, 100), BOOKS)
    await stack.client.post(CURSOR, json={"query": "FOR d IN books FILTER d.n < 9 REMOVE d IN books"})
    assert await stack.database.fetchval("SELECT count(*) FROM _system.books WHERE doc IS NOT NULL") == 41
    await stack.client.post(CURSOR, json={"query": "INSERT {_key: 'new'} INTO books RETURN NEW"})
    assert (await stack.client.get("/_api/document/books/new")).status_code == 200
    assert (
        await stack.database.fetchval("SELECT stage FROM _crossfade.collection WHERE collection = $1", BOOKS)
        == "flipped"
    )
