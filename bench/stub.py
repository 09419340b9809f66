"""A fast stand-in for ArangoDB: canned reads, writes with unique keys and rising revisions.

`python -m bench.stub PORT`. It keeps each key's revision and body, so that the proxy can read them again.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Final, cast

import httptools
import uvloop

_DIGITS: Final = b"-_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_HEADERS: Final = (
    b"X-Content-Type-Options: nosniff\r\nServer: ArangoDB\r\nX-Arango-Queue-Time-Seconds: 0.000000\r\n"
    b"Connection: Keep-Alive\r\nContent-Type: application/json; charset=utf-8\r\n"
)
_CACHED_ANSWERS: Final = 2000
_NOT_FOUND: Final = b'{"code":404,"error":true,"errorMessage":"document not found","errorNum":1202}'


def document(size: int) -> bytes:
    """Return a JSON object of about `size` bytes, without system attributes."""
    text = "The quick brown fox jumps over the lazy dog. " * (size // 45 + 1)
    body = b'{"user_id":4711,"filename":"resume.pdf","parsed_data":{"name":"Ada","skills":["a","b"]},"text":"%b"}'
    return body % text[: max(0, size - len(body) + 2)].encode()


class Documents:
    """Keys and revisions."""

    def __init__(self) -> None:
        self.answers: dict[bytes, bytes] = {}  # to reads that were asked before, by the line that asks; keys stay
        self._rev = int(time.time() * 1000) << 20
        self._key = 0
        self._last = b""
        self.held: dict[bytes, tuple[bytes, bytes]] = {}

    def insert(self, body: bytes) -> tuple[bytes, bytes]:
        """Store a document; return its key and revision."""
        self._rev += 1
        self._key += 1
        key, number, rev = b"%d" % self._key, self._rev, bytearray(11)
        for place in range(10, -1, -1):
            rev[place] = _DIGITS[number & 63]
            number >>= 6
        if body != self._last:
            self._last = body
        text = bytes(rev).lstrip(b"-")
        self.held[key] = (text, self._last)
        return key, text

    def read(self, collection: bytes, key: bytes) -> bytes | None:
        """Return the document as ArangoDB prints it."""
        found = self.held.get(key)
        return None if found is None else whole(collection, key, *found)


def whole(collection: bytes, key: bytes, rev: bytes, body: bytes) -> bytes:
    """Return a document with its system attributes."""
    return b'{"_key":"%b","_id":"%b/%b","_rev":"%b",%b' % (key, collection, key, rev, body[1:])


class Client(asyncio.Protocol):
    """One client connection; pipelining is not supported."""

    def __init__(self, documents: Documents, canned: bytes) -> None:
        self._documents = documents
        self._canned = canned
        self._parser = httptools.HttpRequestParser(self)
        self._url = self._body = b""
        self._write: Callable[[bytes], None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = cast("asyncio.Transport", transport).write  # uvloop's is not a subclass

    def data_received(self, data: bytes) -> None:
        # repeated reads are the majority: their cost here must not be the limit
        cached_answer = self._documents.answers.get(data[: data.find(b"\r\n")]) if data.endswith(b"\r\n\r\n") else None
        if cached_answer is not None:
            self._write(cached_answer)
        else:
            self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, piece: bytes) -> None:
        self._body += piece

    def on_message_complete(self) -> None:
        url, body, self._url, self._body = self._url, self._body, b"", b""
        path, _, query = url.partition(b"?")
        method = self._parser.get_method()
        segments = path.split(b"/")
        if len(segments) > 2 and segments[1] == b"_db":
            segments[1:3] = []
        if segments[1:] == [b"_api", b"cursor"]:
            self._query(body)
        elif segments[1:3] != [b"_api", b"document"]:
            self._other(segments)
        elif method == b"GET":
            collection, key = segments[3], segments[4]
            found = self._canned if key == b"canned" else self._documents.read(collection, key)
            if found:
                answer = _response(b"200 OK", found)
                if len(self._documents.answers) < _CACHED_ANSWERS:
                    self._documents.answers[b"GET %b HTTP/1.1" % url] = answer
                self._write(answer)
            else:
                self._answer(b"404 Not Found", _NOT_FOUND)
        elif method == b"POST":
            collection = segments[3]
            key, rev = self._documents.insert(body)
            new = b',"new":' + whole(collection, key, rev, body) if b"returnNew=true" in query else b""
            answer = b'{"_id":"%b/%b","_key":"%b","_rev":"%b"%b}' % (collection, key, key, rev, new)
            self._answer(b"202 Accepted", answer, b'Etag: "%b"\r\nLocation: %b/%b\r\n' % (rev, path, key))
        elif method == b"PUT" and b"onlyget" in query:
            keys = [item.strip(b' "') for item in body.strip(b"[] \n").split(b",") if item]
            found_all = [self._documents.read(segments[3], key) for key in keys]
            missing = b'{"error":true,"errorNum":1202,"errorMessage":"document not found"}'
            self._answer(b"200 OK", b"[%b]" % b",".join(item or missing for item in found_all))
        else:
            self._answer(b"404 Not Found", _NOT_FOUND)

    def _query(self, body: bytes) -> None:
        """Answer the one known query: documents by key, in their order."""
        binds = json.loads(body)["bindVars"]
        keys = sorted(key.encode() for key in binds["keys"])
        found = [self._documents.read(binds["@c"].encode(), key) for key in keys]
        rows = b",".join(row for row in found if row)
        tail = b'"hasMore":false,"cached":false,"extra":{"warnings":[],"stats":{}},"error":false,"code":201}'
        self._answer(b"201 Created", b'{"result":[%b],%b' % (rows, tail))

    def _other(self, segments: list[bytes]) -> None:
        if segments[1:3] == [b"_api", b"version"]:
            self._answer(b"200 OK", b'{"server":"arango","license":"community","version":"3.12.4"}')
        elif segments[1:3] == [b"_api", b"collection"] and len(segments) == 3:
            self._answer(b"200 OK", b'{"error":false,"code":200,"result":[%b]}' % _collection(b"bench"))
        elif segments[1:3] == [b"_api", b"collection"]:
            self._answer(b"200 OK", b'{"error":false,"code":200,%b' % _collection(segments[3])[1:])
        else:
            self._answer(b"404 Not Found", b'{"code":404,"error":true,"errorMessage":"unknown path","errorNum":404}')

    def _answer(self, status: bytes, body: bytes, extra: bytes = b"") -> None:
        self._write(_response(status, body, extra))


def _response(status: bytes, body: bytes, extra: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\n%b%bContent-Length: %d\r\n\r\n%b" % (status, _HEADERS, extra, len(body), body)


def _collection(name: bytes) -> bytes:
    return (
        b'{"id":"100","name":"%b","type":2,"status":3,"isSystem":false,"globallyUniqueId":"h1/100","waitForSync":false}'
        % name
    )


async def serve(port: int) -> None:
    documents = Documents()
    canned = whole(b"bench", b"canned", b"_l6zhVTW--A", document(1024 - 70))
    server = await asyncio.get_running_loop().create_server(
        lambda: Client(documents, canned), "127.0.0.1", port, backlog=1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
