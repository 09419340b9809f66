"""PostgreSQL, by asyncpg: the only module that imports it. Connections, transactions, notifications, errors.

Statements come from `sql/`. Errors are translated here: `DatabaseUnavailable` (no connection, broken, timed out),
`DatabaseUnmigrated` (schema missing), `DatabaseRefused` (with the SQLSTATE).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from proxy.errors import DatabaseError, DatabaseRefused, DatabaseUnavailable, DatabaseUnmigrated

Row = asyncpg.Record

# undefined_table, invalid_schema_name, undefined_function, undefined_column: the schema is not the one this code knows
_UNMIGRATED = {"42P01", "3F000", "42883", "42703"}
# InternalClientError is what asyncpg raises on a connection that the server cut while nothing was asked of it
_FAILURES = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
    asyncio.IncompleteReadError,
)
# the schema itself or something in it, and no table of documents whose database or collection is called so
_OUR_SCHEMA = re.compile(r'(?<![\w.])crossfade(?:\.|")')
# seconds to clean a connection, or to have PostgreSQL cancel a statement that nobody waits for any more: on a line that
# is dead neither is ever answered, and whoever was cancelled must not hang there; the connection is cut then
_LETTING_GO = 1.0
_IDLE = 240.0  # seconds after which a connection is not taken for alive any more
_USES = 1000  # of a connection before the pool sees it again, which knows when it has served its time
_UNMIGRATED_HINT = "PostgreSQL has no schema `crossfade` of this version: run `crossfade migrate`"


def translate(error: BaseException) -> DatabaseError | None:
    """The error of the tree for one of asyncpg's or the socket's; None where it is neither."""
    if isinstance(error, asyncpg.PostgresError):
        sqlstate = error.sqlstate or ""
        if sqlstate in _UNMIGRATED and _OUR_SCHEMA.search(str(error)):
            return DatabaseUnmigrated(f"{_UNMIGRATED_HINT} ({error})")
        # 08 connection, 57P shutdown, 53 out of resources, 58/XX system trouble, 55P03 lock, 57014 cancelled by a limit
        if sqlstate[:2] in ("08", "53", "58", "XX") or sqlstate[:3] == "57P" or sqlstate in ("55P03", "57014"):
            return DatabaseUnavailable(str(error))
        return DatabaseRefused(str(error), sqlstate)
    if isinstance(error, _FAILURES):
        # DataError (a value that the client library cannot encode) is an InterfaceError: the statement is refused
        if isinstance(error, asyncpg.DataError) or "invalid input for query argument" in str(error):
            return DatabaseRefused(str(error), "22000")
        return DatabaseUnavailable(str(error) or type(error).__name__)
    return None


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _FAILURES as error:
        translated = translate(error)
        if translated is None:
            raise
        raise translated from error


async def _as_it_is(_connection: object) -> None:
    """A pool whose users leave nothing behind need not clean its connections."""


class Session:
    """One connection, within a `with`. Values are parameters, always."""

    def __init__(self, connection: Any, timeout: float | None) -> None:
        self._connection = connection
        self._timeout = timeout

    async def fetch(self, sql: str, *values: object) -> list[Row]:
        with _translated():
            rows: list[Row] = await self._connection.fetch(sql, *values, timeout=self._timeout)
            return rows

    async def fetchrow(self, sql: str, *values: object) -> Row | None:
        with _translated():
            row: Row | None = await self._connection.fetchrow(sql, *values, timeout=self._timeout)
            return row

    async def fetchval(self, sql: str, *values: object) -> Any:
        with _translated():
            return await self._connection.fetchval(sql, *values, timeout=self._timeout)

    async def execute(self, sql: str, *values: object) -> str:
        with _translated():
            status: str = await self._connection.execute(sql, *values, timeout=self._timeout)
            return status

    async def copy(
        self, table: str, schema: str | None, columns: Sequence[str], records: Sequence[tuple[object, ...]]
    ) -> None:
        """Binary COPY into a table."""
        with _translated():
            await self._connection.copy_records_to_table(table, schema_name=schema, columns=columns, records=records)

    @contextlib.asynccontextmanager
    async def transaction(self, *, isolation: str = "read_committed", readonly: bool = False) -> AsyncIterator[None]:
        transaction = self._connection.transaction(isolation=isolation, readonly=readonly)
        with _translated():
            await transaction.start()
        try:
            yield
        except BaseException:
            try:
                async with asyncio.timeout(_LETTING_GO):
                    await transaction.rollback()
            except _FAILURES:
                # PostgreSQL rolls back; nobody gets a connection with a transaction in it (one that is gone has none)
                with contextlib.suppress(*_FAILURES):
                    self._connection.terminate()
            raise
        with _translated():
            await transaction.commit()

    async def cursor(self, sql: str, *values: object, prefetch: int = 500) -> AsyncGenerator[Row, None]:
        """Rows one by one from a server-side cursor; only within a transaction."""
        with _translated():
            async for row in self._connection.cursor(sql, *values, prefetch=prefetch):
                yield row


@dataclass(slots=True, eq=False)
class _Lent:
    """A connection of the pool's. uses: since the pool gave it; since: when it was last given back (monotonic)."""

    connection: Any
    uses: int = 0
    since: float = 0.0


