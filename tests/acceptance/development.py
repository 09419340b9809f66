"""A development server in a thread, for blocking clients."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from proxy.devserver.serve import DevelopmentServer


@contextmanager
def development_server(root_password: str | None = None, secret: bytes | None = None) -> Iterator[str]:
    """Return the URL of a new development server with its own loop and thread.

    With a password it checks credentials.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="development server")
    thread.start()
    server = DevelopmentServer(root_password=root_password, secret=secret)
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
        yield server.url
    finally:
        asyncio.run_coroutine_threadsafe(server.close(0.1), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
