"""Random requests to named graphs: their definitions, vertices and edges."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final, Protocol
from urllib.parse import quote

import orjson

from proxy.devserver.store.state.collection import EDGES
from proxy.devserver.store.state.server import ServerState
from tests.property.write_requests import KEYS, Request

GRAPHS: Final = ("g", "h")
_NAMES: Final = ("a", "b")
_EDGES: Final = ("e", "f")


class World(Protocol):
    """The part of a world that these requests are made of."""

    rng: random.Random
    server: ServerState
    suffix: str
    database: str

    def chance(self, share: float) -> bool: ...
    def name(self, names: tuple[str, ...] = ...) -> str: ...
    def request(self, method: str, path: str, body: Any = ..., **params: str) -> Request: ...


def graph_request(world: World, graphs: Sequence[str]) -> Request:
    """Return a request to one of the graphs, or to the list of all."""
    rng = world.rng
    known = world.server.databases[world.database].collections["_graphs"]
    present = [name for name in graphs if known.load(name) is not None]
    if not present or world.chance(0.08):
        return _create(world, rng.choice(graphs))
    graph = rng.choice(present) if world.chance(0.95) else rng.choice(graphs)
    definition = known.load(graph)
    path = f"/_api/gharial/{quote(graph)}"
    if definition is None or world.chance(0.12):
        return _about_graph(world, path)
    if world.chance(0.2):
        return _definition(world, path, definition)
    edges = [one["collection"] for one in definition["edgeDefinitions"]]
    ends = {end for one in definition["edgeDefinitions"] for side in ("from", "to") for end in one[side]}
    vertices = sorted(ends | set(definition["orphanCollections"]))
    if edges and world.chance(0.5):
        return _element(world, f"{path}/edge", edges, vertices)
    return _element(world, f"{path}/vertex", vertices, vertices)


def _create(world: World, name: str) -> Request:
    rng = world.rng
    used = rng.sample(_EDGES, rng.randrange(3))
    body: dict[str, Any] = {"name": name, "edgeDefinitions": [_edge_definition(world, one) for one in used]}
    if world.chance(0.4):
        body["orphanCollections"] = [world.name(_NAMES)]
    if world.chance(0.06):
        body |= rng.choice(({"name": ""}, {"edgeDefinitions": 3}, {"edgeDefinitions": [{}]}, {"orphanCollections": 3}))
    return world.request("POST", "/_api/gharial", body)


def _edge_definition(world: World, name: str) -> dict[str, Any]:
    ends = [[world.name(_NAMES) for _ in range(world.rng.randrange(1, 3))] for _ in range(2)]
    return {"collection": name + world.suffix, "from": ends[0], "to": ends[1]}


def _about_graph(world: World, path: str) -> Request:
    rng = world.rng
    if world.chance(0.25):
        return world.request("DELETE", path, **({"dropCollections": "true"} if world.chance(0.4) else {}))
    return world.request("GET", rng.choice((path, path, "/_api/gharial", f"{path}/vertex", f"{path}/edge")))


def _definition(world: World, path: str, graph: dict[str, Any]) -> Request:
    rng = world.rng
    drop = {"dropCollections": "true"} if world.chance(0.2) else {}
    name = rng.choice(_EDGES)
    roll = rng.random()
    if roll < 0.2:
        return world.request("POST", f"{path}/vertex", {"collection": world.name(_NAMES)})
    if roll < 0.35:
        vertices = [*graph["orphanCollections"], world.name(_NAMES)]
        return world.request("DELETE", f"{path}/vertex/{quote(rng.choice(vertices))}", **drop)
    if roll < 0.6:
        return world.request("POST", f"{path}/edge", _edge_definition(world, name))
    if roll < 0.85:
        body = _edge_definition(world, name if world.chance(0.9) else rng.choice(_EDGES))
        return world.request("PUT", f"{path}/edge/{quote(name + world.suffix)}", body)
    return world.request("DELETE", f"{path}/edge/{quote(name + world.suffix)}", **drop)


def _element(world: World, path: str, names: Sequence[str], vertices: Sequence[str]) -> Request:
    rng = world.rng
    name = rng.choice(names) if names and world.chance(0.96) else world.name(_NAMES)
    found = world.server.databases[world.database].collections.get(name)
    keys = list(found.documents) if found is not None else []
    key = rng.choice(keys) if keys and world.chance(0.7) else rng.choice(KEYS)
    place = f"{path}/{quote(name)}"
    params = {one: "true" for one in ("returnNew", "returnOld", "waitForSync", "keepNull") if world.chance(0.2)}
    method = rng.choice(("POST", "POST", "POST", "GET", "PATCH", "PUT", "DELETE"))
    if method == "POST":
        body = _content(world, vertices, edge=found is not None and found.kind == EDGES)
        if world.chance(0.6):
            body["_key"] = rng.choice(KEYS)
        return world.request("POST", place, body, **params)
    place += f"/{quote(key, safe='')}"
    if world.chance(0.1):
        params["rev"] = _revision(found.documents.get(key) if found is not None else None)
    if method in ("GET", "DELETE"):
        return world.request(method, place, **params)
    edge = found is not None and found.kind == EDGES and (method == "PUT" or world.chance(0.3))
    return world.request(method, place, _content(world, vertices, edge=edge), **params)


def _content(world: World, vertices: Sequence[str], *, edge: bool) -> dict[str, Any]:
    rng = world.rng
    body: dict[str, Any] = {}
    if world.chance(0.8):
        body["n"] = rng.choice((0, 1, 2, None, "x"))
    if edge and world.chance(0.95):
        body |= {"_from": _end(world, vertices), "_to": _end(world, vertices)}
    return body


def _end(world: World, vertices: Sequence[str]) -> str:
    """Return an end of an edge, most often a vertex that exists."""
    rng = world.rng
    if not vertices or world.chance(0.05):
        return rng.choice(("bad", "absent/x", ""))
    name = rng.choice(list(vertices))
    found = world.server.databases[world.database].collections.get(name)
    keys = list(found.documents) if found is not None else []
    return f"{name}/{rng.choice(keys) if keys and world.chance(0.9) else 'absent'}"


def _revision(raw: bytes | None) -> str:
    return str(orjson.loads(raw)["_rev"]) if raw is not None else "_absent----"
