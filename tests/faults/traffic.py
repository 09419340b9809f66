"""Client traffic of the fault tests: writes of every kind, in rounds, each counted. Clients never give up.

A numbered client writes its own keys and collections, except in `documents`, where several may share keys. A
transaction or cursor that a round opens is ended by it, with as many attempts as needed: else the proxy would wait for
its time-out.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import httpx

DOCUMENT: Final = "/_api/document/books"
_EDGE_DEFINITION: Final = {"collection": "knows", "from": ["people"], "to": ["people"]}
CLIENTS: Final = 8  # at most: each has a collection of its own that it imports into
COLLECTIONS: Final = ("books", "papers", "people", "knows", *(f"imported{number}" for number in range(CLIENTS)))
_EXPECTED: Final = frozenset({200, 201, 202, 204, 404, 409, 412, 501})  # and 1653: a transaction had ended already
_NOT_BUILT: Final = 501  # the development server runs no JavaScript
_PAUSE: Final = 0.02
_RETRY_PAUSE: Final = 0.1  # seconds before the next attempt after a refused connection
_TIMEOUT: Final = 40.0  # seconds for an answer: three leases of five seconds, and a machine that is busy
_rounds = itertools.count(1)


@dataclass
class Tally:
    """What clients saw. errors: answers of 5xx; broken: connections that ended without an answer."""

    writes: int = 0
    errors: int = 0
    broken: int = 0
    others: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)  # what each error was


class Client:
    """One client of a proxy. `number` is in its keys."""

    def __init__(self, http: httpx.AsyncClient, number: int, tally: Tally) -> None:
        self._http = http
        self.number = number
        self._tally = tally

    async def send(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
        *,
        refused: bool = False,
    ) -> httpx.Response | None:
        """Return the answer, or None if the connection broke.

        `body` is sent as JSON, or text unchanged. refused: an answer of 4xx is expected.
        """
        content = body if isinstance(body, str) or body is None else json.dumps(body)
        try:
            answer = await self._http.request(method, path, content=content, headers=headers)
        except httpx.TransportError:
            self._tally.broken += 1
            await asyncio.sleep(_RETRY_PAUSE)
            return None
        self._tally.writes += 1
        if answer.status_code >= 500 and answer.status_code != _NOT_BUILT:
            self._tally.errors += 1
            self._tally.failed.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
            await asyncio.sleep(_PAUSE)
        elif refused:
            if answer.status_code < 400:
                self._tally.others.append(f"{method} {path} was not refused: {answer.status_code}")
        elif answer.status_code not in _EXPECTED and b'"errorNum":1653' not in answer.content:
            self._tally.others.append(f"{method} {path}: {answer.status_code} {answer.text[:100]}")
        return answer

    async def until_answered(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Repeat the request until the origin answers."""
        while True:
            answer = await self.send(method, path, body, headers)
            if answer is not None and answer.status_code < 500:
                return answer


Kind = Callable[[Client, int], Awaitable[None]]


async def documents(client: Client, n: int) -> None:
    """Single and array writes on few keys; some keys are server-generated."""
    key = f"c{client.number}k{n % 5}"
    await client.send("POST", DOCUMENT + "?overwrite=true", {"_key": key, "n": n, "by": client.number})
    if n % 4 == 3:
        await client.send("DELETE", f"{DOCUMENT}/{key}")
    if n % 4 == 1:
        await client.send("PATCH", f"{DOCUMENT}/{key}", {"seen": n})
    if n % 3 == 0:
        await client.send("POST", DOCUMENT, [{"n": n}, {"n": n + 1}])
    if n % 5 == 4:
        await client.send("POST", DOCUMENT, {"_key": key})  # often a conflict


