"""One connection to PostgreSQL: statements, transactions, cursors, COPY, notifications."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import BinaryIO, Final, Literal, TypeAlias, TypeVar, cast

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from proxy.base.database.failures import FAILURES, ends_session, translate, translated
from proxy.base.errors import CommitOutcomeUnknown, DatabaseTimedOut, DatabaseUnavailable, StatementError
from proxy.base.session_settings import statements
from sql.statement import Single, Statement, names_of

T = TypeVar("T")
Isolation: TypeAlias = Literal["read_committed", "repeatable_read", "serializable", "read_uncommitted"]
# seconds to clean a connection, or to have PostgreSQL cancel a statement whose caller is gone: on a dead line neither
# is ever answered, and a cancelled task must not wait there; then the connection is cut
RELEASE_TIMEOUT: Final = 1.0
_NO_DATA: Final = "02000"
_FIRST: Final = 50  # rows of a cursor's first round trip, which shows how large they are
_STANDBY: Final = "this PostgreSQL is a standby: CROSSFADE_DSN must lead to the primary"


# what the pool lends: it passes calls on to a connection of class OurConnection
Connection = PoolConnectionProxy


class OurConnection(asyncpg.Connection):
    """A connection that is reset to our settings and not to those of the role. began: when, by the monotonic clock."""

    began = 0.0

    def get_reset_query(self) -> str:
        return str(super().get_reset_query()) + statements(self.get_server_version().major)


async def prepare_session(connection: asyncpg.Connection | Connection, limit: float | None = None) -> None:
    """Give a new session our settings. Raise DatabaseUnavailable if it is one of a standby.

    limit: seconds after which PostgreSQL ends a statement.
    """
    cast(OurConnection, connection).began = time.monotonic()
    standby = getattr(connection.get_settings(), "in_hot_standby", None)
    if standby is None:  # a pooler that does not pass it on
        standby = "on" if await connection.fetchval("SELECT pg_is_in_recovery()") else "off"
    if standby == "on":
        raise DatabaseUnavailable(_STANDBY, "25006")
    text = statements(connection.get_server_version().major)
    if limit is not None:
        text += f"SET statement_timeout = {int(limit * 1000)};"
    await connection.execute(text)


def is_usable(connection: Connection, renewed: float) -> bool:
    """Return True if the next statement may run on it. renewed: when sessions were last found to be outlived."""
    try:
        sound = not connection.is_closed() and not connection.is_in_transaction()
        began = cast(OurConnection, connection).began
        standby = getattr(connection.get_settings(), "in_hot_standby", "off") == "on"
    except asyncpg.InterfaceError:  # it broke, and the pool took it back immediately
        return False
    return sound and not standby and began > renewed


class Session:
    """One connection, within a `with`. Values are parameters, always. outlived: it must not be used again."""

    def __init__(self, connection: Connection, timeout: float | None) -> None:
        self._connection = connection
        self._timeout = timeout
        self.outlived = False

    async def _limited(self, sent: Awaitable[None]) -> None:
        """Wait for a statement that asyncpg itself sends, for which it has no limit. Raise TimeoutError.

        The connection is cut then: the statement is under way, and no one may get one with a transaction in it.
        """
        try:
            async with asyncio.timeout(self._timeout):
                await sent
        except TimeoutError:
            self._cut()
            raise

    def _cut(self) -> None:
        with contextlib.suppress(*FAILURES):
            self._connection.terminate()

    @property
    def ended(self) -> bool:
        """Return True if the connection has ended."""
        try:
            return self._connection.is_closed()
        except asyncpg.InterfaceError:  # it broke, and the pool took it back immediately
            return True

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            timed_out = DatabaseTimedOut(f"no answer within {self._timeout or 0:g} s")
            timed_out.of_statement = True
            raise timed_out from error
        except FAILURES as error:
            self.outlived = self.outlived or ends_session(error)
            ours = translate(error)
            if ours is None:
                raise
            ours.of_statement = True
            raise ours from error

    async def fetch(self, statement: Statement[T], *values: object) -> list[T]:
        """Return the rows."""
        with self._watched():
            records = await self._connection.fetch(statement.text, *values, timeout=self._timeout)
        return statement.rows(records)

    async def fetchrow(self, statement: Statement[T], *values: object) -> T | None:
        """Return the first row; None if there is none."""
        with self._watched():
            record = await self._connection.fetchrow(statement.text, *values, timeout=self._timeout)
        return None if record is None else statement.make(record)

    async def fetchval(self, statement: Single[T], *values: object) -> T:
        """Return the only row. Raise StatementError if there is none."""
        with self._watched():
            record = await self._connection.fetchrow(statement.text, *values, timeout=self._timeout)
        if record is None:
            raise StatementError(f"{statement.topic}.{statement.name} gave no row", _NO_DATA)
        return statement.make(record)

    async def execute(self, statement: Statement[object], *values: object) -> None:
        """Run a statement whose rows are not needed."""
        with self._watched():
            await self._connection.execute(statement.text, *values, timeout=self._timeout)

    async def affected(self, statement: Statement[object], *values: object) -> int:
        """Run a statement that changes rows without returning any. Return their number."""
        with self._watched():
            status = await self._connection.execute(statement.text, *values, timeout=self._timeout)
        return int(status.rpartition(" ")[2])

    async def copy(self, relation: str, columns: Sequence[str], rows: bytes) -> int:
        """Copy rows into a table. Return their number. rows: in the binary format of COPY."""
        schema, table = names_of(relation)
        with self._watched():
            status = await self._connection.copy_to_table(
                table,
                schema_name=schema,
                columns=columns,
                source=cast(BinaryIO, memoryview(rows)),  # the stubs lack buffers; bytes would be the name of a file
                format="binary",
                timeout=self._timeout,
            )
        return int(status.rpartition(" ")[2])

    async def run_script(self, text: str) -> None:
        """Run several statements without parameters, in one transaction if none is open: a migration."""
        with self._watched():
            await self._connection.execute(text, timeout=self._timeout)

    @contextlib.asynccontextmanager
    async def transaction(
        self, *, isolation: Isolation = "read_committed", readonly: bool = False
    ) -> AsyncIterator[None]:
        """Run the body in a transaction, or in a savepoint of the one that is open, whose isolation it has.

        Raise CommitOutcomeUnknown if the answer to the commit is lost.
        """
        with self._watched():
            inner = self._connection.is_in_transaction()
            transaction = self._connection.transaction(isolation=None if inner else isolation, readonly=readonly)
            await self._limited(transaction.start())
        try:
            yield
        except BaseException:
            try:
                async with asyncio.timeout(RELEASE_TIMEOUT):
                    await transaction.rollback()
            except FAILURES:
                # PostgreSQL rolls back when the connection ends: no one may get a connection with a transaction in it
                self._cut()
            raise
        if self.ended:
            lost = DatabaseUnavailable("PostgreSQL ended the connection, and the commit was not sent")
            lost.of_statement = True
            raise lost
        try:
            with self._watched():
                await self._limited(transaction.commit())
        except DatabaseUnavailable as error:
            if inner:
                raise
            unknown = CommitOutcomeUnknown(f"the answer to a commit was lost ({error})", error.sqlstate)
            unknown.of_statement = True
            raise unknown from error

    async def cursor(
        self, statement: Statement[T], *values: object, prefetch: int = 500, most: int | None = None
    ) -> AsyncGenerator[T, None]:
        """Yield rows one by one from a server-side cursor; only within a transaction.

        prefetch: rows of one round trip. most: bytes of text, nearly, after which one has fewer rows.
        """
        if most is not None:
            with self._watched():
                opened = await self._connection.cursor(statement.text, *values, timeout=self._timeout)
                number = min(prefetch, _FIRST)
                while records := await opened.fetch(number, timeout=self._timeout):
                    size = sum([len(cell) for record in records for cell in record if cell.__class__ is str])
                    for record in records:
                        yield statement.make(record)
                    if len(records) < number:
                        return
                    number = max(1, min(prefetch, most * len(records) // max(1, size)))
            return
        with self._watched():
            async for record in self._connection.cursor(
                statement.text, *values, prefetch=prefetch, timeout=self._timeout
            ):
                yield statement.make(record)

    @contextlib.asynccontextmanager
    async def listening(self, channel: str, heard: Callable[[str], None]) -> AsyncIterator[Callable[[], bool]]:
        """Call `heard` with each payload of a channel; yield a function that returns True while the line is up."""
        connection = self._connection

        def forward(_connection: object, _pid: int, _channel: str, payload: object) -> None:
            heard(str(payload))

        def is_connected() -> bool:
            try:
                return not connection.is_closed()
            except asyncpg.InterfaceError:  # it was cut, and the pool's handle answers nothing any more
                return False

        with translated():
            await self._limited(connection.add_listener(channel, forward))
        try:
            yield is_connected
        finally:
            if is_connected():
                with contextlib.suppress(*FAILURES):
                    await connection.remove_listener(channel, forward)
