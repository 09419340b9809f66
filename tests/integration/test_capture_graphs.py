"""Writes through a named graph: vertices, edges, and edges removed with their vertex."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.model.stages import CollectionState, Stage
from tests.harness import Running, running

PEOPLE, KNOWS = "_system/people", "_system/knows"
GRAPH = "/_api/gharial/social"


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path) as started:
        await started.move(CollectionState(Stage.MIRROR), "_system/*")
        definition = {"collection": "knows", "from": ["people"], "to": ["people"]}
        answer = await started.client.post("/_api/gharial", json={"name": "social", "edgeDefinitions": [definition]})
        assert answer.status_code in (201, 202)
        for key in "abc":
            await started.client.post(f"{GRAPH}/vertex/people", json={"_key": key})
        yield started


async def assert_same(stack: Running) -> None:
    """Assert that both databases hold the same documents, and that nothing is unverified."""
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


async def test_vertices_and_edges_are_mirrored(stack: Running) -> None:
    """I3, I6."""
    answer = await stack.client.post(f"{GRAPH}/vertex/people", json={"name": "d"})
    key = answer.json()["vertex"]["_key"]
    assert sorted(answer.json()["vertex"]) == ["_id", "_key", "_rev"]
    await stack.client.patch(f"{GRAPH}/vertex/people/{key}", json={"age": 3})
    await stack.client.put(f"{GRAPH}/vertex/people/a", json={"name": "A"})
    link = await edge(stack, "a", "b")
    await stack.client.patch(f"{GRAPH}/edge/knows/{link}", json={"since": 1})
    refused = await stack.client.post(f"{GRAPH}/vertex/people", json={"_key": "a"})
    assert refused.status_code == 409
    await assert_same(stack)
    assert await stack.database.fetchval("SELECT edge FROM _crossfade.collection WHERE collection = $1", KNOWS)


async def test_removing_a_vertex_removes_its_edges(stack: Running) -> None:
    """Protocol page, "Surprises", 5."""
    await edge(stack, "a", "b")
    await edge(stack, "c", "a")
    kept_edge = await edge(stack, "b", "c")
    await stack.drained()
    assert await stack.database.fetchval("SELECT count(*) FROM _system.knows WHERE doc IS NOT NULL") == 3
    await stack.client.delete(f"{GRAPH}/vertex/people/a")
    await assert_same(stack)
    assert (
        await stack.database.fetchval("SELECT string_agg(key, ',') FROM _system.knows WHERE doc IS NOT NULL")
        == kept_edge
    )
    await stack.client.delete(f"{GRAPH}/edge/knows/{kept_edge}")
    await assert_same(stack)


async def test_an_edge_queued_while_its_vertex_is_removed_does_not_become_a_ghost(stack: Running) -> None:
    """The stamp floor refuses it; it is read again, and is missing."""
    async with stack.database.transaction() as session:
        await session.execute("LOCK TABLE _crossfade.stamp_floor IN ACCESS EXCLUSIVE MODE")
        await edge(stack, "a", "b", _key="ghost")
        await stack.client.delete(f"{GRAPH}/vertex/people/b")
    await assert_same(stack)


async def test_a_dropped_graph_can_drop_its_collections(stack: Running) -> None:
    await edge(stack, "a", "b")
    await stack.client.delete(f"{GRAPH}?dropCollections=true")
    await assert_same(stack)
    assert await stack.database.fetchval("SELECT count(*) FROM _system.people WHERE doc IS NOT NULL") == 0


_LIVES: dict[str, object] = {"collection": "lives", "from": ["people"], "to": ["streets"]}
DEFINITIONS: list[tuple[str, str, dict[str, object] | None]] = [
    ("POST", f"{GRAPH}/vertex", {"collection": "towns"}),
    ("DELETE", f"{GRAPH}/vertex/towns", None),
    ("POST", f"{GRAPH}/edge", {"collection": "lives", "from": ["people"], "to": ["towns"]}),
    ("PUT", f"{GRAPH}/edge/lives", _LIVES),
    ("POST", "/_api/gharial", {"name": "twin", "edgeDefinitions": [_LIVES]}),
    ("PUT", f"{GRAPH}/edge/lives?dropCollections=true", {"collection": "lives", "from": ["people"], "to": ["lanes"]}),
    ("DELETE", f"{GRAPH}/edge/lives", None),
    ("POST", "/_api/gharial", {"name": "other", "orphanCollections": ["alone"]}),
    ("DELETE", "/_api/gharial/other", None),
]


@pytest.mark.parametrize("alone", [True, False], ids=["_graphs alone", "all"])
async def test_a_changed_graph_definition_is_in_postgresql_before_the_answer(
    dsn: str, tmp_path: Path, *, alone: bool
) -> None:
    """Whatever collection the path names, the change writes documents of `_graphs`; the flip stays in force.

    A replaced definition of an edge collection is replaced in the graph `twin` too.
    """
    async with running(dsn, tmp_path) as stack:
        definition = {"collection": "knows", "from": ["people"], "to": ["people"]}
        await stack.client.post("/_api/gharial", json={"name": "social", "edgeDefinitions": [definition]})
        flipped = ("_system/_graphs",) if alone else ("_system/_graphs", PEOPLE, KNOWS)
        for state in (
            CollectionState(Stage.MIRROR),
            CollectionState(Stage.SHADOW),
            CollectionState(Stage.FLIPPED, 100),
        ):
            await stack.move(state, *flipped)
        await stack.client.put(f"{GRAPH}/edge/knows", json=definition)
        for method, path, body in DEFINITIONS:
            answer = await stack.client.request(method, path, json=body)
            assert answer.status_code < 300, answer.text
            assert await stack.differences("_system/_graphs") == [], (method, path)
        twin = (await stack.client.get("/_api/document/_graphs/twin")).json()
        assert [definition["to"] for definition in twin["edgeDefinitions"]] == [["lanes"]]
        assert twin["orphanCollections"] == ["streets"]
        await stack.drained()
        rows = await stack.database.fetch("SELECT collection FROM _crossfade.collection WHERE stage = 'flipped'")
        assert {row["collection"] for row in rows} == set(flipped)
        assert await stack.database.fetch("SELECT collection FROM _crossfade.unverified") == []


@pytest.mark.parametrize("kind", ["vertex", "edge"])
async def test_a_collection_that_leaves_a_graph_and_is_dropped_is_captured_as_a_drop(stack: Running, kind: str) -> None:
    """Only its flip is rolled back; a collection that another graph uses stays, with its documents."""
    await stack.client.post(f"{GRAPH}/vertex", json={"collection": "towns"})
    body = {"collection": "lives", "from": ["people"], "to": ["people"]}
    await stack.client.post(f"{GRAPH}/edge", json=body)
    name, link = ("towns", {}) if kind == "vertex" else ("lives", {"_from": "people/a", "_to": "people/b"})
    await stack.client.post(f"{GRAPH}/{kind}/{name}", json={"_key": "x", **link})
    await stack.drained()
    for state in (CollectionState(Stage.SHADOW), CollectionState(Stage.FLIPPED, 100)):
        await stack.move(state, PEOPLE, f"_system/{name}")
    parameter = "dropCollection" if kind == "vertex" else "dropCollections"
    answer = await stack.client.delete(f"{GRAPH}/{kind}/{name}?{parameter}=true")
    assert answer.status_code < 300, answer.text
    rows = await stack.database.fetch("SELECT collection FROM _crossfade.collection WHERE stage = 'flipped'")
    assert [row["collection"] for row in rows] == [PEOPLE]
    await assert_same(stack)
    assert await stack.differences(f"_system/{name}") == []
    found = await stack.database.fetchval(
        "SELECT dropped_at IS NOT NULL FROM _crossfade.collection WHERE collection = $1", f"_system/{name}"
    )
    assert found
    await stack.client.post("/_api/collection", json={"name": name, "type": 2 if kind == "edge" else 3})
    await stack.client.post(f"/_api/document/{name}", json={"_key": "again", **link})
    await assert_same(stack)
    assert await stack.differences(f"_system/{name}") == []


async def test_a_cascade_is_in_a_flipped_collection_before_the_answer(stack: Running) -> None:
    """I7."""
    await edge(stack, "a", "b")
    await stack.drained()
    for state in (CollectionState(Stage.SHADOW), CollectionState(Stage.FLIPPED, 100)):
        await stack.move(state, PEOPLE, KNOWS)
    await stack.client.delete(f"{GRAPH}/vertex/people/a")
    assert await stack.database.fetchval("SELECT count(*) FROM _system.knows WHERE doc IS NOT NULL") == 0
    assert await stack.database.fetchval("SELECT count(*) FROM _system.people WHERE doc IS NOT NULL") == 2