async def options(client: Client, n: int) -> None:
    """Every option of document writes, single and in arrays."""
    one, other = f"o{client.number}k{n % 3}", f"o{client.number}k{(n + 1) % 3}"
    mode = ("ignore", "replace", "update", "conflict")[n % 4]
    await client.send(
        "POST", f"{DOCUMENT}?overwriteMode={mode}&returnOld=true", {"_key": one, "v": n, "deep": {"n": n}}
    )
    await client.send("PUT", f"{DOCUMENT}?returnNew=true", [{"_key": one, "v": n}, {"_key": other, "v": n}])
    await client.send("PATCH", f"{DOCUMENT}/{one}?keepNull=false&mergeObjects=false", {"deep": {"m": n}, "v": None})
    await client.send("PATCH", f"{DOCUMENT}/{one}", {})
    await client.send("PATCH", f"{DOCUMENT}/{one}?versionAttribute=v", {"v": n - 5})
    await client.send("POST", f"{DOCUMENT}?silent=true", [{"_key": other}, {"n": n}, {"_key": "no/key"}])
    if n % 2:
        await client.send("DELETE", f"{DOCUMENT}?silent=true", [one, {"_key": other}, "nobody"])
    await client.send("DELETE", f"{DOCUMENT}/{other}", headers={"if-match": '"_nothing"'})


async def transactions(client: Client, n: int) -> None:
    """Writes of two collections, ended by a commit; every fourth is aborted."""
    transaction = await client.send("POST", "/_api/transaction/begin", {"collections": {"write": ["books", "papers"]}})
    if transaction is None or transaction.status_code != 201:
        return
    number = transaction.json()["result"]["id"]
    trx = {"x-arango-trx-id": number}
    key = f"t{next(_rounds)}"
    steps: list[tuple[str, str, object]] = [
        ("POST", DOCUMENT, [{"_key": key, "n": n}, {"_key": f"{key}b"}, {"n": n}]),
        ("POST", "/_api/document/papers", {"_key": key}),
        ("PATCH", f"{DOCUMENT}/{key}", {"seen": n}),
        ("DELETE", f"{DOCUMENT}/{key}b", None),
        ("POST", "/_api/cursor", {"query": "INSERT {_key: @k} INTO papers", "bindVars": {"k": f"{key}q"}}),
    ]
    for method, path, body in steps:
        answer = await client.send(method, path, body, trx)
        if answer is None or answer.status_code >= 400:
            break
    else:
        if n % 4 != 3:
            answer = await client.send("PUT", f"/_api/transaction/{number}")
            if answer is not None and answer.status_code == 200:
                return
    await client.until_answered("DELETE", f"/_api/transaction/{number}")


async def imports(client: Client, n: int) -> None:
    """By keys, without keys in several array writes, with details, and one that replaces its whole collection."""
    base, lines = (
        "/_api/import?collection=books",
        [json.dumps({"_key": f"i{client.number}k{k}", "n": n}) for k in (1, 2)],
    )
    await client.send("POST", base + "&type=documents&onDuplicate=update", "\n".join(lines))
    await client.send("POST", base + "&type=array", [{"n": n}, {"_key": f"i{client.number}k3"}, 7])
    await client.send(
        "POST", base + "&type=documents&details=true&onDuplicate=ignore", '{"n": 1}\n{"n": 2}\nno\n' + lines[0]
    )
    if n % 4 == client.number % 2 * 2:  # clients take turns at the large ones
        many = "\n".join(['["n", "by"]', *(f"[{k}, {client.number}]" for k in range(1001))])
        await client.send(
            "POST", f"/_api/import?collection=imported{client.number}&complete={str(n % 8 < 4).lower()}", many
        )
    if n % 4 == 2 - client.number % 2 * 2:
        await client.send(
            "POST",
            f"/_api/import?collection=imported{client.number}&type=array&overwrite=true",
            [{"_key": "a"}, {"n": n}],
        )


async def modifications(client: Client, n: int) -> None:
    """AQL that inserts, updates, removes; with rows for the client in several batches."""
    prefix = f"q{client.number}k"
    upsert = (
        "FOR i IN 0..5 LET k = CONCAT(@p, i) UPSERT {_key: k} INSERT {_key: k, n: @n} UPDATE {n: @n} INTO books "
        "RETURN NEW._key"
    )
    first = await client.send(
        "POST", "/_api/cursor", {"query": upsert, "bindVars": {"p": prefix, "n": n}, "batchSize": 2}
    )
    more = first.json() if first is not None and first.status_code == 201 else {}
    while more.get("hasMore"):
        answer = await client.until_answered("POST", f"/_api/cursor/{more['id']}")
        more = answer.json()
    update = "FOR d IN books FILTER d.by == @by UPDATE d WITH {touched: @n} INTO books"
    await client.send("POST", "/_api/cursor", {"query": update, "bindVars": {"by": client.number, "n": n}})
    await client.send("POST", "/_api/cursor", {"query": "INSERT {n: @n} INTO papers", "bindVars": {"n": n}})
    if n % 3 == 2:
        remove = "FOR d IN books FILTER STARTS_WITH(d._key, @p) AND d.n == @n REMOVE d IN books"
        await client.send("POST", "/_api/cursor", {"query": remove, "bindVars": {"p": prefix, "n": n}})


