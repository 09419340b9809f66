"""PostgreSQL, by asyncpg: the only module that imports it. Connections, transactions, notifications, errors.

Statements come from `sql/`. Errors are translated here: `DatabaseUnavailable` (no connection, broken, timed out, or
refused for now), `SchemaOutdated` (schema missing), `StatementError` (with the SQLSTATE).

**A session never outlives its cause.** What an error means for the session it came on stands in
proxy/base/sqlstates.py: one
that PostgreSQL would go on refusing is closed, and so is every other idle one of the pool, which was made in the same
circumstances. A session of a standby is closed before anything is read on it: it would show what was, as if it were
(mirror-protocol: "primary only"). Where PostgreSQL turns sessions away as such (a changed password, too many of them),
the pool knocks again after a pause that grows, and says meanwhile what it was told.

Each session sets for itself what a role may have preset (proxy/base/session_settings.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from proxy.base import sqlstates
from proxy.base.errors import (
    DatabaseBusy,
    DatabaseError,
    DatabaseTimedOut,
    DatabaseUnavailable,
    SchemaOutdated,
    StatementError,
)
from proxy.base.session_settings import statements
from proxy.base.sqlstates import Reaction

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
_OUR_SCHEMA = re.compile(r'(?<![\w.])_crossfade(?:\.|")')
# seconds to clean a connection, or to have PostgreSQL cancel a statement that nobody waits for any more: on a line that
# is dead neither is ever answered, and whoever was cancelled must not hang there; the connection is cut then
_LETTING_GO = 1.0
_IDLE = 240.0  # seconds after which a connection is not taken for alive any more
_USES = 1000  # of a connection before the pool sees it again, which knows when it has served its time
_KNOCK = (0.1, 2.0)  # seconds until PostgreSQL is asked for a session again, where it turns sessions away
_FULL = 0.05  # seconds between looks for a connection, where PostgreSQL gives no further one
_STANDBY = "this PostgreSQL is a standby: CROSSFADE_DSN must lead to the primary"
_UNMIGRATED_HINT = "PostgreSQL has no schema `_crossfade` of this version: run `crossfade migrate`"


def translate(error: BaseException) -> DatabaseError | None:
    """The error of the tree for one of asyncpg's or the socket's; None where it is neither."""
    if isinstance(error, asyncpg.PostgresError):
        sqlstate = error.sqlstate or ""
        if sqlstate in _UNMIGRATED and _OUR_SCHEMA.search(str(error)):
            return SchemaOutdated(f"{_UNMIGRATED_HINT} ({error})", sqlstate)
        passes = sqlstates.passes(sqlstate) and not sqlstates.is_a_conflict(sqlstate)
        if passes or isinstance(error, asyncpg.InvalidCachedStatementError):
            return DatabaseUnavailable(_text(error, sqlstate), sqlstate)
        return StatementError(str(error), sqlstate)
    if isinstance(error, _FAILURES):
        # DataError (a value that the client library cannot encode) is an InterfaceError: the statement is refused
        if isinstance(error, asyncpg.DataError) or "invalid input for query argument" in str(error):
            return StatementError(str(error), "22000")
        return DatabaseUnavailable(str(error) or type(error).__name__)
    return None


def _text(error: asyncpg.PostgresError, sqlstate: str) -> str:
    meaning = sqlstates.meaning(sqlstate)
    first = str(error).partition("\n")[0]  # asyncpg adds a page of advice
    return f"{first} ({meaning})" if meaning else str(error)


def _outlived(error: BaseException) -> bool:
    """Whether the session that this came on must not be used again."""
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return True
    if isinstance(error, asyncpg.PostgresError):
        return sqlstates.reaction(error.sqlstate or "") is Reaction.RENEW
    return isinstance(error, asyncpg.InternalClientError | OSError) and not isinstance(error, TimeoutError)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _FAILURES as error:
        translated = translate(error)
        if translated is None:
            raise
        raise translated from error


class _Connection(asyncpg.Connection):
    """One that is cleaned to our settings, and not to those of the role. began: when, by the monotonic clock."""

    began = 0.0

    def get_reset_query(self) -> str:
        return str(super().get_reset_query()) + statements(self.get_server_version().major)


async def _begin(connection: Any, limit: float | None = None) -> None:
    """A new session: of the primary, with our settings. limit: seconds that PostgreSQL gives a statement."""
    connection.began = time.monotonic()
    standby = getattr(connection.get_settings(), "in_hot_standby", None)
    if standby is None:  # a pooler that does not hand it on
        standby = "on" if await connection.fetchval("SELECT pg_is_in_recovery()") else "off"
    if standby == "on":
        raise DatabaseUnavailable(_STANDBY, "25006")
    text = statements(connection.get_server_version().major)
    if limit is not None:
        text += f"SET statement_timeout = {int(limit * 1000)};"
    await connection.execute(text)


async def _as_it_is(_connection: object) -> None:
    """A pool whose users leave nothing behind need not clean its connections."""


class Session:
    """One connection, within a `with`. Values are parameters, always. outlived: it must not be used again."""

    def __init__(self, connection: Any, timeout: float | None) -> None:
        self._connection = connection
        self._timeout = timeout
        self.outlived = False

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            timed_out = DatabaseTimedOut(f"no answer within {self._timeout or 0:g} s")
            timed_out.of_statement = True
            raise timed_out from error
        except _FAILURES as error:
            self.outlived = self.outlived or _outlived(error)
            translated = translate(error)
            if translated is None:
                raise
            translated.of_statement = True
            raise translated from error

    async def fetch(self, sql: str, *values: object) -> list[Row]:
        with self._watched():
            rows: list[Row] = await self._connection.fetch(sql, *values, timeout=self._timeout)
            return rows

    async def fetchrow(self, sql: str, *values: object) -> Row | None:
        with self._watched():
            row: Row | None = await self._connection.fetchrow(sql, *values, timeout=self._timeout)
            return row

    async def fetchval(self, sql: str, *values: object) -> Any:
        with self._watched():
            return await self._connection.fetchval(sql, *values, timeout=self._timeout)

    async def execute(self, sql: str, *values: object) -> str:
        with self._watched():
            status: str = await self._connection.execute(sql, *values, timeout=self._timeout)
            return status

    async def copy(
        self, table: str, schema: str | None, columns: Sequence[str], records: Sequence[tuple[object, ...]]
    ) -> None:
        """Binary COPY into a table."""
        with self._watched():
            await self._connection.copy_records_to_table(table, schema_name=schema, columns=columns, records=records)

    @contextlib.asynccontextmanager
    async def transaction(self, *, isolation: str = "read_committed", readonly: bool = False) -> AsyncIterator[None]:
        transaction = self._connection.transaction(isolation=isolation, readonly=readonly)
        with self._watched():
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
        with self._watched():
            await transaction.commit()

    async def cursor(self, sql: str, *values: object, prefetch: int = 500) -> AsyncGenerator[Row, None]:
        """Rows one by one from a server-side cursor; only within a transaction."""
        with self._watched():
            async for row in self._connection.cursor(sql, *values, prefetch=prefetch):
                yield row


@dataclass(slots=True, eq=False)
class _Lent:
    """A connection of the pool's. uses: since the pool gave it; since: when it was last given back (monotonic)."""

    connection: Any
    uses: int = 0
    since: float = 0.0


