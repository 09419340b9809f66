"""Translation of PostgreSQL's errors to ours."""

from __future__ import annotations

import asyncpg
import pytest

from proxy.base.database import translate
from proxy.base.errors import DatabaseUnavailable, SchemaOutdated, StatementError
from tests.ad_hoc import Database


@pytest.mark.parametrize(
    "message",
    [
        'relation "_crossfade.control" does not exist',
        'schema "_crossfade" does not exist',
        "function _crossfade.queryable(json) does not exist",
    ],
)
def test_what_is_missing_of_our_own_schema_wants_a_migration(message: str) -> None:
    assert isinstance(translate(asyncpg.UndefinedTableError(message)), SchemaOutdated)


@pytest.mark.parametrize(
    "message",
    ['relation "crossfade_shop.orders" does not exist', 'relation "shop.crossfade" does not exist'],
)
def test_a_table_of_documents_that_is_gone_is_looked_up_again(message: str) -> None:
    found = translate(asyncpg.UndefinedTableError(message))
    assert isinstance(found, StatementError)
    assert found.sqlstate == "42P01"


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InterfaceError("cannot call Transaction.commit(): the underlying connection is closed"),
        asyncpg.InterfaceError(
            "cannot call Connection.is_in_transaction(): connection has been released back to the pool"
        ),
        asyncpg.InternalClientError('cannot switch to state 11; protocol is in the "failed" state'),
        asyncpg.InternalClientError("unexpected connection_lost() call"),
    ],
)
def test_an_ended_connection_is_named_without_the_words_of_the_client_library(error: Exception) -> None:
    found = translate(error)
    assert isinstance(found, DatabaseUnavailable)
    assert str(found) == "the connection to PostgreSQL has ended"


async def test_a_dsn_that_cannot_be_read_is_reported() -> None:
    database = await Database.open("postgresql://here:port/x")
    with pytest.raises(DatabaseUnavailable, match="the DSN cannot be read"):
        await database.fetch("SELECT 1")
    await database.close()
