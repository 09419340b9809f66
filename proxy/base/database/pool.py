"""A pool of connections to PostgreSQL, and the shortcuts for one statement."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, Self, TypeVar

import asyncpg

from proxy.base import sqlstates
from proxy.base.database.connect_backoff import ConnectBackoff
from proxy.base.database.failures import FAILURES, translated
from proxy.base.database.session import RELEASE_TIMEOUT, Connection, OurConnection, Session, is_usable, prepare_session
from proxy.base.errors import DatabaseBusy, DatabaseUnavailable
from sql.statement import Single, Statement

T = TypeVar("T")
_IDLE: Final = 240.0  # seconds after which a connection is no longer assumed to be alive
_USES: Final = 1000  # of a connection before the pool sees it again, which knows when it has served its time
_FULL: Final = 0.05  # seconds between attempts to get a connection if PostgreSQL gives no further one


async def _without_reset(_connection: object) -> None:
    """Leave a connection as it is: the users of such a pool change nothing on it."""


@dataclass(slots=True, eq=False)
class _Lent:
    """A connection of the pool's. uses: since the pool gave it; since: when it was last given back (monotonic)."""

    connection: Connection
    uses: int = 0
    since: float = 0.0


class Database:
    """A pool of connections. timeout: seconds a statement may take (None: without limit)."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        timeout: float | None,
        wait: float | None = None,
        *,
        keeps: bool = False,
        connect_timeout: float = 5.0,
        dsn: str = "",
    ) -> None:
        """dsn: with it another process opens its own pool.

        keeps: a connection is kept for the next caller instead of being given back: asyncpg's pool does so much at each
        acquire and release (a proxy object, a future, timers) that it costs as much as a small statement. Connections
        go back to the pool while a caller waits for one, and after anything went wrong.
        """
        self.dsn = dsn
        self._pool = pool
        self._timeout = timeout
        self._wait = wait
        self._keeps = keeps
        self._connect_timeout = connect_timeout
        self._backoff = ConnectBackoff()
        self._renewed = -1.0
        self._free: list[_Lent] = []  # the most recently used last
        self._asking = 0

    @classmethod
    async def open(
        cls,
        dsn: str,
        *,
        size: int = 4,
        minimum: int = 0,
        timeout: float | None = 30.0,
        connect_timeout: float = 5.0,
        application: str = "crossfade",
        reset: bool = True,
        wait: float | None = None,
        limit: float | None = None,
    ) -> Self:
        """Open a pool, lazily if minimum is 0: the first statement then finds out whether the server can be reached.

        reset: a connection forgets settings and advisory locks when it is given back, which is a round trip.
        wait: seconds to wait for a connection while all are in use, then DatabaseBusy; None: without limit.
        limit: seconds after which PostgreSQL itself ends a statement, even if the client is gone; only without `reset`.
        """
        with translated():
            pool = await asyncpg.create_pool(
                dsn,
                min_size=minimum,
                max_size=size,
                timeout=connect_timeout,
                reset=None if reset else _without_reset,
                init=functools.partial(prepare_session, limit=limit),
                connection_class=OurConnection,
                server_settings={"application_name": application},
            )
        return cls(pool, timeout, wait, keeps=not reset, connect_timeout=connect_timeout, dsn=dsn)

    async def close(self) -> None:
        """Wait a moment for statements under way, then cut the connections."""
        self._keeps = False
        while self._free:
            await self._let_go(self._free.pop().connection)
        try:
            await asyncio.wait_for(self._pool.close(), 5)
        except FAILURES:
            self._pool.terminate()

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Yield a session on a connection that no one else has meanwhile."""
        lent = await self._lend()
        session = Session(lent.connection, self._timeout)
        well = False
        try:
            yield session
            well = True
        finally:
            connection, lent.uses, lent.since = lent.connection, lent.uses + 1, time.monotonic()
            if session.outlived:
                self._renewed = time.monotonic()  # this session, and every older one
            usable = is_usable(connection, self._renewed)
            if usable and well and self._keeps and not self._asking and lent.uses < _USES:
                self._free.append(lent)
            else:
                await self._let_go(connection, cut=session.outlived)

    async def _lend(self) -> _Lent:
        """Return a connection: one that was used a moment ago, else the pool's."""
        while self._free:
            lent = self._free.pop()
            if is_usable(lent.connection, self._renewed) and time.monotonic() - lent.since < _IDLE:
                return lent
            await self._let_go(lent.connection, cut=True)
        self._asking += 1
        try:
            return _Lent(await self._acquired())
        except ValueError as error:  # the DSN is parsed for the first connection
            raise DatabaseUnavailable(f"the DSN cannot be read: {error}") from error
        finally:
            self._asking -= 1

    async def _acquired(self) -> Connection:
        """Return the pool's next connection. Raise DatabaseUnavailable; DatabaseBusy if all are in use for too long."""
        began = time.monotonic()
        full: DatabaseUnavailable | None = None  # the last refusal of a further connection
        while True:
            self._backoff.check()
            left = None if self._wait is None else max(0.001, began + self._wait - time.monotonic())
            try:
                with translated():
                    connection = await self._pool.acquire(timeout=left)
            except DatabaseUnavailable as error:
                waited = time.monotonic() - began
                if isinstance(error.__cause__, TimeoutError):
                    if self._all_in_use:
                        raise DatabaseBusy(f"every connection is in use for {waited:.1f} s") from error
                    if full is not None:
                        raise full from error
                    raise DatabaseUnavailable(f"no connection within {waited:.1f} s") from error
                # PostgreSQL gives no further connection: one of ours may be released, or another client may end
                limit = self._connect_timeout if self._wait is None else self._wait
                if error.sqlstate == sqlstates.TOO_MANY_CONNECTIONS and waited < limit:
                    full = error
                    await asyncio.sleep(_FULL)
                    continue
                if sqlstates.refuses_sessions(error.sqlstate) or error.sqlstate == "25006":
                    self._backoff.refused(error)
                raise
            self._backoff.connected()
            if is_usable(connection, self._renewed):
                return connection
            await self._let_go(connection, cut=True)

    @property
    def _in_use(self) -> int:
        return self._pool.get_size() - self._pool.get_idle_size()

    @property
    def _all_in_use(self) -> bool:
        return self._in_use >= self._pool.get_max_size()

    async def _let_go(self, connection: Connection, *, cut: bool = False) -> None:
        with contextlib.suppress(*FAILURES):
            if cut:
                connection.terminate()
        with contextlib.suppress(*FAILURES):
            await self._pool.release(connection, timeout=RELEASE_TIMEOUT)

    async def fetch(self, statement: Statement[T], *values: object) -> list[T]:
        """Return the rows."""
        async with self.session() as session:
            return await session.fetch(statement, *values)

    async def fetchrow(self, statement: Statement[T], *values: object) -> T | None:
        """Return the first row; None if there is none."""
        async with self.session() as session:
            return await session.fetchrow(statement, *values)

    async def fetchval(self, statement: Single[T], *values: object) -> T:
        """Return the only row. Raise StatementError if there is none."""
        async with self.session() as session:
            return await session.fetchval(statement, *values)

    async def execute(self, statement: Statement[object], *values: object) -> None:
        """Run a statement whose rows are not needed."""
        async with self.session() as session:
            await session.execute(statement, *values)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """Yield a session within one READ COMMITTED transaction."""
        async with self.session() as session, session.transaction():
            yield session

    @contextlib.asynccontextmanager
    async def listening(self, channel: str, heard: Callable[[str], None]) -> AsyncIterator[Callable[[], bool]]:
        """As `Session.listening`, on a dedicated connection."""
        async with self.session() as session, session.listening(channel, heard) as connected:
            yield connected
