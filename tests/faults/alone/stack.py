"""One PostgreSQL of its own and several proxies over it, as processes that can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from deploy.demo.postgres import EmbeddedPostgres
from proxy.base.errors import ConfigurationError
from tests.conftest import _create, migrated_template
from tests.faults.environment import Proxy

_STARTS: Final = 60.0  # seconds for a PostgreSQL that was killed to start again: its children may still end
_PAUSE: Final = 0.2


@dataclass
class AloneStack:
    """PostgreSQL and the proxies."""

    server: EmbeddedPostgres
    dsn: str
    proxies: list[Proxy]

    @property
    def urls(self) -> list[str]:
        return [proxy.url for proxy in self.proxies]

    async def execute(self, statement: str) -> None:
        """Run a statement directly."""
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def supervised(self) -> None:
        """Restart every proxy that has ended, as a supervisor does."""
        for proxy in self.proxies:
            if not proxy.running:
                await proxy.supervised()

    async def start_postgresql(self) -> None:
        """Start it again after a crash, as soon as the processes of the former one have ended."""
        limit = time.monotonic() + _STARTS
        while True:
            try:
                await asyncio.to_thread(self.server.start)
                return
            except ConfigurationError:
                if time.monotonic() > limit:
                    raise
                await asyncio.sleep(_PAUSE)

    async def kill_postgresql(self) -> None:
        """Kill the postmaster: its children notice that, and end."""
        os.kill(self.server.server.pid, signal.SIGKILL)
        await asyncio.to_thread(self.server.stop, "immediate")


@contextlib.asynccontextmanager
async def alone_stack(folder: Path, proxies: int = 2, **settings: str) -> AsyncIterator[AloneStack]:
    """Start everything. settings: of the proxies, as variables of the environment."""
    options = {"fsync": "off", "shared_buffers": "32MB", "wal_level": "replica"}
    with EmbeddedPostgres(options=options) as server:
        await migrated_template(server.dsn)
        dsn = await _create(server, "migrated")
        environment = {"CROSSFADE_MODE": "complete", "CROSSFADE_AUTHENTICATION": "false", **settings}
        made = [Proxy("http://127.0.0.1:1", dsn, folder, f"state{number}", **environment) for number in range(proxies)]
        stack = AloneStack(server, dsn, made)
        try:
            for proxy in made:
                proxy.forks = True
                await proxy.start()
            yield stack
        finally:
            for proxy in made:
                if proxy.running:
                    proxy.kill(signal.SIGKILL)
