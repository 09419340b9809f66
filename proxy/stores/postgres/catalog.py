"""The table of each collection: cached, looked up on a miss."""

from __future__ import annotations

from dataclasses import dataclass

import sql
from proxy.base.database import Database
from proxy.base.errors import ArangoError
from proxy.model.documents import escape_text


@dataclass(frozen=True, slots=True)
class Relation:
    """One collection's table. `relation` is schema-qualified and quoted by PostgreSQL itself."""

    collection: str  # 'database/name'
    relation: str
    edge: bool

    @property
    def name(self) -> str:
        return self.collection.partition("/")[2]


def no_collection(name: str) -> ArangoError:
    """Return the error for a collection that does not exist."""
    return ArangoError(1203, f"collection or view not found: {name}")


class Catalog:
    """Collections that the control plane knows.

    A table never moves while its collection has its name, so that an entry is valid until the table is dropped: then
    its statements fail, and `clear` forgets it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, Relation] = {}

    async def find(self, collection: str) -> Relation:
        """Return the table of `database/name`. Raise ArangoError 1203 if it is not registered, DatabaseError."""
        known = self._known.get(collection)
        if known is not None:
            return known
        row = None
        if escape_text(collection) == collection:  # else PostgreSQL's text type cannot hold it
            row = await self._database.fetchrow(sql.collections.FIND, collection)
        if row is None:
            raise no_collection(collection.partition("/")[2])
        found = Relation(collection, row.relation, row.edge)
        self._known[collection] = found
        return found

    def clear(self) -> None:
        """Forget every table, so that it is looked up again."""
        self._known.clear()
