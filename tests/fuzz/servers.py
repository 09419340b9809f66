"""Real listeners to be fuzzed, in their own thread, and a record of everything that must never happen there.

`FuzzServers` runs the development server and, if there is a PostgreSQL, the proxy in front of it with both collections
in the shadow. Unhandled exceptions of a handler or the loop and every error in the log are kept in `complaints`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import structlog

from proxy.devserver.serve import StoreHandler
from proxy.devserver.store import MemoryStore
from proxy.http import HttpLimits, Listener
from proxy.model.message import Handler, Request, Response
from proxy.model.stages import CollectionState, Stage
from tests.harness import eventually, running

TIMEOUT = 20.0  # seconds that a server may take to end a connection whose client has sent everything
LIMITS = HttpLimits(body=2 << 20, buffer_body=1 << 20, head=8 << 10, headers=200)
MARKS = 8
_COLLECTIONS = (
    ("POST", "/_api/database", {"name": "own"}),
    ("POST", "/_db/own/_api/collection", {"name": "marks"}),
    ("POST", "/_api/collection", {"name": "c"}),
    ("POST", "/_api/collection", {"name": "e", "type": 3}),
    ("POST", "/_api/gharial", {"name": "g", "edgeDefinitions": [{"collection": "e", "from": ["c"], "to": ["c"]}]}),
)
_DOCUMENTS = (
    ("POST", "/_db/own/_api/document/marks", [{"_key": f"m{each}", "mark": f"<<{each}>>"} for each in range(MARKS)]),
    ("POST", "/_api/document/c", [{"_key": "k1", "x": 1}, {"_key": "k2", "tags": ["a"]}]),
    ("POST", "/_api/document/e", {"_key": "e1", "_from": "c/k1", "_to": "c/k2"}),
)


class HangError(AssertionError):
    """A server neither completed its answer nor closed the connection."""


class _Keep(logging.Handler):
    def __init__(self, complaints: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._complaints = complaints

    def emit(self, record: logging.LogRecord) -> None:
        self._complaints.append(f"{record.name}: {record.getMessage()}")


class FuzzServers:
    """ports: by name, `development` and perhaps `proxy`. seen: targets that reached a development server."""

    def __init__(self) -> None:
        self.ports: dict[str, int] = {}
        self.complaints: list[str] = []
        self.seen: list[bytes] = []
        self.admin = 0

    def check(self) -> None:
        """Raise AssertionError with the complaints since the last call."""
        found, self.complaints[:] = list(self.complaints), []
        assert not found, "\n".join(found[:10])


@contextlib.contextmanager
def run_servers(dsn: str | None = None, folder: Path | None = None, *, flipped: bool = False) -> Iterator[FuzzServers]:
    """Start everything. At the end stop it; then there must be no complaint, and the mirror must be drained.

    flipped: the proxy's collections are read from PostgreSQL, not only compared.
    """
    servers = FuzzServers()
    ready, failed = threading.Event(), list[BaseException]()
    stop: list[asyncio.Event] = []
    loop = asyncio.new_event_loop()

    async def main() -> None:
        stop.append(asyncio.Event())
        loop.set_exception_handler(lambda _, context: servers.complaints.append(repr(context)))
        async with contextlib.AsyncExitStack() as stack:
            await _development(servers, stack)
            if dsn is not None and folder is not None:
                await _proxied(servers, stack, dsn, folder, flipped=flipped)
            ready.set()
            await stop[0].wait()

    def run() -> None:
        try:
            loop.run_until_complete(main())
        except BaseException as error:
            failed.append(error)
            if not isinstance(error, Exception):
                raise
        finally:
            ready.set()
            loop.close()

    keep = _Keep(servers.complaints)
    logging.getLogger("asyncio").addHandler(keep)
    thread = threading.Thread(target=run, name="servers")
    with structlog.testing.capture_logs(processors=[_errors(servers.complaints)]):
        thread.start()
        try:
            ready.wait()
            if not failed:
                yield servers
        finally:
            if stop:
                loop.call_soon_threadsafe(stop[0].set)
            thread.join()
            logging.getLogger("asyncio").removeHandler(keep)
    if failed:
        raise failed[0]
    servers.check()


def _errors(complaints: list[str]) -> structlog.typing.Processor:
    def keep(_: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        if method in ("error", "critical", "exception"):
            complaints.append(str(event))
        return event

    return keep


async def _development(servers: FuzzServers, stack: contextlib.AsyncExitStack) -> None:
    listener = Listener(_watched(servers, StoreHandler(MemoryStore())), limits=LIMITS)
    await listener.start()
    stack.push_async_callback(listener.close, 5)
    servers.ports["development"] = listener.port
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.port}") as client:
        await _set_up(client, *_COLLECTIONS, *_DOCUMENTS)


def _watched(servers: FuzzServers, handle: Handler) -> Handler:
    async def seen(request: Request) -> Response:
        servers.seen.append(request.target)
        return await handle(request)

    return seen


async def _set_up(client: httpx.AsyncClient, *requests: tuple[str, str, object]) -> None:
    for method, path, body in requests:
        answer = await client.request(method, path, json=body)
        assert answer.status_code < 300, answer.text


async def _proxied(
    servers: FuzzServers, stack: contextlib.AsyncExitStack, dsn: str, folder: Path, *, flipped: bool
) -> None:
    """Start the proxy with its own origin in the same process, which the harness starts."""
    found = await stack.enter_async_context(
        running(dsn, folder, max_buffered_body=1 << 20, max_body=2 << 20, max_captured_body=1 << 20, recheck_timeout=1)
    )
    origin = found.origin.listener
    assert origin is not None
    origin._state.handler = _watched(servers, origin._state.handler)
    await _set_up(found.direct, *_COLLECTIONS)
    await found.move(CollectionState(Stage.MIRROR), "_system/c", "_system/e", "own/marks")
    await _set_up(found.client, *_DOCUMENTS)
    await found.drained()
    for stage in (Stage.SHADOW, Stage.FLIPPED) if flipped else (Stage.SHADOW,):
        await found.move(
            CollectionState(stage, 100 if stage is Stage.FLIPPED else 0), "_system/c", "_system/e", "own/marks"
        )
    servers.ports["proxy"] = found.application.port
    servers.admin = found.application.admin_port

    async def at_the_end() -> None:
        await eventually(lambda: found.application.mirror.backlog == 0, "the mirror has applied what it understood")

    stack.push_async_callback(at_the_end)


# the client's side


def talk(port: int, *pieces: bytes, timeout: float = TIMEOUT) -> bytes:
    """Send the pieces, then end the sending side; return everything until the server closes.

    Raise HangError if it does not close.
    """
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # closed at the first piece that was too much
        parts = []
        try:
            while part := connection.recv(1 << 16):
                parts.append(part)
        except ConnectionResetError:
            pass
        except TimeoutError:
            raise HangError(f"no end after {timeout:g} s and the bytes {b''.join(parts)[-200:]!r}") from None
    return b"".join(parts)


def mark(number: int) -> bytes:
    """Return a request with a unique answer."""
    return b"GET /_db/own/_api/document/marks/m%d HTTP/1.1\r\nHost: a\r\n\r\n" % number


@dataclass(frozen=True)
class Answer:
    """One answer as it was sent."""

    status: int
    body: bytes


_LINE = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) [ -~]*")
_HEADER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[\t -~\x80-\xff]*")


def answers(data: bytes, *, bare: bool = False) -> list[Answer]:
    """Parse the bytes into answers, with nothing left.

    bare: some may answer HEAD, whose length counts nothing.
    """
    found: list[Answer] = []
    while data:
        head, end, data = data.partition(b"\r\n\r\n")
        assert end, f"no end of a head: {head[:200]!r}"
        line, *headers = head.split(b"\r\n")
        status = _LINE.fullmatch(line)
        assert status is not None, f"no status line: {line[:200]!r}"
        code = int(status[1])
        named = {}
        for header in headers:
            assert _HEADER.fullmatch(header), f"no header: {header!r}"
            name, _, value = header.partition(b":")
            named[name.lower()] = value.strip()
        if code < 200:
            continue
        body = b""
        if b"chunked" in named.get(b"transfer-encoding", b""):
            body, data = _chunks(data)
        elif code not in (204, 304) and not (bare and not data.startswith((b"{", b"["))):
            length = int(named.get(b"content-length", b"0"))
            body, data = data[:length], data[length:]
            assert len(body) == length, f"a body of {length} is cut after {len(body)} bytes"
        found.append(Answer(code, body))
        if body and code >= 400 and b"json" in named.get(b"content-type", b""):
            _shape(code, body)
    return found


def _chunks(data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        body, data = body + data[:length], data[length + 2 :]
        if not length:
            return body, data


def _shape(code: int, body: bytes) -> None:
    """Check that an error has ArangoDB's shape and is not an unexpected exception."""
    error = json.loads(body)
    if isinstance(error, list):  # of many documents
        return
    assert {"error", "code", "errorNum", "errorMessage"} <= set(error), body
    assert (error["error"], error["code"]) == (True, code), body
    assert error["errorMessage"] != "internal error", body