def _usable(connection: Any, renewed: float) -> bool:
    """renewed: when sessions were last found to outlive their cause."""
    try:
        sound = not connection.is_closed() and not connection.is_in_transaction()
        return sound and not _of_standby(connection) and connection.began > renewed
    except asyncpg.InterfaceError:  # it broke, and the pool took it back at once
        return False


def _alive(connection: Any) -> bool:
    """Whether it is not cut. Of one that was, the pool's handle answers nothing any more."""
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:
        return False


def _of_standby(connection: Any) -> bool:
    return getattr(connection.get_settings(), "in_hot_standby", "off") == "on"


class _Door:
    """Whether PostgreSQL lets sessions in. After it turned one away, nobody knocks for a while that grows."""

    def __init__(self) -> None:
        self._pause = _KNOCK[0]
        self._until = 0.0
        self._said: DatabaseUnavailable | None = None

    def check(self) -> None:
        """Raises what was said last, where that was a moment ago."""
        if self._said is not None and time.monotonic() < self._until:
            raise DatabaseUnavailable(str(self._said), self._said.sqlstate)

    def turned_away(self, error: DatabaseUnavailable) -> None:
        self._said, self._until = error, time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _KNOCK[1])

    def opened(self) -> None:
        if self._said is not None:
            self._said, self._pause = None, _KNOCK[0]


