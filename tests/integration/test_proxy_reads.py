"""Edges, simple reads and documents through graphs, by the proxy: compared in the shadow, served from PostgreSQL when
flipped, from ArangoDB if PostgreSQL cannot know (I6, I7, I9, I10)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.model.stages import Stage
from tests.harness import Running, eventually, running

_GRAPH = {"name": "g", "edgeDefinitions": [{"collection": "knows", "from": ["people"], "to": ["people"]}]}
_READS: list[tuple[str, str, Any]] = [
    ("GET", "/_api/gharial/g/vertex/people/a", None),
    ("GET", "/_api/gharial/g/edge/knows/ab", None),
    ("GET", "/_api/gharial/g/vertex/people/none", None),
    ("GET", "/_api/edges/knows?vertex=people/a", None),
    ("GET", "/_api/edges/knows?vertex=people/a&direction=out", None),
    ("POST", "/_api/edges/knows?direction=in", ["people/a", "people/b"]),
    ("PUT", "/_api/simple/all", {"collection": "people"}),
    ("PUT", "/_api/simple/all-keys", {"collection": "people"}),
    ("PUT", "/_api/simple/by-example", {"collection": "people", "example": {"n": 2}}),
    ("PUT", "/_api/simple/first-example", {"collection": "people", "example": {"n": 1}}),
    ("PUT", "/_api/simple/first-example", {"collection": "people", "example": {"n": 9}}),
    ("PUT", "/_api/simple/lookup-by-keys", {"collection": "people", "keys": ["b", "none"]}),
    ("PUT", "/_api/simple/any", {"collection": "people"}),
]
EXPLAIN = {"x-crossfade-explain": "1"}


async def filled(client: httpx.AsyncClient) -> None:
    """The graph g of the people a and b, who know each other."""
    await client.post("/_api/collection", json={"name": "people"})
    await client.post("/_api/collection", json={"name": "knows", "type": 3})
    assert (await client.post("/_api/gharial", json=_GRAPH)).status_code in (201, 202)
    await client.post("/_api/document/people", json=[{"_key": "a", "n": 1}, {"_key": "b", "n": 2}])
    ends = {"_from": "people/a", "_to": "people/b"}
    await client.post("/_api/document/knows", json=[{"_key": "ab", **ends}, {"_key": "aa", **ends, "_to": "people/a"}])


@pytest.fixture
async def shadowed(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path) as started:
        await started.default(Stage.SHADOW)
        await filled(started.client)
        await started.drained()
        yield started


@pytest.fixture
async def flipped(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path, dev_auto_flip=True) as started:
        await started.default(Stage.SHADOW)
        await filled(started.client)
        yield started


async def verdicts(stack: Running) -> dict[str, int]:
    """Return the verdicts of the comparisons, over all collections."""
    await stack.application.shadow.idle()
    row = await stack.database.fetchrow(
        "SELECT sum(compared) AS compared, sum(matched) AS matched, sum(mismatched) AS mismatched, "
        "sum(unsupported) AS unsupported FROM _crossfade.comparison"
    )
    assert row is not None
    return {name: int(value or 0) for name, value in row.items()}


async def test_each_kind_of_read_is_compared_in_the_shadow(shadowed: Running) -> None:
    for method, target, body in _READS:
        answer = await shadowed.client.request(method, target, json=body)
        assert answer.status_code in (200, 201, 404), (target, answer.text)
    found = await verdicts(shadowed)
    assert found["mismatched"] == found["unsupported"] == 0
    assert found["compared"] == found["matched"] == len(_READS) - 1  # an arbitrary document cannot be compared
    gaps = await shadowed.database.fetch("SELECT endpoint FROM _crossfade.uncovered WHERE reason = 'not compared'")
    assert not gaps


async def test_a_difference_is_reported_for_the_documents_that_differ(shadowed: Running) -> None:
    """A seeded difference is found by every kind of read."""
    await shadowed.database.execute(
        "UPDATE _system.knows SET raw = replace(raw::text, 'people/b', 'people/c')::json, "
        "doc = replace(doc::text, 'people/b', 'people/c')::jsonb WHERE key = 'ab'"
    )
    for target in ("/_api/edges/knows?vertex=people/a&direction=out", "/_api/gharial/g/edge/knows/ab"):
        await shadowed.client.get(target)

    async def found() -> bool:
        rows = await shadowed.database.fetch("SELECT keys, paths FROM _crossfade.mismatch")
        return {(tuple(row["keys"]), tuple(row["paths"])) for row in rows} == {
            (("ab",), ("_to",)),
            (("ab",), ("[]._to",)),
        }

    await eventually(found, "both are reported")


async def test_each_kind_of_read_is_served_from_postgresql_when_flipped(flipped: Running) -> None:
    """With the same answer as ArangoDB's, but for statistics and order."""
    for method, target, body in _READS:
        direct = await flipped.direct.request(method, target, json=body)
        served = await flipped.client.request(method, target, json=body, headers=EXPLAIN)
        assert served.headers["x-crossfade-served-by"] == "postgresql", target
        assert served.status_code == direct.status_code, target
        assert served.headers.get("etag") == direct.headers.get("etag"), target
        left, right = direct.json(), served.json()
        assert list(left) == list(right), target
        for name in ("edges", "result", "document"):
            if name in left and not target.endswith("first-example"):
                values = [answer.pop(name) for answer in (left, right)]
                assert name == "document" or sorted(map(str, values[0])) == sorted(map(str, values[1])), target
        for answer in (left, right):
            answer.pop("stats", None)
            answer.pop("extra", None)
        assert left == right, target
    assert (await verdicts(flipped))["mismatched"] == 0


