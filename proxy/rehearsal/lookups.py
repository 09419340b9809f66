"""Documents that ArangoDB's answer does not show: as PostgreSQL has them, or as ArangoDB has them now."""

from __future__ import annotations

from collections.abc import Sequence

import sql
from proxy.base.database import Database
from proxy.model.parsed_answer import revision_of
from proxy.rehearsal.met_documents import StoredVersion
from proxy.stores.arango import ArangoStore
from proxy.stores.postgres.catalog import Catalog

_ABSENT = StoredVersion(None)


class Lookups:
    """Reads single documents. Raises ArangoError for a collection that is not known, DatabaseError, UpstreamError."""

    def __init__(self, database: Database, origin: ArangoStore) -> None:
        self._database = database
        self._catalog = Catalog(database)
        self._origin = origin

    async def target(self, collection: str, keys: Sequence[str]) -> dict[str, StoredVersion]:
        """Return what PostgreSQL has of these keys, perhaps late."""
        relation = await self._catalog.find(collection)
        try:
            rows = await self._database.fetch(sql.rehearsal.VERSIONS.on(relation.relation), list(keys))
        except BaseException:
            self._catalog.clear()  # it may have another table now
            raise
        found = {row.key: StoredVersion(None if row.raw is None else row.raw.encode(), row.rev) for row in rows}
        return {key: found.get(key, _ABSENT) for key in keys}

    async def origin(self, collection: str, keys: Sequence[str]) -> dict[str, StoredVersion]:
        """Return what ArangoDB has of these keys now."""
        database, _, name = collection.partition("/")
        found = await self._origin.read(database, name, keys)
        return {key: _ABSENT if raw is None else StoredVersion(raw, revision_of(raw)) for key, raw in found.items()}
