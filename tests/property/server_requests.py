"""Random requests to every group of endpoints of a server, with parameters and mistakes.

Requests are made of what the development server has at that moment: names of its databases, collections, indexes,
users, and the ids of its cursors, transactions and jobs.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import orjson

from proxy.devserver.store.state.server import ServerState
from tests.property.graph_requests import GRAPHS, graph_request
from tests.property.query_requests import query_request
from tests.property.write_requests import KEYS, Maker, Request, properties

NAMES: Final = ("a", "b", "e", "f", "Ü")
USERS: Final = ("u", "v", "w x")
LEVELS: Final = ("rw", "ro", "none", "none", "other")
_WRONG_NAMES: Final = ("", "1a", "_x", "a b", "a/b", None, 7, "n" * 300)


@dataclass(slots=True)
class World:
    """What requests are made of.

    suffix: of every name that this sequence creates. without: makers of requests, and kinds of indexes, that are not
    used.
    """

    rng: random.Random
    server: ServerState
    suffix: str
    database: str = "_system"
    cursors: list[str] = field(default_factory=list)
    transactions: list[str] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    without: frozenset[str] = frozenset()

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def name(self, names: tuple[str, ...] = NAMES) -> str:
        """Return a name of this sequence, whether or not it is taken."""
        return self.rng.choice(names) + self.suffix

    def collections(self, kind: int | None = None) -> list[str]:
        """Return the collections of the present database that this sequence has created."""
        found = self.server.databases[self.database].collections.values()
        return [one.name for one in found if not one.system and (kind is None or one.kind == kind)]

    def collection(self, kind: int | None = None) -> str:
        """Return a collection, most often one that exists."""
        present = self.collections(kind)
        name = self.rng.choice(present) if present and self.chance(0.93) else self.name()
        return f"absent{self.suffix}" if self._is_counting(name) else name

    def _is_counting(self, name: str) -> bool:
        """Return True if a request that is refused may raise the number of the next key, which answers show."""
        found = self.server.databases[self.database].collections.get(name)
        return found is not None and found.exclusive is not None and found.generator.kind == "autoincrement"

    @property
    def running(self) -> list[str]:
        """The transactions that are running."""
        known = self.server.transactions
        return [one for one in self.transactions if one in known and known[one].running]

    def user(self) -> str:
        """Return a user, most often one that exists."""
        present = [name for name in self.server.accounts.by_name if name != "root"]
        return self.rng.choice(present) if present and self.chance(0.8) else self.name(USERS)

    def request(self, method: str, path: str, body: Any = ..., **params: str) -> Request:
        """Return a request to the present database; params: of the query."""
        query = "&".join(f"{name}={quote(value)}" for name, value in params.items())
        target = f"/_db/{self.database}{path}" + ("?" + query if query else "")
        return Request(method, target, self._headers(), "" if body is ... else dumped(body))

    def _headers(self) -> tuple[tuple[str, str], ...]:
        headers: list[tuple[str, str]] = []
        known = self.running
        known = [one for one in known if self.server.transactions[one].database.name == self.database]
        if known and self.chance(0.3):
            headers.append(("x-arango-trx-id", self.rng.choice(known)))
        elif self.chance(0.02):
            headers.append(("x-arango-async", self.rng.choice(("store", "store", "false"))))
        return tuple(headers)


def dumped(value: Any) -> str:
    return orjson.dumps(value).decode()


def first_requests(world: World) -> Iterator[Request]:
    """Yield the requests that most sequences begin with: collections with documents, perhaps a graph and a user."""
    rng = world.rng
    for name in rng.sample(("a", "b"), rng.randrange(3)):
        yield world.request("POST", "/_api/collection", {"name": name + world.suffix})
        documents = [{"_key": key, "n": rng.choice((0, 1, 2, None, "x"))} for key in rng.sample(KEYS, rng.randrange(6))]
        yield world.request("POST", f"/_api/document/{name}{world.suffix}", documents)
    if world.chance(0.3):
        yield world.request("POST", "/_api/collection", {"name": f"e{world.suffix}", "type": 3})
    if world.chance(0.5):
        definition = {"collection": f"e{world.suffix}", "from": [f"a{world.suffix}"], "to": [f"b{world.suffix}"]}
        yield world.request("POST", "/_api/gharial", {"name": f"g{world.suffix}", "edgeDefinitions": [definition]})
    if world.chance(0.4):
        yield world.request("POST", "/_api/user", {"user": world.name(USERS), "passwd": "p"})


def server_request(world: World) -> Request:
    """Return the next request."""
    world.database = "_system"
    others = [name for name in world.server.databases if name != "_system"]
    if others and world.chance(0.2):
        world.database = world.rng.choice(others)
    makers = {make: weight for make, weight in _MAKERS.items() if make.__name__ not in world.without}
    if world.running:  # what it meets besides is in tests/unit/devserver and tests/integration
        makers = {make: weight for make, weight in makers.items() if make in _BESIDE_TRANSACTIONS}
    (make,) = world.rng.choices(list(makers), list(makers.values()))
    return make(world)


# ---- documents


def _document(world: World) -> Request:
    name = world.collection()
    found = world.server.databases[world.database].collections.get(name)
    made = Maker(world.rng, name, found.documents if found is not None else {}).request()
    target, headers = made.target, world.request("GET", "/").headers
    if any(header == "x-arango-trx-id" for header, _ in headers):
        target = target.replace("complete=", "other=")  # what it has written and undone stays locked in ArangoDB
    return Request(made.method, f"/_db/{world.database}{target}", (*made.headers, *headers), made.body)


# ---- collections


def _create_collection(world: World) -> Request:
    rng, name = world.rng, world.name()
    body: Any = properties(rng, name)
    roll = rng.random()
    if roll < 0.06:
        body["name"] = rng.choice(_WRONG_NAMES)
    elif roll < 0.1:
        body["type"] = rng.choice((1, 4, "edge", "document", None))
    elif roll < 0.13:
        body["schema"] = rng.choice(({}, {"rule": 3}, {"rule": {}, "level": "other"}, None, 5))
    elif roll < 0.15:
        body["keyOptions"] = rng.choice(({"type": "other"}, 3, {"type": "autoincrement", "increment": 0}))
    elif roll < 0.17:
        body = rng.choice(([], 3, {}))
    return world.request("POST", "/_api/collection", body)


def _read_collection(world: World) -> Request:
    rng, path = world.rng, f"/_api/collection/{quote(world.collection())}"
    what = rng.choice(("", "/properties", "/count", "/revision", "/checksum", "/figures", "/shards", "/other"))
    params = {name: "true" for name in ("details", "withRevisions", "withData") if world.chance(0.2)}
    return world.request("GET", path + what, **params)


def _list_collections(world: World) -> Request:
    return world.request("GET", "/_api/collection", **({"excludeSystem": "true"} if world.chance(0.5) else {}))


def _change_collection(world: World) -> Request:
    rng, path = world.rng, f"/_api/collection/{quote(world.collection())}"
    kind = rng.choice(("truncate", "rename", "rename", "properties", "properties", "load", "recalculateCount", "drop"))
    if kind == "drop":
        return world.request("DELETE", path, **({"isSystem": "true"} if world.chance(0.1) else {}))
    body: Any = ...
    if kind == "rename":
        body = {"name": world.name() if world.chance(0.9) else rng.choice(_WRONG_NAMES)}
    elif kind == "properties":
        rule = {"properties": {"n": {"type": rng.choice(("number", "string"))}}}
        schema = {"rule": rule, "level": rng.choice(("none", "new", "moderate", "strict")), "message": "no"}
        body = rng.choice(({"waitForSync": True}, {"schema": schema}, {"schema": None}, {"cacheEnabled": True}, {}, []))
    return world.request("PUT", f"{path}/{kind}", body)


# ---- indexes


def _create_index(world: World) -> Request:
    rng = world.rng
    fields = rng.choice((["n"], ["n"], ["v"], ["n", "v"], ["o.x"], ["s"], ["_key"], ["v[*]"], [], ["n", "n"], 3))
    body: Any = {"type": rng.choice(("persistent", "persistent", "persistent", "hash", "skiplist")), "fields": fields}
    for name in sorted({"unique", "sparse", "deduplicate", "estimates", "cacheEnabled"} - world.without):
        if world.chance(0.25):
            body[name] = rng.choice((True, True, False))
    if world.chance(0.2):
        body["name"] = rng.choice(("byN", "primary", "1x", ""))
    if world.chance(0.1):
        body |= {"type": "ttl", "fields": rng.choice((["n"], ["n", "v"])), "expireAfter": rng.choice((10**9, -1, "x"))}
    elif world.chance(0.1):
        body["type"] = rng.choice(("geo", "fulltext", "inverted", "primary", "edge", "other", 4))
    request = world.request("POST", "/_api/index", body, collection=world.collection())
    return dataclasses.replace(request, headers=())  # what a job has made up is not known to later requests


def _other_index(world: World) -> Request:
    rng, name = world.rng, world.collection()
    if world.chance(0.4):
        params = {"withStats": "true"} if world.chance(0.2) else {}
        return world.request("GET", "/_api/index", collection=name, **params)
    found = world.server.databases[world.database].collections.get(name)
    known = [index.id for index in found.indexes] if found is not None else []
    number = rng.choice([*known, "999", "x"])
    return world.request(rng.choice(("GET", "DELETE")), f"/_api/index/{quote(name)}/{number}")


# ---- databases, users


def _database(world: World) -> Request:
    rng = world.rng
    others = [name for name in world.server.databases if name != "_system"]
    roll = rng.random()
    if roll < 0.35:
        name = f"shop{world.suffix}" if world.chance(0.85) else rng.choice(("_system", "", "1x", None, "a/b"))
        body: Any = {"name": name}
        if world.chance(0.3):
            body["users"] = [{"username": world.name(USERS), "passwd": "p", "active": True}]
        return world.request("POST", "/_api/database", body)
    if roll < 0.5:
        name = rng.choice([*others, f"shop{world.suffix}", "_system"])
        return world.request("DELETE", f"/_api/database/{quote(name)}")
    return world.request("GET", rng.choice(("/_api/database", "/_api/database/current", "/_api/database/user")))


def _user(world: World) -> Request:
    rng, name = world.rng, world.user() if world.chance(0.95) else "root"
    path = f"/_api/user/{quote(name)}"
    body: Any = {}
    for attribute, values in (("passwd", ("p", "q", 3)), ("active", (True, False)), ("extra", ({"x": 1}, {}, 3))):
        if world.chance(0.4):
            body[attribute] = rng.choice(values)
    roll = rng.random()
    if roll < 0.3:
        wanted = world.name(USERS) if world.chance(0.9) else rng.choice(("", None, 3, ":role:x"))
        return world.request("POST", "/_api/user", {"user": wanted, **body})
    if roll < 0.5:
        if name == "root":
            body = {"extra": {"y": 2}}
        return world.request(rng.choice(("PUT", "PATCH")), path, body)
    if roll < 0.58:
        return world.request("DELETE", path)
    if roll < 0.66:
        return world.request("POST", path, {"passwd": rng.choice(("p", "q"))})
    return world.request("GET", path if world.chance(0.7) else "/_api/user")


def _permission(world: World) -> Request:
    rng = world.rng
    path = f"/_api/user/{quote(world.user())}/database"
    database = rng.choice(("_system", "*", f"shop{world.suffix}"))
    where = path + f"/{quote(database)}" + (f"/{quote(world.collection())}" if world.chance(0.5) else "")
    roll = rng.random()
    if roll < 0.45:
        return world.request("PUT", where, {"grant": rng.choice(LEVELS)})
    if roll < 0.6:
        return world.request("DELETE", where)
    if roll < 0.8:
        return world.request("GET", where)
    return world.request("GET", path, **({"full": "true"} if world.chance(0.2) else {}))


# ---- transactions, jobs, reports


def _transaction(world: World) -> Request:
    rng, known = world.rng, world.transactions
    if not known or world.chance(0.4):
        collections: dict[str, Any] = {}
        for kind, share in (("read", 0.5), ("write", 0.5), ("exclusive", 0.15)):
            if world.chance(share):
                names = [world.collection() for _ in range(rng.randrange(1, 3))]
                collections[kind] = names if world.chance(0.7) else names[0]
        body: Any = {"collections": collections, "allowImplicit": world.chance(0.5), "lockTimeout": 0.02}
        if world.chance(0.05):
            body = rng.choice(({}, {"collections": 3}, []))
        return Request("POST", f"/_db/{world.database}/_api/transaction/begin", (), dumped(body))
    number = rng.choice(known) if world.chance(0.95) else "12345"
    method = rng.choice(("PUT", "PUT", "DELETE", "GET"))
    path = f"/_api/transaction/{number}" if world.chance(0.9) else "/_api/transaction"
    return Request(method, f"/_db/{world.database}{path}", ())


def _job(world: World) -> Request:
    kind = world.rng.choice([*world.jobs, *world.jobs, "done", "pending", "0"])
    method = world.rng.choice(("PUT", "GET"))
    return Request(method, f"/_db/{world.database}/_api/job/{kind}", ())


def _report(world: World) -> Request:
    path = world.rng.choice(
        (
            *("/_api/version", "/_api/version?details=true", "/_api/engine", "/_api/key-generators", "/_api/view"),
            *("/_admin/server/role", "/_admin/server/mode", "/_admin/server/availability", "/_api/tasks", "/_api/foxx"),
            *("/_api/query/properties", "/_api/query/slow", "/_api/query/current", "/_api/aqlfunction", "/_api/other"),
            *("/_admin/license", "/_api/view/absent", "/_admin/time"),
        )
    )
    return world.request("GET", path)


def _refused(world: World) -> Request:
    method, path = world.rng.choice(
        (
            *(("POST", "/_api/tasks"), ("POST", "/_api/view"), ("POST", "/_api/transaction"), ("PUT", "/_api/batch")),
            *(("POST", "/_api/foxx"), ("PUT", "/_api/simple/near"), ("PUT", "/_api/simple/fulltext")),
            *(("POST", "/_api/aqlfunction"), ("POST", "/_admin/execute")),
        )
    )
    return world.request(method, path, {})


def _graph(world: World) -> Request:
    return graph_request(world, [name + world.suffix for name in GRAPHS])


_MAKERS: Final[dict[Callable[[World], Request], float]] = {
    _document: 30,
    _create_collection: 12,
    _read_collection: 8,
    _list_collections: 3,
    _change_collection: 8,
    _create_index: 7,
    _other_index: 4,
    _database: 3,
    _user: 5,
    _permission: 5,
    _transaction: 5,
    _job: 2,
    _report: 2,
    _refused: 1,
    _graph: 18,
    query_request: 25,
}
_BESIDE_TRANSACTIONS: Final = frozenset({_document, query_request, _transaction, _report, _job})
