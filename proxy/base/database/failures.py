"""Errors of asyncpg and of the socket as errors of proxy/base/errors.py."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator
from typing import Final

import asyncpg

from proxy.base import sqlstates
from proxy.base.errors import DatabaseError, DatabaseUnavailable, SchemaOutdated, StatementError
from proxy.base.sqlstates import Reaction

# InternalClientError is what asyncpg raises on a connection that the server cut while no statement ran on it
FAILURES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
    asyncio.IncompleteReadError,
)
# undefined_table, invalid_schema_name, undefined_function, undefined_column: the schema is not the one this code knows
_UNMIGRATED: Final = {"42P01", "3F000", "42883", "42703"}
# the schema itself or something in it, not a table of documents whose database or collection has that name
_OUR_SCHEMA: Final = re.compile(r'(?<![\w.])_crossfade(?:\.|")')
# what asyncpg says of a connection that has ended, in terms of its methods and of its pool
_ENDED: Final = re.compile(
    r"^cannot (?:call|commit|rollback|start|switch)|^connection is closed|^not connected|connection_lost|^pool is clos"
)
_ENDED_TEXT: Final = "the connection to PostgreSQL has ended"
_UNMIGRATED_HINT: Final = "PostgreSQL has no schema `_crossfade` of this version: run `crossfade migrate`"


def translate(error: BaseException) -> DatabaseError | None:
    """Return our error for one of asyncpg's or the socket's; None if it is neither."""
    if isinstance(error, asyncpg.PostgresError):
        sqlstate = error.sqlstate or ""
        if sqlstate in _UNMIGRATED and _OUR_SCHEMA.search(str(error)):
            return SchemaOutdated(f"{_UNMIGRATED_HINT} ({error})", sqlstate)
        passes = sqlstates.is_transient(sqlstate) and not sqlstates.is_a_conflict(sqlstate)
        if passes or isinstance(error, asyncpg.InvalidCachedStatementError):
            unavailable = DatabaseUnavailable(_text(error, sqlstate), sqlstate)
            unavailable.where = error.context or ""
            return unavailable
        return StatementError(str(error), sqlstate)
    if isinstance(error, FAILURES):
        # DataError (a value that the client library cannot encode) is an InterfaceError: the statement is refused
        if isinstance(error, asyncpg.DataError) or "invalid input for query argument" in str(error):
            return StatementError(str(error), "22000")
        if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError) and _ENDED.search(str(error)):
            return DatabaseUnavailable(_ENDED_TEXT)
        return DatabaseUnavailable(str(error) or type(error).__name__)
    return None


def ends_session(error: BaseException) -> bool:
    """Return True if the session on which this error came must not be used again."""
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return True
    if isinstance(error, asyncpg.PostgresError):
        return sqlstates.reaction(error.sqlstate or "") is Reaction.RENEW
    return isinstance(error, asyncpg.InternalClientError | OSError) and not isinstance(error, TimeoutError)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise errors of asyncpg and of the socket as ours."""
    try:
        yield
    except FAILURES as error:
        ours = translate(error)
        if ours is None:
            raise
        raise ours from error


def _text(error: asyncpg.PostgresError, sqlstate: str) -> str:
    meaning = sqlstates.meaning(sqlstate)
    first = str(error).partition("\n")[0]  # asyncpg adds a page of advice
    return f"{first} ({meaning})" if meaning else str(error)
