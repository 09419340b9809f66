"""The tables of mirrored collections: found, made if missing, known to hold edges, dropped at the origin."""

from __future__ import annotations

import sql
from proxy.base.database import Database


class TableCache:
    """Remembers the table of each collection ('database/name')."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._relations: dict[str, str] = {}

    async def relation(self, collection: str) -> str:
        """Return the table of a collection, quoted. It is made if there is none."""
        found = self._relations.get(collection)
        if found is None:
            database, _, name = collection.partition("/")
            found = (await self._database.fetchval(sql.collections.ENSURE, database, name, False)).relation  # noqa: FBT003 - a parameter of SQL
            self._relations[collection] = found
        return found

    def forget(self, collection: str) -> None:
        """Ask for the table again next time: it may have been replaced."""
        self._relations.pop(collection, None)

    async def register(self, collection: str, *, edge: bool) -> None:
        """Make the table of a collection, with the columns of edges if ArangoDB reports that it holds edges."""
        database, _, name = collection.partition("/")
        table = await self._database.fetchval(sql.collections.ENSURE, database, name, edge)
        if edge and not table.edge:
            async with self._database.transaction() as session:
                await session.execute(sql.mirror.EDGE_COLUMNS.on(table.relation))
                await session.execute(sql.mirror.EDGE, collection)

    async def mark_dropped(self, collection: str, *, dropped: bool) -> None:
        """Note whether ArangoDB has dropped the collection: operators do not see it then."""
        await self._database.execute(sql.mirror.DROPPED, collection, dropped)
