"""One store as a server: a handler for the listener, and `python -m proxy.serve`, the development ArangoDB server.

`wire` over `stores.memory` is the ArangoDB that tests and the local stack use; `wire` over PostgreSQL is how services
are served when ArangoDB is gone (DESIGN section 4).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import uvloop

from proxy.errors import ArangoError, UpstreamError
from proxy.http.listener import Listener
from proxy.stores.base import Store
from proxy.stores.memory import MemoryStore
from proxy.stores.memory import snapshot as snapshots
from proxy.wire.decode import decode_parts
from proxy.wire.encode import encode, error_outcome
from proxy.wire.message import Request, Response


class StoreHandler:
    """A `Handler`: decode, execute, encode. Whatever the store cannot do is an answer in ArangoDB's error shape.

    Credentials are accepted as they come; who may speak to this server is decided by where it listens.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def __call__(self, request: Request) -> Response:
        body = request.body
        if not isinstance(body, bytes):
            body = b"".join([part async for part in body])
        operation = decode_parts(request.method, request.target, request.headers, body)
        try:
            outcome = await self._store.execute(operation)
        except ArangoError as error:
            outcome = error_outcome(error)
        except UpstreamError as error:
            outcome = error_outcome(ArangoError(503, str(error)))
        return encode(outcome)


class DevelopmentServer:
    """A development ArangoDB on loopback: `await start()`, `.url`, `await close()`. port 0 takes a free one."""

    def __init__(self, store: MemoryStore | None = None, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.store = store or MemoryStore()
        self._listener = Listener(StoreHandler(self.store), host=host, port=port)

    @property
    def url(self) -> str:
        return f"http://{self._listener.host}:{self._listener.port}"

    async def start(self) -> None:
        await self._listener.start()

    async def close(self, grace: float = 2.0) -> None:
        """Lets requests under way end, for `grace` seconds."""
        await self._listener.close(grace)

    async def __aenter__(self) -> DevelopmentServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def run(host: str, port: int, directory: Path | None) -> None:
    """Serves until SIGTERM, SIGINT, or the parent goes; with a directory, from and to a snapshot there."""
    store = MemoryStore()
    if directory is not None:
        snapshots.load(store.server, directory)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with DevelopmentServer(store, host=host, port=port) as server:
        sys.stdout.write(f"development ArangoDB on {server.url}\n")
        sys.stdout.flush()
        watcher = asyncio.create_task(_parent_gone(stop))
        try:
            await stop.wait()
        finally:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher
    if directory is not None:
        snapshots.save(store.server, directory)


async def _parent_gone(stop: asyncio.Event) -> None:
    """A process without its parent belongs to another one: that is when this one ends."""
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(0.5)
    stop.set()


def main(arguments: list[str] | None = None) -> None:
    """`python -m proxy.serve --port N`."""
    parser = argparse.ArgumentParser(
        prog="python -m proxy.serve", description="A development ArangoDB server in memory."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8529, help="0 takes a free one; the URL is printed")
    parser.add_argument(
        "--snapshot", type=Path, default=None, help="a directory to load from and to save to at the end"
    )
    given = parser.parse_args(arguments)
    uvloop.run(run(given.host, given.port, given.snapshot))


if __name__ == "__main__":
    main()
