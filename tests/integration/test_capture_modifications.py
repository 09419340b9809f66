"""AQL that writes, through a proxy: the client's answer as from ArangoDB, and both databases the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy.cutover.stages import Stage, Standing
from proxy.wire.message import Request, Response
from tests.harness import Running, eventually, running

BOOKS, LOG = "_system/books", "_system/log"
CURSOR = "/_api/cursor"


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path) as started:
        for name in ("books", "log", "plain"):
            await started.client.post("/_api/collection", json={"name": name})
        await started.move(Standing(Stage.MIRROR), BOOKS, LOG)
        seed = [{"_key": f"k{n:03}", "n": n} for n in range(50)]
        for name in ("books", "plain"):
            await started.client.post(f"/_api/document/{name}", json=seed)
        yield started


async def same(stack: Running) -> None:
    await stack.drained()
    assert await stack.differences(BOOKS) == []
    assert await stack.differences(LOG) == []
    marks = await stack.database.fetch("SELECT collection, reason FROM crossfade.unverified")
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
    through = await stack.client.post(CURSOR, json={"query": query, "bindVars": {"@c": "books"}, **more})
    direct = await stack.direct.post(CURSOR, json={"query": query, "bindVars": {"@c": "plain"}, **more})
    assert through.status_code == direct.status_code
    told, expected = through.json(), direct.json()
    for answer in (told, expected):
        answer.get("extra", {}).get("stats", {}).pop("executionTime", None)
    if "errorMessage" not in expected:
        assert list(told) == list(expected)
        assert told == expected
    else:
        assert told["errorNum"] == expected["errorNum"]
    await same(stack)


async def test_batches_of_a_modification_reach_the_client_as_they_are(stack: Running) -> None:
    """I6: the cursor has an id of the proxy's own, so that no other instance passes raw rows on."""
    query = {"query": "FOR d IN books SORT d.n UPDATE d WITH {seen: 1} IN books RETURN NEW.n", "batchSize": 20}
    answer = await stack.client.post(CURSOR, json=query)
    rows = answer.json()["result"]
    assert stack.application.mirror.backlog > 0, "what is not fetched is not known"
    for method in ("POST", "PUT"):
        answer = await stack.client.request(method, f"{CURSOR}/{answer.json()['id']}")
        assert answer.status_code == 200
        rows += answer.json()["result"]
    assert rows == list(range(50))
    assert "id" not in answer.json()
    await same(stack)
    assert (await stack.client.post(f"{CURSOR}/9001{'0' * 15}")).json()["errorNum"] == 1600


async def test_a_cursor_that_is_given_up_leaves_nothing_unknown(stack: Running) -> None:
    """I3: a scan for new revisions finds what the client did not fetch."""
    query = {"query": "FOR d IN books UPDATE d WITH {seen: 1} IN books RETURN 1", "batchSize": 20}
    answer = await stack.client.post(CURSOR, json=query)
    gone = await stack.client.delete(f"{CURSOR}/{answer.json()['id']}")
    assert (gone.status_code, gone.json()["id"]) == (202, answer.json()["id"])
    await same(stack)


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
async def test_what_cannot_be_made_to_tell_its_keys_is_found_afterwards(stack: Running, query: str) -> None:
    """I3: by the revisions that it gave; where it removes, by a comparison of the whole collection (I6)."""
    await stack.client.patch("/_api/document/books/k001", json={"x": 1})
    assert (await stack.client.post(CURSOR, json={"query": query})).status_code == 201
    await same(stack)


