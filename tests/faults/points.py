"""Named points from outside: a proxy that comes to one says so here, and stands still (proxy/base/failpoints.py)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path


class Points:
    """Listens on a Unix socket in the folder. `plan`: what a proxy that asks for the next point is told."""

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
        said = await reader.readline()
        if said == b"plan\n":
            await self.go(writer, self.plan)
            self._asked.set()
        else:
            self._reached.put_nowait(writer)

    async def armed(self, plan: str, signal: Callable[[], object]) -> None:
        """Makes a running proxy ask, by calling `signal`, and waits until it knows the plan (`name:nth`)."""
        self.plan = plan
        self._asked.clear()
        signal()
        await asyncio.wait_for(self._asked.wait(), 60)

    async def reached(self, seconds: float = 30.0) -> asyncio.StreamWriter:
        """Raises TimeoutError where the point is not reached."""
        return await asyncio.wait_for(self._reached.get(), seconds)

    @staticmethod
    async def go(standing: asyncio.StreamWriter, following: str = "") -> None:
        """The proxy goes on; `following`: the next `name:nth`."""
        with contextlib.suppress(OSError):
            standing.write(following.encode() + b"\n")
            await standing.drain()
        standing.close()
