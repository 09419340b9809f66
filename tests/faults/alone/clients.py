"""Clients that write in every way through any of the proxies, and remember each answer.

Each has its own keys, one attempt at a time, and never again the keys of an attempt whose answer was lost. An attempt
that no proxy can have got (no connection) is none. An answer 503 that does not state that the write may have happened
states that it has not.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from proxy.model.revision import decode_rev
from tests.faults.alone.memory import Claim, Effects, Memory, Place

NOTED: Final = "noted"  # the collection that ArangoDB still has: its changes are in the outbox
OWN: Final = "own"
SHARED: Final = "shared"
UNIQUE: Final = "unique"
COLLECTIONS: Final = (NOTED, OWN, SHARED, UNIQUE)
SHARED_KEYS: Final = ("s0", "s1", "s2")
TIMEOUT: Final = 60.0  # seconds for any answer: a longer wait is a hang
_MAY_HAVE_HAPPENED: Final = ("may have happened", "it is not known whether")
_REFUSALS: Final = frozenset({400, 404, 409, 412, 503})
_EXCLUSIVE: Final = 18  # errorNum of a status 500: a collection was locked for too long
_PAUSE: Final = 0.05  # seconds after an answer that the servers are in trouble


@dataclass(frozen=True, slots=True)
class Answer:
    """status: 0 if the answer was lost; the request may have happened."""

    status: int
    body: Any = None
    number: int = 0

    @property
    def happened(self) -> bool | None:
        """Return whether the request was carried out as a whole; None if it is not known."""
        if self.status == 503 and any(text in self.body.get("errorMessage", "") for text in _MAY_HAVE_HAPPENED):
            return None
        return None if self.status == 0 else self.status < 400


class RememberingClient:
    """One client. urls: of the proxies. number: it is in its keys."""

    def __init__(self, http: httpx.AsyncClient, urls: Sequence[str], number: int, memory: Memory, seed: int) -> None:
        self._http = http
        self._urls = urls
        self._number = number
        self._memory = memory
        self._rng = random.Random(f"{seed}/{number}")
        self._tokens = itertools.count()
        self._keys: list[Place] = []  # that it may write
        self._collections: list[str] = []
        self._url = urls[number % len(urls)]

    async def step(self) -> None:
        """Make one attempt."""
        works = (
            *((self._insert, 4), (self._change, 5), (self._remove, 2), (self._read, 4), (self._array, 2)),
            *((self._import, 2), (self._query, 3), (self._transaction, 3), (self._write_shared, 3)),
            *((self._claim, 3), (self._make_collection, 0.3), (self._drop_collection, 0.2)),
        )
        (work,) = self._rng.choices([work for work, _ in works], [weight for _, weight in works])
        await work()

    # ---- requests

    async def _send(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None, *, url: str = ""
    ) -> Answer:
        """Return the answer of a proxy; it is asked again while no proxy has the request. url: that of one proxy."""
        while True:
            asked = url or self._rng.choice(self._urls)
            content = body if isinstance(body, str) or body is None else json.dumps(body)
            try:
                answer = await self._http.request(method, f"{asked}{path}", content=content, headers=headers)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if url:
                    return Answer(503, {"errorMessage": "this proxy is gone"})
                await asyncio.sleep(_PAUSE)
                continue
            except httpx.TimeoutException:
                self._memory.wrong.append(f"{method} {path}: no answer within {TIMEOUT:g} s")
                return Answer(0)
            except httpx.TransportError:
                await asyncio.sleep(_PAUSE)
                return Answer(0)
            parsed = json.loads(answer.content) if answer.content else None
            number = parsed.get("errorNum", 0) if isinstance(parsed, dict) else 0
            exclusive = answer.status_code == 500 and number == _EXCLUSIVE
            if answer.status_code >= 400 and answer.status_code not in _REFUSALS and not exclusive:
                self._memory.wrong.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
            if answer.status_code >= 500:
                await asyncio.sleep(_PAUSE)
            return Answer(answer.status_code, parsed, number)

    def _settle(self, kind: str, answer: Answer, effects: Effects, *, whole: bool = True) -> bool:
        """Remember an attempt on documents. Return True if it happened."""
        happened = answer.happened
        if happened is None:
            self._memory.lost(kind, effects, whole=whole)
            self._keys = [place for place in self._keys if place not in effects]
        elif happened:
            self._memory.happened(kind, effects)
        else:
            self._memory.refused(f"{kind} ({answer.status} {answer.number})", effects)
        return bool(happened)

    def _token(self) -> str:
        return f"{self._number}.{next(self._tokens)}"

    def _new(self, collection: str | None = None) -> Place:
        collection = collection or self._rng.choice((NOTED, OWN))
        return Place(collection, f"k{self._number}-{next(self._tokens)}")

    def _saw(self, place: Place, answer: Mapping[str, Any], token: str) -> None:
        self._memory.saw(place, decode_rev(answer["_rev"]), token)

    # ---- single documents

    async def _insert(self) -> None:
        gone = [place for place in self._keys if self._memory.tokens.get(place) is None]
        place = self._rng.choice(gone) if gone and self._rng.random() < 0.5 else self._new()
        token = self._token()
        answer = await self._send("POST", f"/_api/document/{place.collection}", {"_key": place.key, "token": token})
        if self._settle("insert", answer, {place: token}):
            self._saw(place, answer.body, token)
            self._keys = [*self._keys, place] if place not in self._keys else self._keys

    async def _change(self) -> None:
        present = self._present()
        if not present:
            return
        place, token = self._rng.choice(present), self._token()
        method, path = self._rng.choice(("PUT", "PATCH")), f"/_api/document/{place.collection}/{place.key}"
        answer = await self._send(method, path, {"token": token})
        if self._settle("change", answer, {place: token}):
            self._saw(place, answer.body, token)

    async def _remove(self) -> None:
        present = self._present()
        if present:
            place = self._rng.choice(present)
            answer = await self._send("DELETE", f"/_api/document/{place.collection}/{place.key}")
            self._settle("removal", answer, {place: None})

    async def _read(self) -> None:
        """Read a document of this client: every proxy shows what was acknowledged."""
        if not self._keys:
            return
        place = self._rng.choice(self._keys)
        answer = await self._send("GET", f"/_api/document/{place.collection}/{place.key}")
        expected = self._memory.tokens[place]
        if answer.status == 200:
            self._saw(place, answer.body, answer.body["token"])
        found = answer.body["token"] if answer.status == 200 else None
        if answer.status in (200, 404) and found != expected:
            self._memory.wrong.append(f"{place}: a read shows {found!r} instead of {expected!r}")

    def _present(self) -> list[Place]:
        return [place for place in self._keys if self._memory.tokens.get(place) is not None]

    # ---- several documents

    async def _array(self) -> None:
        """Insert an array with an element that must be refused: the others are written."""
        collection = self._rng.choice((NOTED, OWN))
        places = [self._new(collection) for _ in range(self._rng.randrange(2, 30))]
        effects: dict[Place, str | None] = {place: self._token() for place in places}
        elements: list[object] = [{"_key": place.key, "token": token} for place, token in effects.items()]
        elements.insert(self._rng.randrange(len(elements)), {"_key": "not a key", "token": "x"})
        answer = await self._send("POST", f"/_api/document/{collection}", elements)
        if self._settle("array", answer, effects, whole=False):
            done = [one for one in answer.body if not one.get("error")]
            if len(done) != len(places):
                self._memory.wrong.append(f"array: {answer.body}")
            for one in done:
                place = Place(collection, one["_key"])
                self._saw(place, one, effects[place] or "")
            self._keys += places

    async def _import(self) -> None:
        collection = self._rng.choice((NOTED, OWN))
        places = [self._new(collection) for _ in range(self._rng.randrange(2, 60))]
        effects: dict[Place, str | None] = {place: self._token() for place in places}
        lines = "\n".join(json.dumps({"_key": place.key, "token": token}) for place, token in effects.items())
        complete = self._rng.random() < 0.5
        refused = complete and self._rng.random() < 0.5  # with an element that refuses all of them
        lines += '\n{"_key": "not a key"}' if refused or not complete else ""
        path = f"/_api/import?type=documents&collection={collection}" + ("&complete=true" if complete else "")
        answer = await self._send("POST", path, lines)
        if self._settle("import", answer, effects, whole=complete):
            if refused or answer.body["created"] != len(places):
                self._memory.wrong.append(f"import: {answer.body}")
            self._keys += places

    async def _query(self) -> None:
        """Write by AQL: new documents, or a change of several."""
        collection = self._rng.choice((NOTED, OWN))
        present = [place for place in self._present() if place.collection == collection]
        if not present or self._rng.random() < 0.4:
            places = [self._new(collection) for _ in range(self._rng.randrange(1, 20))]
            text = "FOR d IN @documents INSERT d INTO @@c RETURN {_key: NEW._key, _rev: NEW._rev}"
        else:
            places = self._rng.sample(present, min(len(present), self._rng.randrange(1, 20)))
            text = "FOR d IN @documents UPDATE d IN @@c RETURN {_key: NEW._key, _rev: NEW._rev}"
        effects: dict[Place, str | None] = {place: self._token() for place in places}
        documents = [{"_key": place.key, "token": token} for place, token in effects.items()]
        body = {"query": text, "bindVars": {"@c": collection, "documents": documents}}
        answer = await self._send("POST", "/_api/cursor", body)
        if self._settle("query", answer, effects):
            for one in answer.body["result"]:
                place = Place(collection, one["_key"])
                self._saw(place, one, effects[place] or "")
            self._keys += [place for place in places if place not in self._keys]

    async def _transaction(self) -> None:
        """Write documents of two collections in a stream transaction, and commit or abort it."""
        url = self._rng.choice(self._urls)
        begun = await self._send("POST", "/_api/transaction/begin", {"collections": {"write": [NOTED, OWN]}}, url=url)
        if not begun.happened:
            return
        number = begun.body["result"]["id"]
        headers = {"x-arango-trx-id": number}
        places = [self._new(collection) for collection in (NOTED, OWN)]
        places += self._rng.sample(self._present(), min(2, len(self._present())))
        effects: dict[Place, str | None] = {place: self._token() for place in places}
        shown: dict[Place, Mapping[str, Any]] = {}
        for place, token in effects.items():
            path = f"/_api/document/{place.collection}?overwriteMode=replace"
            answer = await self._send("POST", path, {"_key": place.key, "token": token}, headers, url=url)
            if not answer.happened:
                break
            shown[place] = answer.body
        path = f"/_api/transaction/{number}"
        if len(shown) < len(effects) or self._rng.random() < 0.2:  # whether the abort arrives or not
            await self._send("DELETE", path, url=url)
            self._memory.refused("transaction", effects)
            self._keys += [place for place in places if place not in self._keys]
            return
        if self._settle("transaction", await self._send("PUT", path, url=url), effects):
            for place, one in shown.items():
                self._saw(place, one, effects[place] or "")
            self._keys += [place for place in places if place not in self._keys]

    # ---- what several clients write

    async def _write_shared(self) -> None:
        place, token = Place(SHARED, self._rng.choice(SHARED_KEYS)), self._token()
        answer = await self._send("PUT", f"/_api/document/{SHARED}/{place.key}", {"token": token})
        if answer.happened:
            self._memory.counted["shared"] += 1
            self._memory.shared[place].append((decode_rev(answer.body["_rev"]), token))
            if decode_rev(answer.body["_oldRev"]) >= decode_rev(answer.body["_rev"]):
                self._memory.wrong.append(f"{place}: {answer.body} is not newer")
        elif answer.happened is None:
            self._memory.shared_open[place].add(token)

    async def _claim(self) -> None:
        value = f"u{len(self._memory.claims) // 4}"  # about four clients for each value
        place = Place(UNIQUE, f"k{self._number}-{next(self._tokens)}")
        answer = await self._send("POST", f"/_api/document/{UNIQUE}", {"_key": place.key, "unique": value})
        happened = answer.happened
        if happened is False and answer.number != 1210:
            return  # a conflict, or PostgreSQL is away: nothing is known of the value
        self._memory.counted["unique, " + {True: "won", False: "1210", None: "no answer"}[happened]] += 1
        self._memory.claims.append(Claim(value, place, happened))

    async def _make_collection(self) -> None:
        name = f"c{self._number}x{next(self._tokens)}"
        answer = await self._send("POST", "/_api/collection", {"name": name})
        self._memory.collections[name] = answer.happened
        if answer.happened:
            self._memory.counted["collection"] += 1
            self._collections.append(name)
            index = {"type": "persistent", "fields": ["unique"], "unique": True, "sparse": True}
            await self._send("POST", f"/_api/index?collection={name}", index)

    async def _drop_collection(self) -> None:
        if self._collections:
            name = self._collections.pop()
            answer = await self._send("DELETE", f"/_api/collection/{name}")
            if answer.happened is not False:
                self._memory.collections[name] = None if answer.happened is None else False


async def prepare(url: str) -> None:
    """Create what the clients write."""
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT) as client:
        for name in COLLECTIONS:
            (await client.post("/_api/collection", json={"name": name})).raise_for_status()
        index = {"type": "persistent", "fields": ["unique"], "unique": True, "sparse": True}
        (await client.post(f"/_api/index?collection={UNIQUE}", json=index)).raise_for_status()
        shared = [{"_key": key, "token": "first"} for key in SHARED_KEYS]
        (await client.post(f"/_api/document/{SHARED}", json=shared)).raise_for_status()
