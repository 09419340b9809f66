"""SQL clients beside PostgreSQL alone: they cannot change one of the two columns of a document alone."""

from __future__ import annotations

import pytest

from proxy.base.errors import StatementError
from tests.ad_hoc import Database
from tests.complete_fixtures import complete_store
from tests.integration.test_complete_proxies import send


@pytest.mark.parametrize(
    "change",
    [
        """doc = doc || '{"n": 42}'""",
        """raw = (replace(raw::text, '"n":1', '"n":42'))::json""",
        """raw = (replace(raw::text, '"n":1', '"n":42'))::json, doc = '{"n": 43, "s": "x"}'""",
    ],
)
@pytest.mark.parametrize("text", ["x", "a\x00b", "\ufdd0"])
async def test_a_change_of_one_column_alone_is_refused(dsn: str, database: Database, change: str, text: str) -> None:
    async with complete_store(dsn) as store:
        await send(store, "POST", "/_api/collection", {"name": "c"})
        await send(store, "POST", "/_api/document/c", {"_key": "a", "n": 1, "s": text})
        if text == "x" or change.startswith("doc"):
            with pytest.raises(StatementError, match="the columns raw and doc of document a differ") as refused:
                await database.execute(f"UPDATE _system.c SET {change}")
            assert refused.value.sqlstate == "23514"
        assert (await send(store, "PATCH", "/_api/document/c/a", {"m": 1}))[0] == 202


async def test_a_change_of_both_and_of_neither_is_a_change_of_the_document(dsn: str, database: Database) -> None:
    async with complete_store(dsn) as store:
        await send(store, "POST", "/_api/collection", {"name": "c"})
        await send(store, "POST", "/_api/document/c", [{"_key": "a", "n": 1}, {"_key": "b", "s": "a\x00b\ufdd0"}])
        await database.execute("UPDATE _system.c SET mark = mark, raw = raw, doc = doc")
        await database.execute(
            "UPDATE _system.c SET raw = n.raw, doc = _crossfade.queryable(n.raw) "
            """FROM (SELECT (replace(raw::text, '"n":1', '"n":42'))::json AS raw FROM _system.c WHERE key = 'a') n """
            "WHERE key = 'a'"
        )
        query = {"query": "FOR d IN c FILTER d.n == 42 RETURN d.n"}
        assert (await send(store, "POST", "/_api/cursor", query))[1]["result"] == [42]
        assert (await send(store, "PUT", "/_api/collection/c/rename", {"name": "d"}))[0] == 200
        assert (await send(store, "GET", "/_api/document/d/a"))[1]["_id"] == "d/a"
        assert (await send(store, "PATCH", "/_api/document/d/b", {"s": "\ufdd0"}))[0] == 202
        assert (await send(store, "DELETE", "/_api/document/d/b"))[0] == 202
