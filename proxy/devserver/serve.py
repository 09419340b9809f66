"""A store as a server: a handler for the listener, and `python -m proxy.devserver.serve`, the development ArangoDB.

`wire` over `devserver.store` is the ArangoDB that tests and the local stack use; `wire` over PostgreSQL serves reads
when ArangoDB is gone (DESIGN section 4).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop

from proxy.base.errors import ArangoError, UpstreamError
from proxy.base.supervise import cancelled
from proxy.devserver.store import MemoryStore
from proxy.devserver.store import snapshot as snapshots
from proxy.gateway.operation_reader import OperationReader
from proxy.gateway.velocypack_answers import packed
from proxy.http import HttpLimits, Listener
from proxy.model.message import Request, Response
from proxy.stores.base import Store
from proxy.wire.encode import encode, error_outcome

TTL_INTERVAL: Final = 30.0  # seconds, as in ArangoDB
BODY: Final = 256 << 20  # bytes: everything is in memory here; ArangoDB's own limit is four times as high


class StoreHandler:
    """A `Handler`: decode, execute, encode. What the store cannot do is answered in ArangoDB's error shape.

    The store authenticates and authorizes. reader: reads requests; by default all of their bodies into memory.
    """

    def __init__(self, store: Store, reader: OperationReader | None = None) -> None:
        self._store = store
        self._reader = reader or OperationReader(BODY)

    async def __call__(self, request: Request) -> Response:
        try:
            room = self._reader.room(request)
            if room is None:
                outcome = await self._store.execute(await self._reader.read(request))
            else:
                async with room:
                    outcome = await self._store.execute(await self._reader.read(request))
        except ArangoError as error:
            outcome = error_outcome(error)
        except UpstreamError as error:
            outcome = error_outcome(ArangoError(503, str(error)))
        response = encode(outcome)
        return await packed(response) if b"velocypack" in (request.header(b"accept") or b"") else response


class DevelopmentServer:
    """A development ArangoDB on loopback: `await start()`, `.url`, `await close()`. port 0 takes a free one.

    root_password: enforces authentication and rights; None lets every request do everything. secret: signs tokens; None
    generates one. ttl_interval: seconds between two checks for expired documents; 0: never.
    """

    def __init__(
        self,
        store: MemoryStore | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        root_password: str | None = None,
        secret: bytes | None = None,
        ttl_interval: float = TTL_INTERVAL,
    ) -> None:
        self.store = store or MemoryStore()
        if root_password is not None:
            self.store.server.accounts.enforce(root_password, secret)
        self._listener = Listener(StoreHandler(self.store), host=host, port=port, limits=HttpLimits(body=BODY))
        self._ttl_interval = ttl_interval
        self._expiry_task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://{self._listener.host}:{self._listener.port}"

    async def start(self) -> None:
        await self._listener.start()
        if self._ttl_interval > 0:
            self._expiry_task = asyncio.create_task(self._remove_expired(), name="ttl")

    async def close(self, grace: float = 2.0) -> None:
        """Stop accepting, and let requests in progress end for `grace` seconds."""
        if self._expiry_task is not None:
            await cancelled(self._expiry_task)
            self._expiry_task = None
        await self._listener.close(grace)
        await self.store.close()

    async def _remove_expired(self) -> None:
        while True:
            await asyncio.sleep(self._ttl_interval)
            self.store.expire()

    async def __aenter__(self) -> DevelopmentServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The options of `python -m proxy.devserver.serve`. snapshot: a folder to load from and to save to."""

    host: str = "127.0.0.1"
    port: int = 8529
    snapshot: Path | None = None
    root_password: str | None = None
    ttl_interval: float = TTL_INTERVAL


async def run(options: ServerOptions) -> None:
    """Serve until SIGTERM, SIGINT, or the end of the parent process.

    With a snapshot folder: load it first, and save to it at the end and on each SIGUSR1.
    """
    store = MemoryStore()
    directory = options.snapshot
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if directory is not None:
        snapshots.load(store.server, directory)
        loop.add_signal_handler(signal.SIGUSR1, snapshots.save, store.server, directory)
    async with DevelopmentServer(
        store,
        host=options.host,
        port=options.port,
        root_password=options.root_password,
        ttl_interval=options.ttl_interval,
    ) as server:
        sys.stdout.write(f"development ArangoDB on {server.url}\n")
        sys.stdout.flush()
        watcher = asyncio.create_task(_parent_gone(stop))
        try:
            await stop.wait()
        finally:
            await cancelled(watcher)
    if directory is not None:
        snapshots.save(store.server, directory)


async def _parent_gone(stop: asyncio.Event) -> None:
    """Set `stop` when the parent process has ended: an orphan gets another parent."""
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(0.5)
    stop.set()


def main(arguments: list[str] | None = None) -> None:
    """`python -m proxy.devserver.serve --port N`."""
    uvloop.run(run(options_of(arguments)))


def options_of(arguments: list[str] | None) -> ServerOptions:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m proxy.devserver.serve",
        description="A development ArangoDB server in memory: the HTTP API of a 3.12 single server, AQL included.",
        epilog="Not supported (501, with the name of the feature): JavaScript (transactions, Foxx, tasks, functions), "
        "views and ArangoSearch, geo and fulltext queries. The server ends with its parent process.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback)")
    parser.add_argument(
        "--port", type=int, default=8529, help="0 selects a free port; the URL is printed (default: 8529)"
    )
    parser.add_argument(
        "--snapshot",
        type=Path,
        default=None,
        metavar="DIR",
        help="folder from which data is loaded at the start, and to which it is saved at the end and on SIGUSR1",
    )
    parser.add_argument(
        "--auth",
        action="store_true",
        help="check passwords, tokens and users' rights (default: every request may do everything)",
    )
    parser.add_argument(
        "--root-password", default=None, metavar="TEXT", help="password of the user root, with --auth (default: empty)"
    )
    parser.add_argument(
        "--ttl-interval",
        type=float,
        default=TTL_INTERVAL,
        metavar="SECONDS",
        help=f"seconds between two removals of expired documents (default {TTL_INTERVAL:g}; 0: never)",
    )
    given = parser.parse_args(arguments)
    if given.root_password is not None and not given.auth:
        parser.error("--root-password needs --auth")
    password = (given.root_password or "") if given.auth else None
    return ServerOptions(given.host, given.port, given.snapshot, password, given.ttl_interval)


if __name__ == "__main__":
    main()
