"""Random queries: AQL that reads and that modifies, cursors, `/_api/simple` and `/_api/edges`.

Orders that a server may choose are sorted away in the query, or are those of UNORDERED attributes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final, Protocol
from urllib.parse import quote

from proxy.devserver.store.state.collection import EDGES
from proxy.devserver.store.state.server import ServerState
from tests.property.write_requests import KEYS, Request

UNORDERED: Final = frozenset({"result", "documents", "edges"})  # attributes of answers to these requests
# queries on a collection @@c, whose rows are sorted or compared in any order
_READS: Final = (
    "FOR d IN @@c RETURN d",
    "FOR d IN @@c FILTER d.n == @n RETURN d",
    "FOR d IN @@c FILTER d.n > @n SORT d.n RETURN d.n",
    "FOR d IN @@c FILTER d._key IN ['a', 'b', '7'] RETURN d",
    "RETURN LENGTH(@@c)",
    "RETURN DOCUMENT(@@c, @key)",
    "FOR d IN @@c COLLECT n = d.n WITH COUNT INTO c RETURN {n, c}",
    "FOR d IN @@c COLLECT AGGREGATE low = MIN(d.n), most = MAX(d.n) RETURN {low, most}",
    "FOR d IN @@c FILTER HAS(d, 'o') RETURN KEEP(d, '_key', 'o')",
    "FOR d IN @@c FOR e IN @@c FILTER d.n == e.n COLLECT n = d.n WITH COUNT INTO pairs RETURN {n, pairs}",
)
_WRITES: Final = (
    "INSERT {_key: @key, n: @n} INTO @@c RETURN NEW",
    "INSERT {_key: @key, n: @n} INTO @@c OPTIONS {overwriteMode: 'update'} RETURN [OLD, NEW]",
    "INSERT {_key: @key, n: @n} INTO @@c OPTIONS {overwriteMode: 'replace'} RETURN NEW",
    "INSERT {_key: @key, n: @n} INTO @@c OPTIONS {overwriteMode: 'ignore'} RETURN NEW",
    "INSERT {_key: @key, n: @n} INTO @@c OPTIONS {ignoreErrors: true} RETURN NEW",
    "FOR i IN ['a', 'b', 'x.y'] INSERT {_key: i, n: @n} INTO @@c OPTIONS {overwriteMode: 'replace'}",
    "FOR d IN @@c FILTER d.n == @n UPDATE d WITH {v: 1} IN @@c RETURN NEW._key",
    "FOR d IN @@c UPDATE d WITH {m: {x: d.n}} IN @@c",
    "UPDATE @key WITH {n: @n, v: null} IN @@c OPTIONS {keepNull: false} RETURN {OLD, NEW}",
    "UPDATE @key WITH {n: @n} IN @@c OPTIONS {ignoreErrors: true}",
    "FOR d IN @@c FILTER d.n == @n REPLACE d WITH {n: 5} IN @@c RETURN [OLD.n, NEW.n]",
    "REPLACE @key WITH {n: @n} IN @@c",
    "FOR d IN @@c FILTER d.n == @n REMOVE d IN @@c RETURN OLD._key",
    "REMOVE @key IN @@c RETURN OLD",
    "REMOVE @key IN @@c OPTIONS {ignoreErrors: true}",
    "UPSERT {_key: @key} INSERT {_key: @key, n: @n} UPDATE {v: 2} IN @@c RETURN [OLD, NEW]",
    "UPSERT {n: @n, _key: @key} INSERT {_key: @key, n: @n, s: 'new'} UPDATE {v: 3} IN @@c RETURN NEW.v",
    "UPSERT {_key: @key} INSERT {_key: @key, n: @n} REPLACE {n: 1} IN @@c RETURN NEW.n",
    "LET found = (FOR d IN @@c FILTER d.n == @n REMOVE d IN @@c RETURN OLD) RETURN LENGTH(found)",
    "FOR d IN @@c INSERT {_key: CONCAT(d._key, ':0')} INTO @@c OPTIONS {ignoreErrors: true}",
    "INSERT {_key: @key, n: @n} INTO @@c LET x = NEW FOR d IN @@c RETURN d",
)
_PURE: Final = (
    "FOR i IN 1..7 RETURN i",
    "RETURN @n",
    "FOR i IN 1..5 FILTER i != @n SORT i DESC LIMIT 1, 3 RETURN i",
    "RETURN 1 /",
    "RETURN unknown",
    "RETURN @missing",
)


class World(Protocol):
    """The part of a world that these requests are made of."""

    rng: random.Random
    server: ServerState
    suffix: str
    database: str
    cursors: list[str]

    def chance(self, share: float) -> bool: ...
    def collection(self, kind: int | None = None) -> str: ...
    def request(self, method: str, path: str, body: Any = ..., **params: str) -> Request: ...


def query_request(world: World) -> Request:
    """Return a query, a step of a cursor, or a simple request."""
    (make,) = world.rng.choices(list(_MAKERS), list(_MAKERS.values()))
    return make(world)


def _value(world: World) -> Any:
    return world.rng.choice((0, 1, 2, None, "x", 1.5))


def _cursor_body(world: World, text: str) -> dict[str, Any]:
    bind: dict[str, Any] = {}
    for name, value in (("@c", world.collection()), ("n", _value(world)), ("key", world.rng.choice(KEYS))):
        if f"@{name}" in text:
            bind[name] = value
    return {"query": text, "bindVars": bind}


def _read(world: World) -> Request:
    body = _cursor_body(world, world.rng.choice(_READS))
    if world.chance(0.2):
        body["count"] = True
    return world.request("POST", "/_api/cursor", body)


def _modify(world: World) -> Request:
    return world.request("POST", "/_api/cursor", _cursor_body(world, world.rng.choice(_WRITES)))


def _pure(world: World) -> Request:
    body = _cursor_body(world, world.rng.choice(_PURE))
    if world.chance(0.6):
        body["batchSize"] = world.rng.choice((1, 2, 3, 0))
    if world.chance(0.2):
        body["options"] = {"fullCount": True}
    return world.request("POST", "/_api/cursor", body)


def _continue(world: World) -> Request:
    number = world.rng.choice([*world.cursors, *world.cursors, "123456"])
    method = world.rng.choice(("POST", "PUT", "DELETE"))
    return Request(method, f"/_db/{world.database}/_api/cursor/{number}")


def _about_query(world: World) -> Request:
    text = world.rng.choice((*_READS, *_WRITES, *_PURE))
    return world.request("POST", "/_api/query", {"query": text})


def _simple_read(world: World) -> Request:
    rng = world.rng
    body: dict[str, Any] = {"collection": world.collection()}
    kind = rng.choice(("all", "by-example", "first-example", "lookup-by-keys", "all-keys"))
    if kind in ("by-example", "first-example"):
        body["example"] = rng.choice(({"n": _value(world)}, {"_key": rng.choice(KEYS)}, {}, {"o.x": 1}, 3))
    if kind == "first-example":
        body["example"] = {"_key": rng.choice(KEYS)}  # which of several is found first is the server's choice
    if kind == "lookup-by-keys":
        body["keys"] = rng.sample(KEYS, 3) if world.chance(0.9) else 3
    if kind == "all-keys":
        body["type"] = rng.choice(("key", "id", "path"))
    return world.request("PUT", f"/_api/simple/{kind}", body)


def _simple_write(world: World) -> Request:
    rng = world.rng
    body: dict[str, Any] = {"collection": world.collection()}
    kind = rng.choice(("remove-by-keys", "remove-by-example", "replace-by-example", "update-by-example"))
    if kind == "remove-by-keys":
        body["keys"] = rng.sample(KEYS, 2)
        if world.chance(0.3):
            body["options"] = {"returnOld": True, "silent": world.chance(0.5)}
        return world.request("PUT", "/_api/simple/remove-by-keys", body)
    body["example"] = {"n": _value(world)}
    if kind != "remove-by-example":
        body["newValue"] = rng.choice(({"v": 4}, {"n": 2, "s": None}, {"n": None}))
        if kind == "update-by-example" and world.chance(0.4):
            body["options"] = {"keepNull": False}
    return world.request("PUT", f"/_api/simple/{kind}", body)


def _edges(world: World) -> Request:
    rng, name = world.rng, world.collection(EDGES)
    vertex = rng.choice(("v/1", "v/9", "c/a", f"a{world.suffix}/a", "b/absent", ""))
    direction = rng.choice(("any", "in", "out", "other"))
    return world.request("GET", f"/_api/edges/{quote(name)}", vertex=vertex, direction=direction)


_MAKERS: Final[dict[Callable[[World], Request], float]] = {
    _read: 20,
    _modify: 16,
    _pure: 8,
    _continue: 5,
    _about_query: 2,
    _simple_read: 8,
    _simple_write: 6,
    _edges: 5,
}
