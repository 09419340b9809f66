"""A stub of ArangoDB for the backfill's tests and benchmarks.

It answers exactly the requests that `backfill.source` makes, from documents that are rendered beforehand, in byte order
of keys, and does not support AQL. It serves documents with freely chosen bytes, faults and waits at chosen pages, and
answers that cost nothing, so that a benchmark measures the reader. Semantics are tested against the development server.
"""

from __future__ import annotations

import asyncio
import bisect
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from proxy.model.revision import Clock, encode_rev

Hook = Callable[[str, Mapping[str, Any]], Awaitable[bytes | None]]


@dataclass
class StubCollection:
    """Documents by key, with the sorted keys and rendered pages."""

    name: str
    keys: list[str] = field(default_factory=list)
    raw: dict[str, bytes] = field(default_factory=dict)
    revs: dict[str, int] = field(default_factory=dict)
    pages: dict[object, bytes] = field(default_factory=dict)
    shards: tuple[str, ...] = ()

    def put(self, key: str, rev: int, raw: bytes) -> None:
        if key not in self.raw:
            bisect.insort(self.keys, key)
        self.raw[key], self.revs[key] = raw, rev
        self.pages.clear()

    def remove(self, key: str) -> int:
        self.keys.remove(key)
        del self.raw[key]
        self.pages.clear()
        return self.revs.pop(key)

    def shard(self, key: str) -> str:
        """Return the shard of a key, if there are shards."""
        return self.shards[sum(key.encode()) % len(self.shards)]

    def range(self, bind: Mapping[str, Any]) -> list[str]:
        if "shard" in bind:
            above = [key for key in self.keys if key > bind["after"] and self.shard(key) == bind["shard"]]
            return [key for key in above if "upper" not in bind or key <= bind["upper"]][: bind["n"]]
        first = bisect.bisect_right(self.keys, bind["after"])
        end = bisect.bisect_right(self.keys, bind["upper"]) if "upper" in bind else len(self.keys)
        return self.keys[first : min(end, first + bind["n"])]


class StubOrigin:
    """Serves `database/collection`s on a free port of loopback. Use as an async context manager.

    hook: called with a name (page, revisions, revisions_of, step, count, read, forget) and the bind variables before
    each answer; it may wait, or return a whole HTTP answer to be sent instead.
    """

    def __init__(self) -> None:
        self.collections: dict[str, StubCollection] = {}
        self.clock = Clock()
        self.hook: Hook | None = None
        self.requests: list[str] = []
        self.heeds_shards = True
        self.role = b""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def put(self, collection: str, key: str, content: str = '"n":1', rev: int | None = None) -> int:
        """Store a new version; return its revision. content: JSON members as they are to be printed."""
        number = rev if rev is not None else self.clock.tick()
        self.put_raw(collection, key, number, content.encode())
        return number

    def put_raw(self, collection: str, key: str, rev: int, content: bytes) -> None:
        found = self.collections.setdefault(collection, StubCollection(collection.partition("/")[2]))
        head = f'{{"_key":"{key}","_id":"{found.name}/{key}","_rev":"{encode_rev(rev)}"'.encode()
        found.put(key, rev, head + (b"," + content if content else b"") + b"}")

    def remove(self, collection: str, key: str) -> int:
        """Remove a document; return the removed revision."""
        return self.collections[collection].remove(key)

    def document(self, collection: str, key: str) -> bytes:
        return self.collections[collection].raw[key]

    async def __aenter__(self) -> StubOrigin:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()
        while self._writers:
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                line, *fields = head.split("\r\n")
                method, target, _ = line.split(" ")
                sizes = [f.split(":", 1)[1] for f in fields if f.lower().startswith("content-length:")]
                body = await reader.readexactly(int(sizes[0])) if sizes else b""
                writer.write(await self._answer(method, target, body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, method: str, target: str, body: bytes) -> bytes:
        path, _, _ = target.partition("?")
        _, _, database, _, *rest = map(unquote, path.split("/"))
        parsed = json.loads(body) if body else {}
        bind: dict[str, Any] = parsed.get("bindVars", {}) if isinstance(parsed, dict) else {"keys": parsed}
        if rest[0] == "server" and self.role:
            return self.role
        if rest[0] == "server":
            sharded = any(one.shards for one in self.collections.values())
            return answer(200, b'{"role":"%s"}' % (b"COORDINATOR" if sharded else b"SINGLE"))
        name = rest[1] if len(rest) > 1 else bind.get("@c", "")
        if rest[-1] == "shards":
            return answer(200, json.dumps({"shards": self.collections[f"{database}/{name}"].shards}).encode())
        kind = _kind(method, rest, parsed)
        if isinstance(parsed, dict) and parsed.get("options", {}).get("shardIds") and self.heeds_shards:
            bind["shard"] = parsed["options"]["shardIds"][0]
        self.requests.append(kind)
        if self.hook is not None:
            instead = await self.hook(kind, bind)
            if instead is not None:
                return instead
        if kind == "forget":
            return answer(202, b"{}")
        if kind == "dump":
            return answer(501, b'{"errorNum":9,"errorMessage":"not implemented"}')
        found = self.collections.get(f"{database}/{name}")
        if found is None:
            error = {"error": True, "code": 404, "errorNum": 1203, "errorMessage": f"collection not found: {name}"}
            return answer(404, json.dumps(error).encode())
        return answer(200, _render(kind, found, bind))


def _kind(method: str, rest: list[str], body: Any) -> str:
    if rest[0] == "collection":
        return "count"
    if rest[0] == "document":
        return "read"
    if rest[0] == "dump":
        return "dump"
    if method == "DELETE":
        return "forget"
    text = body.get("query", "")
    if "IN @keys" in text:
        return "revisions_of"
    if "@skip" in text:
        return "step"
    return "revisions" if "[d._key, d._rev]" in text else "page"


def _render(kind: str, found: StubCollection, bind: Mapping[str, Any]) -> bytes:
    if kind == "count":
        return json.dumps({"count": len(found.keys)}).encode()
    if kind == "read":
        missing = b'{"error":true,"errorNum":1202,"errorMessage":"document not found"}'
        return b"[" + b",".join(found.raw.get(key, missing) for key in bind["keys"]) + b"]"
    if kind == "step":
        keys = [key for key in found.keys if found.shard(key) == bind["shard"]] if "shard" in bind else found.keys
        first = bisect.bisect_right(keys, bind["after"]) + bind["skip"]
        return json.dumps({"result": keys[first : first + 1], "hasMore": False}).encode()
    if kind == "revisions_of":
        return _pairs(found, [key for key in bind["keys"] if key in found.raw])
    expected = (kind, bind["after"], bind.get("upper"), bind["n"], bind.get("shard"))
    page = found.pages.get(expected)
    if page is None:
        keys = found.range(bind)
        if kind == "page":
            page = b'{"result":[' + b",".join(found.raw[key] for key in keys) + b'],"hasMore":false}'
        else:
            page = _pairs(found, keys)
        found.pages[expected] = page
    return page


def _pairs(found: StubCollection, keys: list[str]) -> bytes:
    pairs = ",".join(f'["{key}","{encode_rev(found.revs[key])}"]' for key in keys)
    return f'{{"result":[{pairs}],"hasMore":false}}'.encode()


def answer(status: int, body: bytes) -> bytes:
    """Return a complete HTTP answer."""
    head = (
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
