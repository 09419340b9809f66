"""Failpoints from outside: a proxy that reaches one reports it here and waits (proxy/base/failpoints.py)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path


class Points:
    """Listens on a Unix socket in the folder. `plan`: the answer to a proxy that asks for its next failpoint."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "points"
        self.plan = ""
        self._reached: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
        self._asked = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Points:
        self._server = await asyncio.start_unix_server(self._hear, str(self.path))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        if line == b"plan\n":
            await self.release(writer, self.plan)
            self._asked.set()
        else:
            self._reached.put_nowait(writer)

    async def arm(self, plan: str, signal: Callable[[], object]) -> None:
        """Make a running proxy ask, by calling `signal`, and wait until it has the plan (`name:nth`)."""
        self.plan = plan
        self._asked.clear()
        signal()
        await asyncio.wait_for(self._asked.wait(), 60)

    async def wait_until_reached(self, seconds: float = 30.0) -> asyncio.StreamWriter:
        """Wait for the failpoint. Raise TimeoutError if it is not reached."""
        return await asyncio.wait_for(self._reached.get(), seconds)

    @staticmethod
    async def release(waiting: asyncio.StreamWriter, following: str = "") -> None:
        """Let the proxy continue; `following`: its next `name:nth`."""
        with contextlib.suppress(OSError):
            waiting.write(following.encode() + b"\n")
            await waiting.drain()
        waiting.close()
