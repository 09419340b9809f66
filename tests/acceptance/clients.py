"""One client of the soak: random operations on its own keys, and on shared ones by revision; each answer is checked.

A difference is a sentence in `wrong`; nothing else ends a client but its time.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from tests.acceptance.model import Document, Shelf, merged, plain

DOCS, VERTICES, EDGES, SHARED, GRAPH = "docs", "people", "knows", "shared", "circle"
SHARED_KEYS = tuple(f"s{number}" for number in range(4))
_DOCUMENT = "/_api/document"


class Client:
    """Number `number` of several. `added` counts what it added to each shared document."""

    def __init__(self, http: httpx.AsyncClient, number: int, seed: int) -> None:
        self.http = http
        self.name = f"c{number}"
        self.random = random.Random(f"{seed}/{number}")
        self.docs, self.people, self.knows = Shelf(), Shelf(), Shelf()
        self.added: Counter[str] = Counter()
        self.last_seen: dict[str, int] = {}
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._keys = 0
        self._moves: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (8, self.insert),
            (10, self.read),
            (4, self.conditional_read),
            (6, self.update),
            (4, self.replace),
            (4, self.remove),
            (3, self.insert_many),
            (3, self.read_many),
            (3, self.change_many),
            (5, self.query),
            (3, self.cursor),
            (3, self.modify),
            (3, self.transaction),
            (4, self.vertex),
            (3, self.edges),
            (2, self.load),
            (3, self.simple),
            (6, self.shared),
        ]

    async def step(self) -> None:
        """One operation, and the check of all its answers."""
        moves = self._moves
        move = self.random.choices([one for _, one in moves], [weight for weight, _ in moves])[0]
        await move()
        self.done[move.__name__] += 1

    # ---- tools

    async def send(self, method: str, target: str, body: Any = None, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.request(method, target, json=body, headers=named)

    def check(self, good: bool, what: str, answer: httpx.Response) -> bool:
        if not good:
            request = answer.request
            body = request.content.decode("utf-8", "replace")[:300]
            self.wrong.append(
                f"{self.name} {what}: {request.method} {request.url.raw_path.decode()} {body} -> "
                f"{answer.status_code} {answer.text[:400]}"
            )
        return good

    def new_key(self) -> str:
        self._keys += 1
        return f"{self.name}_{self._keys}"

    def content(self) -> Document:
        """Numbers of every form, text of every plane, nulls, nesting."""
        pick = self.random
        return {
            "owner": self.name,
            "n": pick.choice([0, 1, -1, pick.randrange(1000), 2**53, 1.5, -0.25]),
            "text": pick.choice(["", "plain", "ünïcödé 🦉", 'quoted "\\" \n', "nul\x00inside"]),
            "nothing": None,
            "in": {"a": pick.randrange(5), "list": [1, {"x": None}, []]},
        }

    def some(self, shelf: Shelf) -> str | None:
        return self.random.choice(sorted(shelf.content)) if shelf.content else None

    # ---- documents

    async def insert(self) -> None:
        mode = self.random.choice(["", "", "conflict", "ignore", "replace", "update"])
        known = self.some(self.docs) if mode and self.random.random() < 0.7 else None
        key, content = known or self.new_key(), self.content()
        options = {"overwriteMode": mode} if mode else {}
        options |= self.random.choice([{}, {"returnNew": "true"}, {"returnNew": "true", "returnOld": "true"}])
        query = "&".join(f"{name}={value}" for name, value in options.items())
        answer = await self.send("POST", f"{_DOCUMENT}/{DOCS}?{query}", {"_key": key, **content})
        if known is not None and mode == "conflict":
            self.check(answer.status_code == 409 and answer.json()["errorNum"] == 1210, "an existing key", answer)
            return
        if not self.check(answer.status_code in (201, 202), "insert", answer):
            return
        body = answer.json()
        if known is not None and mode == "ignore":
            self.check(body["_rev"] == self.docs.revs[key] and "new" not in body, "an existing key ignored", answer)
            return
        if known is not None and mode == "update":  # nulls of the new one are forgotten there, unlike in PATCH
            content = merged(self.docs.content[key], content, keep_null=False, merge_objects=True)
            content = self.shown_after(content, body)
        if known is not None:
            self.check(body["_oldRev"] == self.docs.revs[key], "the old revision", answer)
            if "old" in body:
                self.check(self.docs.shows(body["old"]), "the old document", answer)
        self.docs.put(key, content, body["_rev"])
        if "new" in body:
            self.check(self.docs.shows(body["new"]), "the new document", answer)

    def shown_after(self, content: Document, body: Document) -> Document:
        """A document as merged, where the answer shows it; nulls in what is new inside are the answer's to tell."""
        return plain(body["new"]) if "new" in body and "in" in content else content

    async def read(self) -> None:
        key = self.some(self.docs) if self.random.random() < 0.9 else self.new_key()
        key = key or self.new_key()
        answer = await self.send(self.random.choice(["GET", "GET", "HEAD"]), f"{_DOCUMENT}/{DOCS}/{key}")
        if key not in self.docs.content:
            self.check(answer.status_code == 404, "what is not there", answer)
        elif self.check(answer.status_code == 200, "what is there", answer):
            self.check(answer.headers["etag"] == f'"{self.docs.revs[key]}"', "etag", answer)
            if answer.request.method == "GET":
                self.check(self.docs.shows(answer.json()), "document", answer)

    async def conditional_read(self) -> None:
        key = self.some(self.docs)
        if key is None:
            return
        rev = self.docs.revs[key]
        header, value, status = self.random.choice(
            [
                ("if_match", f'"{rev}"', 200),
                ("if_match", '"_aaaaaaaaaa"', 412),
                ("if_none_match", f'"{rev}"', 304),
                ("if_none_match", '"_aaaaaaaaaa"', 200),
            ]
        )
        answer = await self.send("GET", f"{_DOCUMENT}/{DOCS}/{key}", **{header: value})
        self.check(answer.status_code == status, f"{header}", answer)

    async def update(self) -> None:
        key = self.some(self.docs)
        if key is None:
            return
        keep, merge = self.random.random() < 0.5, self.random.random() < 0.5
        change: Document = self.random.choice(
            [{"n": self.random.randrange(1000)}, {"in": {"a": 9}}, {"nothing": None}, {"text": None, "more": [None]}]
        )
        wrong = self.random.random() < 0.15
        target = (
            f"{_DOCUMENT}/{DOCS}/{key}?keepNull={str(keep).lower()}&mergeObjects={str(merge).lower()}&returnNew=true"
        )
        headers = {"if_match": '"_aaaaaaaaaa"'} if wrong else {}
        answer = await self.send("PATCH", target, change, **headers)
        if wrong:
            self.check(answer.status_code == 412, "a wrong revision", answer)
            return
        if self.check(answer.status_code in (201, 202), "update", answer):
            content = merged(self.docs.content[key], change, keep_null=keep, merge_objects=merge)
            self.docs.put(key, content, answer.json()["_rev"])
            self.check(self.docs.shows(answer.json()["new"]), "the updated document", answer)

    async def replace(self) -> None:
        key = self.some(self.docs)
        if key is None:
            return
        content, silent = self.content(), self.random.random() < 0.3
        answer = await self.send("PUT", f"{_DOCUMENT}/{DOCS}/{key}?silent={str(silent).lower()}", content)
        if not self.check(answer.status_code in (201, 202), "replace", answer):
            return
        if not silent:
            self.docs.put(key, content, answer.json()["_rev"])
            return
        self.check(answer.json() == {}, "silent", answer)
        shown = await self.send("GET", f"{_DOCUMENT}/{DOCS}/{key}")
        if self.check(shown.status_code == 200 and plain(shown.json()) == content, "what was written silently", shown):
            self.docs.put(key, content, shown.json()["_rev"])

    async def remove(self) -> None:
        key = self.some(self.docs)
        if key is None or len(self.docs.content) < 10:
            return
        answer = await self.send("DELETE", f"{_DOCUMENT}/{DOCS}/{key}?returnOld=true")
        if self.check(answer.status_code in (200, 202), "remove", answer):
            self.check(self.docs.shows(answer.json()["old"]), "the removed document", answer)
            self.docs.drop(key)

    # ---- arrays

    async def insert_many(self) -> None:
        known = self.some(self.docs)
        items = [{"_key": self.new_key(), **self.content()} for _ in range(self.random.randrange(1, 6))]
        if known is not None:
            items.insert(1, {"_key": known})
        answer = await self.send("POST", f"{_DOCUMENT}/{DOCS}", items)
        if not self.check(answer.status_code in (201, 202), "insert many", answer):
            return
        for item, told in zip(items, answer.json(), strict=True):
            if item["_key"] == known:
                self.check(told.get("errorNum") == 1210, "an existing key among many", answer)
            elif self.check(told.get("_key") == item["_key"], "one of many", answer):
                self.docs.put(item["_key"], plain(item), told["_rev"])

    async def read_many(self) -> None:
        keys = [*self.random.sample(sorted(self.docs.content), min(4, len(self.docs.content))), "none"]
        answer = await self.send("PUT", f"{_DOCUMENT}/{DOCS}?onlyget=true", keys)
        if self.check(answer.status_code == 200 and len(answer.json()) == len(keys), "read many", answer):
            for shown in answer.json()[:-1]:
                self.check("_key" in shown and self.docs.shows(shown), "one of many", answer)
            self.check(answer.json()[-1].get("errorNum") == 1202, "the one that is not there", answer)

    async def change_many(self) -> None:
        keys = self.random.sample(sorted(self.docs.content), min(3, len(self.docs.content)))
        if len(self.docs.content) > 60:
            answer = await self.send("DELETE", f"{_DOCUMENT}/{DOCS}", [*keys, "none"])
            if self.check(answer.status_code in (200, 202), "remove many", answer):
                self.check([one.get("errorNum", 0) for one in answer.json()] == [*(0 for _ in keys), 1202], "", answer)
                for key in keys:
                    self.docs.drop(key)
            return
        items: list[Document] = [{"_key": key, "n": self.random.randrange(1000)} for key in keys]
        answer = await self.send("PATCH", f"{_DOCUMENT}/{DOCS}", items)
        if self.check(answer.status_code in (201, 202), "update many", answer):
            for item, told in zip(items, answer.json(), strict=True):
                content = {**self.docs.content[item["_key"]], "n": item["n"]}
                self.docs.put(item["_key"], content, told["_rev"])

    async def load(self) -> None:
        known = self.some(self.docs)
        items = [{"_key": self.new_key(), **self.content()} for _ in range(3)]
        keys = [item["_key"] for item in items]
        if known is not None:
            items.append({"_key": known, "ignored": True})
        answer = await self.send("POST", f"/_api/import?collection={DOCS}&type=list&onDuplicate=ignore", items)
        wanted = (len(keys), int(known is not None))
        if self.check(answer.status_code == 201, "import", answer):
            body = answer.json()
            self.check((body["created"], body["ignored"]) == wanted, "counts of an import", answer)
            shown = await self.send("PUT", f"{_DOCUMENT}/{DOCS}?onlyget=true", keys)
            for item, read in zip(items, shown.json(), strict=False):
                if self.check(plain(read) == plain(item), "what was imported", shown):
                    self.docs.put(item["_key"], plain(item), read["_rev"])

    # ---- queries

    async def query(self) -> None:
        text, wanted = self.random.choice(
            [
                ("FOR d IN @@c FILTER d.owner == @o SORT d._key RETURN d._key", None),
                ("FOR d IN @@c FILTER d.owner == @o COLLECT WITH COUNT INTO n RETURN n", "count"),
                ("FOR d IN @@c FILTER d.owner == @o && d.n == 1 RETURN d", "ones"),
            ]
        )
        body = {"query": text, "bindVars": {"@c": DOCS, "o": self.name}, "batchSize": 1000, "count": True}
        answer = await self.send("POST", "/_api/cursor", body)
        if not self.check(answer.status_code == 201, "query", answer):
            return
        rows, mine = answer.json()["result"], self.docs.content
        if wanted is None:
            self.check(set(rows) == {k for k, d in mine.items() if d.get("owner") == self.name}, "keys", answer)
        elif wanted == "count":
            self.check(rows == [sum(d.get("owner") == self.name for d in mine.values())], "count", answer)
        else:
            keys = {k for k, d in mine.items() if d.get("n") == 1 and d.get("owner") == self.name}
            self.check({row["_key"] for row in rows} == keys, "those whose n is 1", answer)
            self.check(all(self.docs.shows(row) for row in rows), "rows", answer)

    async def cursor(self) -> None:
        text = "FOR d IN @@c FILTER d.owner == @o SORT d._key RETURN d"
        retry = self.random.random() < 0.5
        body = {
            "query": text,
            "bindVars": {"@c": DOCS, "o": self.name},
            "batchSize": 3,
            "count": True,
            "options": {"allowRetry": retry, "fullCount": self.random.random() < 0.5},
        }
        answer = await self.send("POST", "/_api/cursor", body)
        if not self.check(answer.status_code == 201, "cursor", answer):
            return
        found = answer.json()
        rows, count, identifier = found["result"], found["count"], found.get("id")
        while found["hasMore"]:
            batch = f"/{found['nextBatchId']}" if retry or self.random.random() < 0.5 else ""
            answer = await self.send("POST", f"/_api/cursor/{identifier}{batch}")
            if not self.check(answer.status_code == 200, "next batch", answer):
                return
            if batch and retry and self.random.random() < 0.3:
                again = await self.send("POST", f"/_api/cursor/{identifier}{batch}")
                self.check(again.json()["result"] == answer.json()["result"], "the same batch again", again)
            found = answer.json()
            rows += found["result"]
        if retry and identifier is not None:  # a result that is whole leaves no cursor behind
            answer = await self.send("DELETE", f"/_api/cursor/{identifier}")
            self.check(answer.status_code == 202, "end of a cursor", answer)
        self.check(len(rows) == count == len({row["_key"] for row in rows}), "all rows once", answer)
        self.check(all(self.docs.shows(row) for row in rows), "rows of a cursor", answer)
        mine = sum(document.get("owner") == self.name for document in self.docs.content.values())
        self.check(count == mine, "count of a cursor", answer)

    async def modify(self) -> None:
        key = self.some(self.docs)
        if key is None:
            return
        if self.random.random() < 0.5:
            value = self.random.randrange(1000)
            text = "FOR d IN @@c FILTER d._key == @k UPDATE d WITH {n: @v} IN @@c RETURN NEW"
            binds = {"@c": DOCS, "k": key, "v": value}
            answer = await self.send("POST", "/_api/cursor", {"query": text, "bindVars": binds})
            if self.check(answer.status_code == 201 and len(answer.json()["result"]) == 1, "AQL update", answer):
                shown = answer.json()["result"][0]
                self.docs.put(key, {**self.docs.content[key], "n": value}, shown["_rev"])
                self.check(self.docs.shows(shown), "what AQL updated", answer)
            return
        new, content = self.new_key(), self.content()
        binds = {"@c": DOCS, "d": {"_key": new, **content}}
        text = "INSERT @d INTO @@c RETURN NEW._rev"
        answer = await self.send("POST", "/_api/cursor", {"query": text, "bindVars": binds})
        if self.check(answer.status_code == 201, "AQL insert", answer):
            self.docs.put(new, content, answer.json()["result"][0])

    # ---- transactions

    async def transaction(self) -> None:
        begun = await self.send("POST", "/_api/transaction/begin", {"collections": {"write": [DOCS]}})
        if not self.check(begun.status_code == 201, "begin", begun):
            return
        number = begun.json()["result"]["id"]
        inside = {"x_arango_trx_id": number}
        after, known = self.docs.copy(), self.some(self.docs)
        new, content = self.new_key(), self.content()
        answer = await self.send("POST", f"{_DOCUMENT}/{DOCS}", {"_key": new, **content}, **inside)
        if self.check(answer.status_code in (201, 202), "insert in a transaction", answer):
            after.put(new, content, answer.json()["_rev"])
        if known is not None:
            answer = await self.send("PATCH", f"{_DOCUMENT}/{DOCS}/{known}", {"n": 77}, **inside)
            if self.check(answer.status_code in (201, 202), "update in a transaction", answer):
                after.put(known, {**after.content[known], "n": 77}, answer.json()["_rev"])
        seen = await self.send("GET", f"{_DOCUMENT}/{DOCS}/{new}", **inside)
        self.check(seen.status_code == 200 and after.shows(seen.json()), "its own write", seen)
        outside = await self.send("GET", f"{_DOCUMENT}/{DOCS}/{new}")
        self.check(outside.status_code == 404, "a write that is not committed", outside)
        if self.random.random() < 0.7:
            ended = await self.send("PUT", f"/_api/transaction/{number}")
            if self.check(ended.status_code == 200, "commit", ended):
                self.docs = after
        else:
            ended = await self.send("DELETE", f"/_api/transaction/{number}")
            self.check(ended.status_code == 200, "abort", ended)
        seen = await self.send("GET", f"{_DOCUMENT}/{DOCS}/{new}")
        there = new in self.docs.content
        self.check(seen.status_code == (200 if there else 404), "after the end of a transaction", seen)

    # ---- graph

    async def vertex(self) -> None:
        base = f"/_api/gharial/{GRAPH}"
        key = self.some(self.people)
        if key is None or len(self.people.content) < 4 or self.random.random() < 0.3:
            key, content = self.new_key(), {"owner": self.name, "n": 1}
            answer = await self.send("POST", f"{base}/vertex/{VERTICES}", {"_key": key, **content})
            if self.check(answer.status_code in (201, 202), "vertex", answer):
                self.people.put(key, content, answer.json()["vertex"]["_rev"])
            return
        other = self.some(self.people)
        choice = self.random.random()
        if choice < 0.4:
            edge, content = self.new_key(), {"_from": f"{VERTICES}/{key}", "_to": f"{VERTICES}/{other}"}
            answer = await self.send("POST", f"{base}/edge/{EDGES}", {"_key": edge, **content})
            if self.check(answer.status_code in (201, 202), "edge", answer):
                self.knows.put(edge, content, answer.json()["edge"]["_rev"])
        elif choice < 0.6:
            answer = await self.send("PATCH", f"{base}/vertex/{VERTICES}/{key}", {"n": 2})
            if self.check(answer.status_code in (200, 201, 202), "vertex update", answer):
                self.people.put(key, {**self.people.content[key], "n": 2}, answer.json()["vertex"]["_rev"])
        elif choice < 0.85:
            answer = await self.send("GET", f"{base}/vertex/{VERTICES}/{key}")
            good = answer.status_code == 200 and self.people.shows(answer.json()["vertex"])
            self.check(good, "vertex read", answer)
        else:
            answer = await self.send("DELETE", f"{base}/vertex/{VERTICES}/{key}")
            if self.check(answer.status_code in (200, 202), "vertex removal", answer):
                self.people.drop(key)
                handle = f"{VERTICES}/{key}"
                for name in [n for n, e in self.knows.content.items() if handle in (e["_from"], e["_to"])]:
                    self.knows.drop(name)
                    gone = await self.send("GET", f"{_DOCUMENT}/{EDGES}/{name}")
                    self.check(gone.status_code == 404, "an edge of a vertex that is gone", gone)

    async def edges(self) -> None:
        key = self.some(self.people)
        if key is None:
            return
        handle, direction = f"{VERTICES}/{key}", self.random.choice(["any", "in", "out"])
        answer = await self.send("GET", f"/_api/edges/{EDGES}?vertex={handle}&direction={direction}")
        wanted = {
            name
            for name, edge in self.knows.content.items()
            if (direction != "in" and edge["_from"] == handle) or (direction != "out" and edge["_to"] == handle)
        }
        if self.check(answer.status_code == 200, "edges", answer):
            found = answer.json()["edges"]
            self.check({edge["_key"] for edge in found} == wanted, "edges of a vertex", answer)
            self.check(all(self.knows.shows(edge) for edge in found), "edges as they are", answer)

    async def simple(self) -> None:
        keys = self.random.sample(sorted(self.docs.content), min(3, len(self.docs.content)))
        if self.random.random() < 0.5:
            body: Document = {"collection": DOCS, "keys": [*keys, "none"]}
            answer = await self.send("PUT", "/_api/simple/lookup-by-keys", body)
            rows = answer.json().get("documents", [])
            self.check({row["_key"] for row in rows} == set(keys), "look-up", answer)
        else:
            body = {"collection": VERTICES, "example": {"owner": self.name, "n": 2}}
            answer = await self.send("PUT", "/_api/simple/by-example", body)
            rows = answer.json().get("result", [])
            wanted = {key for key, content in self.people.content.items() if content.get("n") == 2}
            self.check({row["_key"] for row in rows} == wanted, "by example", answer)
            self.check(all(self.people.shows(row) for row in rows), "rows by example", answer)
            return
        self.check(all(self.docs.shows(row) for row in rows), "rows by key", answer)

    # ---- shared documents

    async def shared(self) -> None:
        """Reads never go back; an update by revision happens once or is refused."""
        key = self.random.choice(SHARED_KEYS)
        read = await self.send("GET", f"{_DOCUMENT}/{SHARED}/{key}")
        if not self.check(read.status_code == 200, "a shared document", read):
            return
        value = read.json()["n"]
        self.check(value >= self.last_seen.get(key, 0), f"a read went back from {self.last_seen.get(key)}", read)
        self.last_seen[key] = max(value, self.last_seen.get(key, 0))
        rev = f'"{read.json()["_rev"]}"'
        answer = await self.send("PATCH", f"{_DOCUMENT}/{SHARED}/{key}", {"n": value + 1}, if_match=rev)
        if answer.status_code in (201, 202):
            self.added[key] += 1
            self.last_seen[key] = value + 1
        else:
            refused = answer.status_code in (409, 412) and answer.json()["errorNum"] == 1200
            self.check(refused, "an update by an older revision", answer)