class Database:
    """A pool. `timeout`: seconds a statement may take (None: for ever)."""

    def __init__(
        self,
        pool: Any,
        timeout: float | None,
        wait: float | None = None,
        *,
        keeps: bool = False,
        connect_timeout: float = 5.0,
        dsn: str = "",
    ) -> None:
        """keeps: connections that were used well go from hand to hand past the pool, whose ceremony costs as much as a
        small statement. They go back to it where somebody waits for one, or where anything went wrong.
        """
        self.dsn = dsn  # by which another process opens one of its own
        self._pool = pool
        self._timeout = timeout
        self._wait = wait
        self._keeps = keeps
        self._connect_timeout = connect_timeout
        self._door = _Door()
        self._renewed = -1.0
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
        reset: bool = True,
        wait: float | None = None,
        limit: float | None = None,
    ) -> Database:
        """Opens lazily where minimum is 0: an unreachable server is then found at the first statement.

        reset: whether a connection forgets settings and advisory locks when it is given back, which is a round trip.
        wait: seconds to wait for a connection where all are in use, DatabaseBusy then; None: for ever.
        limit: seconds after which PostgreSQL itself ends a statement, whoever has gone; without `reset` alone.
        """
        with _translated():
            pool = await asyncpg.create_pool(
                dsn,
                min_size=minimum,
                max_size=size,
                timeout=connect_timeout,
                reset=None if reset else _as_it_is,
                init=functools.partial(_begin, limit=limit),
                connection_class=_Connection,
                server_settings={"application_name": application},
            )
        return cls(pool, timeout, wait, keeps=not reset, connect_timeout=connect_timeout, dsn=dsn)

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
        session = Session(lent.connection, self._timeout)
        well = False
        try:
            yield session
            well = True
        finally:
            connection, lent.uses, lent.since = lent.connection, lent.uses + 1, time.monotonic()
            if session.outlived:
                self._renewed = time.monotonic()  # it, and whatever is older
            usable = _usable(connection, self._renewed)
            if usable and well and self._keeps and not self._asking and lent.uses < _USES:
                self._free.append(lent)
            else:
                await self._let_go(connection, cut=session.outlived)

    async def _lend(self) -> _Lent:
        """A connection: one that was used a moment ago, else the pool's."""
        while self._free:
            lent = self._free.pop()
            if _usable(lent.connection, self._renewed) and time.monotonic() - lent.since < _IDLE:
                return lent
            await self._let_go(lent.connection, cut=True)
        self._asking += 1
        try:
            return _Lent(await self._acquired())
        except ValueError as error:  # the DSN is looked at when the first connection is made
            raise DatabaseUnavailable(f"the DSN cannot be read: {error}") from error
        finally:
            self._asking -= 1

    async def _acquired(self) -> Any:
        """The pool's next connection. Raises DatabaseUnavailable; DatabaseBusy where all are in use for too long."""
        began = time.monotonic()
        while True:
            self._door.check()
            left = None if self._wait is None else max(0.001, began + self._wait - time.monotonic())
            try:
                with _translated():
                    connection = await self._pool.acquire(timeout=left)
            except DatabaseUnavailable as error:
                waited = time.monotonic() - began
                if isinstance(error.__cause__, TimeoutError):
                    if self._all_in_use:
                        raise DatabaseBusy(f"every connection is in use for {waited:.1f} s") from error
                    raise DatabaseUnavailable(f"no connection within {waited:.1f} s") from error
                # PostgreSQL has no further connection for us: those that we have come back, others end
                patience = self._connect_timeout if self._wait is None else self._wait
                if error.sqlstate == "53300" and waited < patience:
                    await asyncio.sleep(_FULL)
                    continue
                if sqlstates.turned_away(error.sqlstate) or error.sqlstate == "25006":
                    self._door.turned_away(error)
                raise
            self._door.opened()
            if _usable(connection, self._renewed):
                return connection
            await self._let_go(connection, cut=True)

    @property
    def _in_use(self) -> int:
        return int(self._pool.get_size() - self._pool.get_idle_size())

    @property
    def _all_in_use(self) -> bool:
        return self._in_use >= int(self._pool.get_max_size())

    async def _let_go(self, connection: Any, *, cut: bool = False) -> None:
        with contextlib.suppress(*_FAILURES):
            if cut:
                connection.terminate()
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
                yield lambda: _alive(connection)
            finally:
                if _alive(connection):
                    with contextlib.suppress(*_FAILURES):
                        await connection.remove_listener(channel, forward)
