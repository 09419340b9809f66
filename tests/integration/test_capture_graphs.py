"""Writes through a named graph: vertices, edges, and the edges that a removal takes along."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.cutover.stages import Stage, Standing
from tests.harness import Running, running

PEOPLE, KNOWS = "_system/people", "_system/knows"
GRAPH = "/_api/gharial/social"


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path) as started:
        await started.move(Standing(Stage.MIRROR), "_system/*")
        definition = {"collection": "knows", "from": ["people"], "to": ["people"]}
        made = await started.client.post("/_api/gharial", json={"name": "social", "edgeDefinitions": [definition]})
        assert made.status_code in (201, 202)
        for key in "abc":
            await started.client.post(f"{GRAPH}/vertex/people", json={"_key": key})
        yield started


async def same(stack: Running) -> None:
    """Both databases hold the same, and nothing became unverified."""
    await stack.drained()
    for collection in (PEOPLE, KNOWS):
        assert await stack.differences(collection) == []
    marks = await stack.database.fetch("SELECT collection, reason FROM _crossfade.unverified")
    assert [tuple(row) for row in marks] == []


async def edge(stack: Running, start: str, end: str, **more: str) -> str:
    body = {"_from": f"people/{start}", "_to": f"people/{end}", **more}
    answer = await stack.client.post(f"{GRAPH}/edge/knows", json=body)
    assert answer.status_code == 202
    key: str = answer.json()["edge"]["_key"]
    return key


async def test_vertices_and_edges_are_captured_as_they_are(stack: Running) -> None:
    """I3, I6."""
    made = await stack.client.post(f"{GRAPH}/vertex/people", json={"name": "d"})
    key = made.json()["vertex"]["_key"]
    assert sorted(made.json()["vertex"]) == ["_id", "_key", "_rev"]
    await stack.client.patch(f"{GRAPH}/vertex/people/{key}", json={"age": 3})
    await stack.client.put(f"{GRAPH}/vertex/people/a", json={"name": "A"})
    link = await edge(stack, "a", "b")
    await stack.client.patch(f"{GRAPH}/edge/knows/{link}", json={"since": 1})
    refused = await stack.client.post(f"{GRAPH}/vertex/people", json={"_key": "a"})
    assert refused.status_code == 409
    await same(stack)
    assert await stack.database.fetchval("SELECT edge FROM _crossfade.collection WHERE collection = $1", KNOWS)


async def test_a_removed_vertex_takes_its_edges_along(stack: Running) -> None:
    """Protocol page, "Surprises", 5."""
    await edge(stack, "a", "b")
    await edge(stack, "c", "a")
    kept = await edge(stack, "b", "c")
    await stack.drained()
    assert await stack.database.fetchval("SELECT count(*) FROM _system.knows WHERE doc IS NOT NULL") == 3
    await stack.client.delete(f"{GRAPH}/vertex/people/a")
    await same(stack)
    assert await stack.database.fetchval("SELECT string_agg(key, ',') FROM _system.knows WHERE doc IS NOT NULL") == kept
    await stack.client.delete(f"{GRAPH}/edge/knows/{kept}")
    await same(stack)


async def test_an_edge_that_waits_while_its_vertex_goes_is_no_ghost(stack: Running) -> None:
    """The horizon refuses it, and it is read again: gone."""
    async with stack.database.transaction() as session:
        await session.execute("LOCK TABLE _crossfade.horizon IN ACCESS EXCLUSIVE MODE")
        await edge(stack, "a", "b", _key="ghost")
        await stack.client.delete(f"{GRAPH}/vertex/people/b")
    await same(stack)


async def test_a_dropped_graph_may_take_its_collections_along(stack: Running) -> None:
    await edge(stack, "a", "b")
    await stack.client.delete(f"{GRAPH}?dropCollections=true")
    await same(stack)
    assert await stack.database.fetchval("SELECT count(*) FROM _system.people WHERE doc IS NOT NULL") == 0


async def test_a_flipped_collection_has_a_cascade_before_the_answer(stack: Running) -> None:
    """I7."""
    await edge(stack, "a", "b")
    await stack.drained()
    for standing in (Standing(Stage.SHADOW), Standing(Stage.FLIPPED, 100)):
        await stack.move(standing, PEOPLE, KNOWS)
    await stack.client.delete(f"{GRAPH}/vertex/people/a")
    assert await stack.database.fetchval("SELECT count(*) FROM _system.knows WHERE doc IS NOT NULL") == 0
    assert await stack.database.fetchval("SELECT count(*) FROM _system.people WHERE doc IS NOT NULL") == 2