async def cursors(client: Client, n: int) -> None:
    """AQL that inserts, updates, removes, alone and in a transaction, whose cursors are never read to their end."""
    prefix = f"u{client.number}k"
    binds = {"p": prefix, "n": n}
    put = (
        "FOR i IN 0..5 LET k = CONCAT(@p, i) UPSERT {_key: k} INSERT {_key: k, n: @n} UPDATE {n: @n} INTO books "
        "RETURN NEW"
    )
    remove = "FOR d IN books FILTER STARTS_WITH(d._key, @p) AND d.n < @n REMOVE d IN books RETURN OLD"
    streams = {"stream": n % 2 == 1, "batchSize": 1}
    await client.send("POST", "/_api/cursor", {"query": put, "bindVars": binds, **streams})
    if n % 2:
        await client.send("POST", "/_api/cursor", {"query": remove, "bindVars": binds, **streams})
    transaction = await client.send("POST", "/_api/transaction/begin", {"collections": {"write": ["papers"]}})
    if transaction is None or transaction.status_code != 201:
        return
    number = transaction.json()["result"]["id"]
    insert = {"query": "FOR i IN 1..3 INSERT {n: @n} INTO papers RETURN 1", "bindVars": {"n": n}, **streams}
    await client.send("POST", "/_api/cursor", insert, {"x-arango-trx-id": number})
    await client.until_answered("PUT", f"/_api/transaction/{number}")


async def graphs(client: Client, n: int) -> None:
    """Vertices, edges between them, and removals that take edges along."""
    graph, keys = "/_api/gharial/social", [f"g{client.number}k{(n + k) % 4}" for k in range(3)]
    for key in keys:
        await client.send("POST", f"{graph}/vertex/people", {"_key": key, "n": n})
    for start, end in itertools.pairwise(keys):
        edge = await client.send("POST", f"{graph}/edge/knows", {"_from": f"people/{start}", "_to": f"people/{end}"})
        if edge is not None and edge.status_code == 202 and n % 2:
            await client.send("PATCH", f"{graph}/edge/knows/{edge.json()['edge']['_key']}", {"n": n})
    await client.send("PUT", f"{graph}/vertex/people/{keys[0]}", {"n": -n})
    await client.send("DELETE", f"{graph}/vertex/people/{keys[1]}")


async def collections(client: Client, n: int) -> None:
    """The client's own collection is created, filled, truncated, renamed, dropped."""
    name = f"own{client.number}"
    await client.send("POST", "/_api/collection", {"name": name, "type": 2 + n % 2})
    await client.send(
        "POST", f"/_api/document/{name}?overwrite=true", [_edge({"_key": f"k{k}", "n": n}) for k in range(4)]
    )
    if n % 2:
        await client.send("PUT", f"/_api/collection/{name}/truncate")
    await client.send("POST", f"/_api/document/{name}", [_edge({"n": n}), _edge({"_key": "after"})])
    if n % 3 == 1:
        await client.send("PUT", f"/_api/collection/{name}/rename", {"name": name + "r"})
        await client.send("POST", f"/_api/document/{name}r", _edge({"_key": f"r{n}"}))
    if n % 3 == 2:
        await client.send("DELETE", f"/_api/collection/{name}")
        await client.send("DELETE", f"/_api/collection/{name}r")


def _edge(body: dict[str, object]) -> dict[str, object]:
    return {"_from": "books/a", "_to": "books/b", **body}


async def jobs(client: Client, n: int) -> None:
    """Requests answered before they are executed; some results are fetched."""
    key = f"j{client.number}k{n % 4}"
    stored = await client.send("POST", DOCUMENT + "?overwrite=true", {"_key": key, "n": n}, {"x-arango-async": "store"})
    await client.send("PATCH", f"{DOCUMENT}/{key}", {"seen": n}, {"x-arango-async": "true"})
    if n % 3 == 2:
        await client.send("DELETE", f"{DOCUMENT}/{key}", headers={"x-arango-async": "true"})
    if stored is not None and stored.status_code == 202:
        for _ in range(10):
            answer = await client.send("PUT", f"/_api/job/{stored.headers['x-arango-async-id']}")
            if answer is None or answer.status_code != 204:
                break
            await asyncio.sleep(_PAUSE)