def _usable(connection: Any) -> bool:
    try:
        return not connection.is_closed() and not connection.is_in_transaction()
    except asyncpg.InterfaceError:  # it broke, and the pool took it back at once
        return False


class Database:
    """A pool. `timeout`: seconds a statement may take (None: for ever)."""

    def __init__(self, pool: Any, timeout: float | None, wait: float | None = None, *, keeps: bool = False) -> None:
        """keeps: connections that were used well go from hand to hand past the pool, whose ceremony costs as much as a
        small statement. They go back to it where somebody waits for one, or where anything went wrong.
        """
        self._pool = pool
        self._timeout = timeout
        self._wait = wait
        self._keeps = keeps
        self._free: list[_Lent] = []  # the last used last
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
        settings: dict[str, str] | None = None,
        reset: bool = True,
        wait: float | None = None,
    ) -> Database:
        """Opens lazily where minimum is 0: an unreachable server is then found at the first statement.

        reset: whether a connection forgets settings and advisory locks when it is given back, which is a round trip.
        wait: seconds to wait for a connection where all are in use, DatabaseUnavailable then; None: for ever.
        """
        with _translated():
            pool = await asyncpg.create_pool(
                dsn,
                min_size=minimum,
                max_size=size,
                timeout=connect_timeout,
                reset=None if reset else _as_it_is,
                server_settings={"application_name": application, "jit": "off", **(settings or {})},
            )
        return cls(pool, timeout, wait, keeps=not reset)

    async def close(self) -> None:
        """Waits a moment for statements under way, then cuts."""
        self._keeps = False
        while self._free:
            await self._let_go(self._free.pop().connection)
        try:
            await asyncio.wait_for(self._pool.close(), 5)
        except _FAILURES:
            self._pool.terminate()

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        lent = await self._lend()
        well = False
        try:
            yield Session(lent.connection, self._timeout)
            well = True
        finally:
            connection, lent.uses, lent.since = lent.connection, lent.uses + 1, time.monotonic()
            reusable = well and self._keeps and not self._asking and lent.uses < _USES
            if reusable and _usable(connection):
                self._free.append(lent)
            else:
                await self._let_go(connection)

    async def _lend(self) -> _Lent:
        """A connection: one that was used a moment ago, else the pool's."""
        while self._free:
            lent = self._free.pop()
            if _usable(lent.connection):
                if time.monotonic() - lent.since < _IDLE:
                    return lent
                lent.connection.terminate()
            await self._let_go(lent.connection)
        self._asking += 1
        try:
            with _translated():
                return _Lent(await self._pool.acquire(timeout=self._wait))
        except ValueError as error:  # the DSN is looked at when the first connection is made
            raise DatabaseUnavailable(f"the DSN cannot be read: {error}") from error
        finally:
            self._asking -= 1

    async def _let_go(self, connection: Any) -> None:
        with contextlib.suppress(*_FAILURES):
            await self._pool.release(connection, timeout=_LETTING_GO)

    async def fetch(self, sql: str, *values: object) -> list[Row]:
        async with self.session() as session:
            return await session.fetch(sql, *values)

    async def fetchrow(self, sql: str, *values: object) -> Row | None:
        async with self.session() as session:
            return await session.fetchrow(sql, *values)

    async def fetchval(self, sql: str, *values: object) -> Any:
        async with self.session() as session:
            return await session.fetchval(sql, *values)

    async def execute(self, sql: str, *values: object) -> str:
        async with self.session() as session:
            return await session.execute(sql, *values)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """A session within one READ COMMITTED transaction."""
        async with self.session() as session, session.transaction():
            yield session

    @contextlib.asynccontextmanager
    async def listening(self, channel: str, heard: Callable[[str], None]) -> AsyncIterator[Callable[[], bool]]:
        """LISTEN on a connection of its own; yields a function that says whether the connection is still there."""
        async with self.session() as session:
            connection = session._connection

            def forward(_connection: object, _pid: int, _channel: str, payload: str) -> None:
                heard(payload)

            with _translated():
                await connection.add_listener(channel, forward)
            try:
                yield lambda: not connection.is_closed()
            finally:
                if not connection.is_closed():
                    with contextlib.suppress(*_FAILURES):
                        await connection.remove_listener(channel, forward)
