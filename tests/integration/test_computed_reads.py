"""Queries whose text does not determine what they read: traversals of graphs, DOCUMENT of computed ids (I10).

They are compared with PostgreSQL, served from it if every collection that they may read is flipped, and never read a
collection whose copy is not known to be correct.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.model.stages import CollectionState, Stage
from proxy.operator import shapes
from proxy.operator.shapes import ShapeReport
from tests.harness import Running, eventually, running

MIRROR, SHADOW, FLIPPED = (
    CollectionState(Stage.MIRROR),
    CollectionState(Stage.SHADOW),
    CollectionState(Stage.FLIPPED, 100),
)
COLLECTIONS = tuple(f"_system/{name}" for name in ("_graphs", "knows", "pages", "people"))
EXPLAIN = {"X-Crossfade-Explain": "1"}
QUERIES = {
    "named graph": ("FOR v IN 1..2 OUTBOUND 'people/a' GRAPH 'social' SORT v._key RETURN v._key", ["b", "c"]),
    "no WITH": ("FOR v IN 1..2 OUTBOUND 'people/a' knows SORT v._key RETURN v._key", ["b", "c"]),
    "WITH": ("WITH people FOR v IN 1..2 OUTBOUND 'people/a' knows SORT v._key RETURN v._key", ["b", "c"]),
    "path": ("FOR v IN OUTBOUND SHORTEST_PATH 'people/a' TO 'people/c' GRAPH 'social' RETURN v._key", ["a", "b", "c"]),
    "computed id": ("FOR p IN people SORT p._key RETURN DOCUMENT(CONCAT('people/', p.next))._key", ["b", "c", None]),
    "id in a variable": ("RETURN DOCUMENT(@id)._key", ["b"]),
}


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    """Start a stack with a chain a -> b -> c of people in a named graph, and a page outside any graph."""
    async with running(dsn, tmp_path) as running_stack:
        for name, kind in (("people", 2), ("pages", 2), ("knows", 3)):
            await running_stack.direct.post("/_api/collection", json={"name": name, "type": kind})
        for name in COLLECTIONS:
            await running_stack.move(MIRROR, name)
        definition = {"collection": "knows", "from": ["people"], "to": ["people"]}
        await running_stack.client.post("/_api/gharial", json={"name": "social", "edgeDefinitions": [definition]})
        people = [{"_key": "a", "next": "b"}, {"_key": "b", "next": "c"}, {"_key": "c"}]
        await running_stack.client.post("/_api/document/people", json=people)
        await running_stack.client.post("/_api/document/pages", json=[{"_key": "p"}])
        edges = [{"_from": "people/a", "_to": "people/b"}, {"_from": "people/b", "_to": "people/c"}]
        await running_stack.client.post("/_api/document/knows", json=edges)
        await running_stack.drained()
        yield running_stack


async def _ask(stack: Running, name: str) -> tuple[list[object], str]:
    """Return the rows of one of QUERIES, and the answering store."""
    text, _ = QUERIES[name]
    binds = {"id": "people/b"} if "@id" in text else {}
    answer = await stack.client.post("/_api/cursor", json={"query": text, "bindVars": binds}, headers=EXPLAIN)
    return answer.json()["result"], answer.headers["x-crossfade-served-by"]


async def _rows(stack: Running) -> list[ShapeReport]:
    await stack.application.shadow.idle()
    await stack.application.coverage.flush()
    return await shapes.listed(stack.database, None)


@pytest.mark.parametrize("name", QUERIES)
async def test_a_computed_read_follows_the_stage_of_all_its_collections(stack: Running, name: str) -> None:
    rows = QUERIES[name][1]
    await stack.move(SHADOW, *COLLECTIONS)
    assert await _ask(stack, name) == (rows, "arangodb")
    counted = {(row.matched, row.mismatched, row.unsupported, row.skipped) for row in await _rows(stack)}
    assert counted == {(1, 0, 0, 0)}
    assert await stack.database.fetchval("SELECT count(*) FROM _crossfade.uncovered") == 0
    await stack.move(FLIPPED, *COLLECTIONS)
    assert await _ask(stack, name) == (rows, "postgresql")


async def test_a_collection_that_is_not_flipped_keeps_computed_reads_at_arangodb(stack: Running) -> None:
    """The collections are unknown in advance, except for a query with WITH and for an id in a bind variable."""
    await stack.move(SHADOW, *COLLECTIONS)
    await stack.move(FLIPPED, *(name for name in COLLECTIONS if name != "_system/pages"))
    found = {name: (await _ask(stack, name))[1] for name in QUERIES}
    named = ("WITH", "id in a variable")
    assert found == {name: "postgresql" if name in named else "arangodb" for name in QUERIES}


async def test_a_dropped_collection_keeps_no_read_at_arangodb(stack: Running) -> None:
    """It keeps no query at ArangoDB, even at an unchanged epoch; once it is recreated it counts again."""
    await stack.move(SHADOW, *COLLECTIONS)
    await stack.move(FLIPPED, *(name for name in COLLECTIONS if name != "_system/pages"))
    assert (await _ask(stack, "computed id"))[1] == "arangodb"
    await stack.client.delete("/_api/collection/pages")
    await stack.drained()

    async def served() -> bool:
        return await _ask(stack, "computed id") == (QUERIES["computed id"][1], "postgresql")

    await eventually(served, "it is served by PostgreSQL")
    assert (await _ask(stack, "named graph"))[1] == "postgresql"
    await stack.client.post("/_api/collection", json={"name": "pages"})

    async def back() -> bool:
        return (await _ask(stack, "computed id"))[1] == "arangodb"

    await eventually(back, "the graph includes a collection that is not flipped")


async def test_collections_outside_the_shadow_are_never_compared(stack: Running) -> None:
    """An edge leads to a collection of stage mirror, whose copy may be incomplete: no verdict."""
    await stack.move(SHADOW, *(name for name in COLLECTIONS if name != "_system/pages"))
    edge = {"_from": "people/a", "_to": "pages/p"}
    await stack.client.post("/_api/document/knows", json=edge)
    await stack.drained()
    assert (await _ask(stack, "no WITH"))[0] == ["b", "c", "p"]
    (row,) = await _rows(stack)
    assert (row.collection, row.compared, row.mismatched, row.unsupported) == ("_system/knows", 0, 0, 1)


async def test_a_difference_in_a_collection_that_the_text_does_not_name_is_found(stack: Running) -> None:
    await stack.move(SHADOW, *COLLECTIONS)
    await stack.database.execute(
        'UPDATE _system.people SET doc = doc || \'{"x": 1}\', raw = \'{"_key": "c", "x": 1}\' WHERE key = \'c\''
    )
    text = "FOR v IN 2..2 OUTBOUND 'people/a' GRAPH 'social' RETURN v.x"
    await stack.client.post("/_api/cursor", json={"query": text})
    (row,) = await _rows(stack)
    assert (row.collection, row.mismatched) == ("_system/_graphs", 1)


async def test_reads_through_a_flipped_graph_see_own_writes(stack: Running) -> None:
    await stack.move(SHADOW, *COLLECTIONS)
    await stack.move(FLIPPED, *COLLECTIONS)
    for number in range(5):
        await stack.client.post("/_api/document/people", json={"_key": f"n{number}"})
        await stack.client.post("/_api/document/knows", json={"_from": "people/c", "_to": f"people/n{number}"})
        answer = await stack.client.post(
            "/_api/cursor",
            json={"query": "FOR v IN 1..1 OUTBOUND 'people/c' GRAPH 'social' RETURN v._key"},
            headers=EXPLAIN,
        )
        assert (len(answer.json()["result"]), answer.headers["x-crossfade-served-by"]) == (number + 1, "postgresql")