async def simple(client: Client, n: int) -> None:
    """By keys, and by example."""
    prefix = f"s{client.number}"
    await client.send(
        "POST", DOCUMENT + "?overwrite=true", [{"_key": f"{prefix}k{k}", "mine": prefix, "k": k} for k in range(5)]
    )
    body = {"collection": "books", "example": {"mine": prefix, "k": 1}}
    await client.send("PUT", "/_api/simple/update-by-example", {**body, "newValue": {"n": n}})
    await client.send("PUT", "/_api/simple/remove-by-keys", {"collection": "books", "keys": [f"{prefix}k2", "nobody"]})
    if n % 2:
        await client.send("PUT", "/_api/simple/remove-by-example", {**body, "options": {"limit": 1}})


_REFUSED: Final[tuple[tuple[str, str, object], ...]] = (
    ("POST", DOCUMENT, {"_key": "no/key"}),
    ("POST", DOCUMENT, '{"_key": '),
    ("PATCH", f"{DOCUMENT}/nobody", {"n": 1}),
    ("POST", "/_api/document/missing", {"n": 1}),
    ("POST", "/_api/cursor", {"query": "FOR d IN books REMOVE d IN missing"}),
    ("POST", "/_api/cursor", {"query": "INSERT {n: 1} INTO books RETRUN NEW"}),
    ("POST", "/_api/cursor", {"query": "FOR k IN ['nobody'] REMOVE k IN books RETURN OLD", "batchSize": 1}),
    ("POST", "/_api/import?collection=missing&type=documents", '{"n": 1}\n'),
    ("PUT", "/_api/collection/missing/truncate", None),
    ("DELETE", "/_api/collection/missing", None),
    ("DELETE", "/_api/gharial/social/vertex/people/nobody", None),
    ("PUT", "/_api/simple/remove-by-example", {"collection": "missing", "example": {}}),
    ("POST", "/_api/transaction/begin", {"collections": {"write": ["missing"]}}),
)


async def refused(client: Client, n: int) -> None:
    """Writes that ArangoDB refuses and that change nothing: invalid texts, keys, unknown collections."""
    for number in range(3):
        method, path, body = _REFUSED[(3 * n + number) % len(_REFUSED)]
        await client.send(method, path, body, refused=True)


async def opaque(client: Client, n: int) -> None:
    """Executed and not captured: a TTL index, far in the future."""
    ttl = {"type": "ttl", "fields": [f"never{n % 3}"], "expireAfter": 1 << 32}
    await client.send("POST", "/_api/index?collection=books", ttl)


KINDS: Final[dict[str, Kind]] = {
    "documents": documents,
    "options": options,
    "transactions": transactions,
    "imports": imports,
    "modifications": modifications,
    "cursors": cursors,
    "graphs": graphs,
    "collections": collections,
    "jobs": jobs,
    "simple": simple,
    "refused": refused,
}


async def prepare(origin: str) -> None:
    """Create the collections of all clients in the origin before anything is mirrored."""
    async with httpx.AsyncClient(base_url=origin, auth=("root", ""), verify=False, timeout=_TIMEOUT) as direct:
        await direct.post("/_api/gharial", json={"name": "social", "edgeDefinitions": [_EDGE_DEFINITION]})
        for name in COLLECTIONS:
            await direct.post("/_api/collection", json={"name": name})


async def client(
    url: str, number: int, tally: Tally, going: Callable[[int], bool], *kinds: Kind, pause: float = 0.0
) -> None:
    """Run rounds of these kinds in turn while `going(round)` is true, with a pause of `pause` seconds."""
    async with httpx.AsyncClient(base_url=url, auth=("root", ""), timeout=_TIMEOUT, verify=False) as http:
        writer = Client(http, number, tally)
        n = 0
        while going(n):
            await kinds[n % len(kinds)](writer, n // len(kinds))
            n += 1
            await asyncio.sleep(pause)
