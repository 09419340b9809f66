"""Every named statement fits the schema: PostgreSQL parses each against the migrated database, with its own types."""

from __future__ import annotations

import re
from pathlib import Path

import asyncpg

from proxy.model.stages import Stage, Standing
from sql.loader import Query, queries
from tests.harness import running
from tests.unit.sql.test_loader import TOPICS

_BLANK = re.compile(r"\{([a-z]+)\}")


def filled(query: Query, relation: str) -> str:
    """The statement on a document table; other blanks hold what the code that owns them puts there."""
    blanks = {
        "relation": relation,
        "generation": "1",
        "query": "SELECT 1",
        "definitions": relation,
        "order": "",
        "users": "(SELECT 1 AS id)",
    }
    return _BLANK.sub(lambda found: blanks[found[1]], query.text)


async def test_postgresql_accepts_every_statement(dsn: str, tmp_path: Path) -> None:
    async with running(dsn, tmp_path) as stack:
        await stack.client.post("/_api/collection", json={"name": "books"})
        await stack.move(Standing(Stage.MIRROR), "_system/*", "_system/books")
        relation = await stack.database.fetchval(
            "SELECT relation FROM _crossfade.collection WHERE collection = '_system/books'"
        )
    connection = await asyncpg.connect(dsn)
    every = [(topic, query) for topic in TOPICS for query in queries(topic).values()]
    refused = []
    try:
        for topic, query in every:
            try:
                await connection.prepare(filled(query, relation))
            except asyncpg.PostgresError as error:
                refused.append(f"{topic}, {query.name}: {error}")
    finally:
        await connection.close()
    assert refused == []
