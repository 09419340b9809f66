"""A sign that a process is there, which PostgreSQL takes away the moment its connection ends.

A lease alone makes others wait for its end when a worker is killed. So each process keeps a session with an advisory
lock whose number is noted with its chunks: where nobody has that lock any more, the chunk is free at once, on whatever
machine the process was. The lease stays for what no connection tells: a machine or a network that is gone without a
word, a pooler between worker and PostgreSQL. Taking a chunk from a worker that lives costs it a page, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets

import sql
from proxy.base.database import Database, Session
from proxy.base.errors import DatabaseError


class Presence:
    """Keeps one connection of the pool. `close()` when done."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stack: contextlib.AsyncExitStack | None = None
        self._session: Session | None = None
        self._holder = 0
        self._one_at_a_time = asyncio.Lock()

    async def holder(self) -> int:
        """The number of this process's lock; another one where its connection was cut. Raises DatabaseError."""
        async with self._one_at_a_time:
            return await self._held()

    async def _held(self) -> int:
        if self._session is not None:
            try:
                await self._session.fetchval(sql.server.ALIVE)
                return self._holder
            except DatabaseError:
                await self.close()
        self._stack = contextlib.AsyncExitStack()
        self._session = await self._stack.enter_async_context(self._database.session())
        try:
            while True:
                self._holder = secrets.randbelow((1 << 31) - 1) + 1
                if await self._session.fetchval(sql.backfill.HOLD, self._holder):
                    return self._holder
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Gives the connection, and with it the lock, back."""
        if self._stack is not None:
            stack, self._stack, self._session = self._stack, None, None
            await stack.aclose()
