"""An advisory lock that shows that a process is alive: PostgreSQL releases it when the process's connection ends.

With leases alone, the other workers would have to wait for the lease of a killed worker to expire. So each process
keeps a session with an advisory lock, whose number is stored with its chunks: if no session holds that lock, the chunk
is free immediately. The lease is still needed if the connection does not end with the process: after a failure of the
machine or network, or with a pooler between worker and PostgreSQL. Claiming a chunk of a live worker by mistake costs
that worker one page, nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets

import sql
from proxy.base.database import Database, Session
from proxy.base.errors import DatabaseError


class LivenessLock:
    """Holds the lock on its own connection from the pool. `close()` when done."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stack: contextlib.AsyncExitStack | None = None
        self._session: Session | None = None
        self._holder = 0
        self._exclusive = asyncio.Lock()

    async def holder(self) -> int:
        """Return the number of this process's lock; a new one if its connection was lost. Raise DatabaseError."""
        async with self._exclusive:
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
        """Return the connection to the pool, which releases the lock."""
        if self._stack is not None:
            stack, self._stack, self._session = self._stack, None, None
            await stack.aclose()
