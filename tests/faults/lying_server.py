"""A server that keeps documents in memory, and lies if it is told to: checking clients must find each lie."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from proxy.model.revision import encode_rev
from tests.faults.violations import Kind

_EVERY = 7  # requests of the kind that the lie is about, of which the last is not answered truly
_FIRST_REVISION = 1_000_000


class Lie(enum.Enum):
    """What the server does wrong, and what clients must call it."""

    NONE = None
    LOST_WRITE = ("acknowledges a write that it does not keep", Kind.STALE, Kind.LOST, Kind.RESURRECTED)
    RESURRECTED = ("has a removed document again", Kind.RESURRECTED)
    STALE_READ = ("answers with the first version", Kind.STALE, Kind.RESURRECTED)
    REVISION_TWICE = ("gives a revision twice", Kind.REVISION)
    REVISION_BACK = ("gives a lower revision", Kind.REVISION)
    UNWRITTEN = ("shows what nobody wrote", Kind.UNWRITTEN)

    @property
    def kinds(self) -> frozenset[Kind]:
        """What it is called."""
        return frozenset(self.value[1:]) if self.value else frozenset()


class LyingServer:
    """Answers the requests of tests/faults/oracle.py. Use `async with`."""

    def __init__(self, lie: Lie) -> None:
        self._lie = lie
        self._revision = _FIRST_REVISION
        self._asked = 0
        self._former: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
        self.documents: dict[str, Mapping[str, Any]] = {}
        self.port = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> LyingServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                method, path, _ = head.split(" ", 2)
                length = int(head.lower().partition("content-length:")[2].split("\r\n")[0])
                body = json.loads(await reader.readexactly(length) or b"null")
                status, value = self._answer(method, path.partition("?")[0].split("/")[3:], path, body)
                content = json.dumps(value).encode()
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
                await writer.drain()
        writer.close()

    def _answer(self, method: str, segments: list[str], path: str, body: Any) -> tuple[int, Any]:
        if method == "GET":
            found = self._read(segments[1])
            return (200, found) if found else (404, {})
        if "onlyget" in path:
            return 200, [self._read(key) or {"error": True} for key in body]
        if segments == [] or not path.startswith("/_api/document"):
            found = self._read(body["bindVars"]["key"])
            return 201, {"result": [{"n": found["n"], "_rev": found["_rev"]}] if found else []}
        key = segments[1] if len(segments) > 1 else body["_key"]
        return self._remove(key) if method == "DELETE" else self._write(key, body["n"])

    def _lies(self, *lies: Lie) -> bool:
        """Return True if it is time for one of these lies."""
        if self._lie not in lies:
            return False
        self._asked += 1
        return self._asked % _EVERY == 0

    def _read(self, key: str) -> Mapping[str, Any] | None:
        former = self._former[key]
        if former and self._lies(Lie.STALE_READ):
            return former[0]
        found = self.documents.get(key)
        if found is not None and self._lies(Lie.UNWRITTEN):
            return {**found, "n": 10**6}
        return found

    def _write(self, key: str, number: int) -> tuple[int, Any]:
        self._revision += 10
        revision = self._revision
        if key in self.documents and self._lies(Lie.REVISION_TWICE, Lie.REVISION_BACK):
            revision -= 10 if self._lie is Lie.REVISION_TWICE else _FIRST_REVISION // 2
        document = {"_key": key, "_rev": encode_rev(revision), "n": number}
        if not self._lies(Lie.LOST_WRITE):
            if key in self.documents:
                self._former[key].append(self.documents[key])
            self.documents[key] = document
        return 201, document

    def _remove(self, key: str) -> tuple[int, Any]:
        found = self.documents.pop(key, None)
        if found is None:
            return 404, {}
        if self._lies(Lie.RESURRECTED):
            self.documents[key] = found
        return 200, {"_key": key, "_rev": found["_rev"]}
