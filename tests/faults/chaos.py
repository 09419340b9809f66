"""A TCP proxy between the proxy and a database that misbehaves on demand, on existing and on new connections.

pass        forwards bytes                  delay       delays every piece
slow        a few hundred bytes at a time   cut         resets the connection in the middle of an answer
half-close  closes the server's side in the middle of an answer, the client's stays open
black-hole  drops bytes silently; when it ends, the affected connections are reset
late        holds requests until it ends, and delivers them then, also those of clients that are gone
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from types import TracebackType

MODES = ("cut", "delay", "slow", "half-close", "black-hole")
LATE = "late"  # not one of MODES: what a killed client has sent happens much later
_DELAY = 0.05
_PIECE_BYTES = 256
_NO_LINGER = struct.pack("ii", 1, 0)


class Chaos:
    """A forwarder from `port` to `target` that can misbehave. Use `async with`."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.mode = "pass"
        self.hit = 0  # answers that were cut, and connections that fell into the hole
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._swallowed: set[asyncio.StreamWriter] = set()
        self._healed = asyncio.Event()

    async def __aenter__(self) -> Chaos:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def misbehave(self, mode: str) -> None:
        """Behave like this from now on."""
        assert mode in (*MODES, LATE)
        self.mode = mode
        self._healed.clear()

    def heal(self) -> None:
        """Forward bytes normally from now on."""
        self.mode = "pass"
        self._healed.set()
        for writer in self._swallowed:
            _reset(writer)
        self._swallowed.clear()

    # ---- parts

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._link(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self._swallowed.discard(writer)
            writer.close()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:  # the target is down: the closest that a proxy can come to a refused connection
            _reset(writer)
            return
        ways = [
            asyncio.create_task(self._pump(reader, server_writer, writer, answers=False)),
            asyncio.create_task(self._pump(server_reader, writer, writer, answers=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            server_writer.close()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        while data := await reader.read(65536):
            mode = self.mode
            if mode == "black-hole":
                self.hit += 1
                self._swallowed.add(client)
                await self._healed.wait()
                raise ConnectionResetError
            if mode == LATE and not answers:
                self.hit += 1
                await self._healed.wait()
            elif mode == "delay":
                await asyncio.sleep(_DELAY)
            elif mode == "slow":
                while len(data) > _PIECE_BYTES:
                    writer.write(data[:_PIECE_BYTES])
                    data = data[_PIECE_BYTES:]
                    await asyncio.sleep(0.002)
            elif answers and mode in ("cut", "half-close"):
                self.hit += 1
                writer.write(data[: len(data) // 2])
                await writer.drain()
                if mode == "cut":
                    _reset(client)
                    raise ConnectionResetError
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End the connection by a RST."""
    raw = writer.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()
