"""A small HTTP client for closed loops: kept connections, one request at a time on each, nothing but 2xx expected."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Self

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class HttpClient:
    """Connections to one server, as many as may be in use at a time."""

    def __init__(self, host: str, port: int, size: int) -> None:
        self._host, self._port = host, port
        self._free: asyncio.LifoQueue[Connection | None] = asyncio.LifoQueue()
        for _ in range(size):
            self._free.put_nowait(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        while not self._free.empty():
            connection = self._free.get_nowait()
            if connection is not None:
                connection[1].close()

    async def send(self, method: str, target: str, body: Any = None) -> bytes:
        """Return the body of the answer. body: bytes, text, or a value that becomes JSON. Raise RuntimeError if not
        2xx.
        """
        data = _encoded(body)
        connection = await self._free.get()
        if connection is None:
            connection = await asyncio.open_connection(self._host, self._port, limit=1 << 22)
        reader, writer = connection
        writer.write(
            b"%s %s HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (method.encode(), target.encode(), len(data))
            + data
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        answer = await reader.readexactly(length)
        self._free.put_nowait(connection)
        if head[9:10] != b"2":
            raise RuntimeError(f"{method} {target}: {head[:40]!r} {answer[:300]!r}")
        return answer


def _encoded(body: Any) -> bytes:
    if body is None or isinstance(body, bytes):
        return body or b""
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()