async def test_an_untold_write_in_a_transaction_waits_for_its_end(stack: Running) -> None:
    """I1."""
    declared = {"collections": {"write": ["books", "log"]}}
    begun = (await stack.client.post("/_api/transaction/begin", json=declared)).json()["result"]["id"]
    query = "FOR d IN books FILTER d.n < 9 REMOVE d IN books COLLECT WITH COUNT INTO n INSERT {n} INTO log RETURN n"
    await stack.client.post(CURSOR, json={"query": query}, headers={"x-arango-trx-id": begun})
    assert stack.application.mirror.backlog > 0
    await stack.client.put(f"/_api/transaction/{begun}")
    await same(stack)


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
async def test_a_write_that_must_be_searched_for_takes_a_flipped_collection_back(
    stack: Running, monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: dict[str, Any]
) -> None:
    """I7: a search that finds too much marks instead. But who ArangoDB does not know undoes no flip."""
    await stack.drained()
    for stage in (Standing(Stage.SHADOW), Standing(Stage.FLIPPED, 100)):
        await stack.move(stage, BOOKS)
    stage_of = "SELECT stage FROM crossfade.collection WHERE collection = $1"
    forward = stack.application.origin.request

    async def guarded(request: Request, *, idempotent: bool = False) -> Response:
        if request.header(b"authorization") is None:  # the development server refuses nobody
            return Response(401, [(b"content-type", b"application/json")], b'{"error":true,"code":401,"errorNum":11}')
        return await forward(request, idempotent=idempotent)

    monkeypatch.setattr(stack.application.origin, "request", guarded)
    stranger = await stack.client.request(method, path, json=body, auth=lambda request: request)
    assert stranger.status_code == 401
    assert await stack.database.fetchval(stage_of, BOOKS) == "flipped"
    assert (await stack.client.request(method, path, json=body)).status_code in (200, 201)
    assert await stack.database.fetchval(stage_of, BOOKS) == "shadow"
    await same(stack)


async def test_what_writes_as_it_is_read_is_opaque_by_name(stack: Running) -> None:
    """I10."""
    query = "FOR d IN books UPDATE d WITH {m: 1} IN books"
    await stack.client.post(CURSOR, json={"query": query, "options": {"stream": True}})

    async def marked() -> bool:
        found: str | None = await stack.database.fetchval(
            "SELECT reason FROM crossfade.unverified WHERE collection = $1", BOOKS
        )
        return found == "AQL modification: streaming"

    await eventually(marked, "the mark is in PostgreSQL")


async def test_a_large_body_of_bind_variables_is_captured_as_well(stack: Running) -> None:
    """A body above what is buffered must not pass for a read."""
    rows = [{"_key": f"b{n}", "t": "x" * 1500} for n in range(3000)]
    query = {"query": "FOR d IN @rows INSERT d INTO books", "bindVars": {"rows": rows}}
    assert (await stack.client.post(CURSOR, json=query)).status_code == 201
    await same(stack)


async def test_a_removal_by_keys_is_captured(stack: Running) -> None:
    removal = {"collection": "books", "keys": ["k001", "books/k002", "nowhere"]}
    answer = await stack.client.put("/_api/simple/remove-by-keys", json=removal)
    assert answer.json()["removed"] >= 1
    await same(stack)


@pytest.mark.parametrize("verb", ["update", "replace", "remove"])
async def test_a_write_by_example_is_captured(stack: Running, verb: str) -> None:
    """I3: its answer is a number."""
    await stack.drained()  # what it changes is in PostgreSQL: an older version must not pass for the new one
    example: dict[str, Any] = {"collection": "books", "example": {"n": 7}}
    if verb == "remove":
        example["options"] = {"limit": 1}
    else:
        example["newValue"] = {"of": {"deep": verb}}
    answer = await stack.client.put(f"/_api/simple/{verb}-by-example", json=example)
    assert answer.status_code == 200
    await same(stack)
    found = await stack.database.fetchval("SELECT doc #>> '{of,deep}' FROM _system.books WHERE key = 'k007'")
    assert found == (None if verb == "remove" else verb)


async def test_a_modification_of_two_collections_mirrors_both(stack: Running) -> None:
    query = "FOR d IN books FILTER d.n < 3 UPDATE d WITH {m: 1} IN books INSERT {of: NEW._key} INTO log"
    await stack.client.post(CURSOR, json={"query": query})
    await same(stack)
    assert await stack.database.fetchval("SELECT count(*) FROM _system.log") == 3


async def test_a_flipped_collection_has_it_before_the_answer(stack: Running) -> None:
    """I7, and no rollback."""
    await stack.drained()
    await stack.move(Standing(Stage.SHADOW), BOOKS)
    await stack.move(Standing(Stage.FLIPPED, 100), BOOKS)
    await stack.client.post(CURSOR, json={"query": "FOR d IN books FILTER d.n < 9 REMOVE d IN books"})
    assert await stack.database.fetchval("SELECT count(*) FROM _system.books WHERE doc IS NOT NULL") == 41
    await stack.client.post(CURSOR, json={"query": "INSERT {_key: 'new'} INTO books RETURN NEW"})
    assert (await stack.client.get("/_api/document/books/new")).status_code == 200
    assert (
        await stack.database.fetchval("SELECT stage FROM crossfade.collection WHERE collection = $1", BOOKS)
        == "flipped"
    )