async def test_documents_of_a_dropped_graph_are_not_found(flipped: Running) -> None:
    """The definition is mirrored as a document, and read under the same fence."""
    target = "/_api/gharial/g/vertex/people/a"
    assert (await flipped.client.get(target)).status_code == 200
    assert (await flipped.client.delete("/_api/gharial/g")).status_code in (200, 201, 202)
    answer = await flipped.client.get(target, headers=EXPLAIN)
    assert (answer.status_code, answer.json()["errorNum"]) == (404, 1924)


async def test_a_vertex_collection_added_to_a_graph_is_visible_immediately(flipped: Running) -> None:
    await flipped.client.post("/_api/collection", json={"name": "more"})
    await flipped.client.post("/_api/document/more", json={"_key": "x"})
    before = await flipped.client.get("/_api/gharial/g/vertex/more/x")
    assert before.status_code == 200  # ArangoDB checks for the document, not for its place in the graph
    await flipped.client.post("/_api/gharial/g/vertex", json={"collection": "more"})
    after = await flipped.client.get("/_api/gharial/g/vertex/more/x", headers=EXPLAIN)
    assert after.status_code == 200
    assert after.headers["x-crossfade-served-by"] == "postgresql"


async def test_reads_without_a_counterpart_in_postgresql_go_to_arangodb(flipped: Running) -> None:
    body = {"collection": "people", "attribute": "n", "query": "x"}
    answer = await flipped.client.put("/_api/simple/fulltext", json=body, headers=EXPLAIN)
    assert answer.status_code >= 400  # the development server has none either: what is refused is not counted
    assert answer.headers["x-crossfade-served-by"] == "arangodb"
    for limits in ({"skip": "1"}, {"limit": 1.5}, {"limit": True}):  # what ArangoDB makes of these is for it to say
        answer = await flipped.client.put("/_api/simple/all", json={"collection": "people", **limits}, headers=EXPLAIN)
        assert answer.headers["x-crossfade-served-by"] == "arangodb", limits


async def test_several_slashes_at_the_start_of_a_path_are_one(flipped: Running) -> None:
    """A client whose URL ends in a slash sends such paths, which ArangoDB accepts."""
    base = str(flipped.client.base_url).rstrip("/")
    written = await flipped.client.post(f"{base}//_api/document/people", json={"_key": "c", "n": 3})
    assert written.status_code == 202
    answer = await flipped.client.get(f"{base}///_api/document/people/c", headers=EXPLAIN)
    assert (answer.status_code, answer.headers["x-crossfade-served-by"]) == (200, "postgresql")


async def test_examples_match_as_aql_compares(flipped: Running) -> None:
    await flipped.client.post("/_api/document/people", json=[{"_key": "c", "n": [1]}, {"_key": "d", "n": [1, None]}])
    body = {"collection": "people", "example": {"n": [1]}}
    for client in (flipped.client, flipped.direct):
        rows = (await client.put("/_api/simple/by-example", json=body)).json()["result"]
        assert sorted(row["_key"] for row in rows) == ["c", "d"]


async def test_a_cursor_of_a_simple_read_stays_with_its_store(flipped: Running) -> None:
    first = await flipped.client.put("/_api/simple/all", json={"collection": "people", "batchSize": 1}, headers=EXPLAIN)
    assert first.headers["x-crossfade-served-by"] == "postgresql"
    second = await flipped.client.put(f"/_api/cursor/{first.json()['id']}", headers=EXPLAIN)
    assert second.headers["x-crossfade-served-by"] == "postgresql"
    keys = {document["_key"] for answer in (first, second) for document in answer.json()["result"]}
    assert keys == {"a", "b"}


async def test_a_collection_can_be_addressed_by_its_numeric_id(flipped: Running) -> None:
    """Old clients name collections so (protocol page, section 6): their reads and writes are those of its name."""
    number = (await flipped.client.get("/_api/collection/people")).json()["id"]
    written = await flipped.client.post(f"/_api/document/{number}", json={"_key": number, "n": 3})
    assert written.status_code == 202
    answer = await flipped.client.get(f"/_api/document/{number}/{number}", headers=EXPLAIN)
    assert (answer.json()["n"], answer.headers["x-crossfade-served-by"]) == (3, "postgresql")
    await flipped.drained()
    assert await flipped.differences("_system/people") == []
    registered = await flipped.database.fetch("SELECT name FROM _crossfade.collection ORDER BY name")
    assert [row["name"] for row in registered] == ["_graphs", "knows", "people"]
    none = await flipped.client.get("/_api/document/999999/a")
    assert (none.status_code, none.json()["errorNum"]) == (404, 1203)
