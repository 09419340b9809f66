"""Dead letters of the target: versions that PostgreSQL refused, until it has them or both sides agree (I7).

A dead letter ends when the table has that version or a newer one (`end_superseded`, `after_write`), or when ArangoDB
and PostgreSQL agree about its key in a read of ArangoDB that began after it was written (`of_keys`, the read,
`end_agreed`; see `state.missing_writes`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sql
from proxy.base.database import Database, Session
from proxy.replication.tables import TableCache
from proxy.state import missing_writes


class DeadLetters:
    """Remembers which collections have dead letters, as of the last `end_superseded`; before it, any may have some."""

    def __init__(self, database: Database, tables: TableCache) -> None:
        self._database = database
        self._tables = tables
        self._collections: set[str] | None = None

    async def due(self, seconds: float, most: int) -> dict[str, list[str]]:
        """Return keys, by collection, that were not tried for that many seconds. They count as tried from now on."""
        found: dict[str, list[str]] = {}
        for row in await self._database.fetch(sql.mirror.RETRIED, seconds, most):
            found.setdefault(row.collection, []).append(row.key)
        for collection in found:
            self._note(collection)
        return found

    async def of_keys(self, collection: str, keys: Sequence[str]) -> dict[str, int]:
        """Return the dead letters of these keys with their revisions, before ArangoDB is read."""
        return await missing_writes.dead_letters(self._database, collection, keys) if self._may_have(collection) else {}

    async def end_agreed(self, collection: str, noted: Mapping[str, int], origin: Mapping[str, int]) -> None:
        """End those about which both sides agree. Parameters as `missing_writes.end_dead_letters`."""
        await missing_writes.end_dead_letters(
            self._database, collection, await self._tables.relation(collection), noted, origin
        )

    async def end_superseded(self) -> None:
        """End those whose keys have that version or a newer one by now, whichever process applied it."""
        self._collections = set(await self._database.fetch(sql.mirror.DEAD_LETTER_COLLECTIONS))
        for collection in tuple(self._collections):
            relation = await self._tables.relation(collection)
            await self._database.fetch(sql.mirror.END_SUPERSEDED.on(relation), collection, None)

    async def after_write(
        self, session: Session, collection: str, relation: str, keys: Sequence[str], *, dead: bool
    ) -> None:
        """End dead letters that a batch with these keys made obsolete. dead: the batch itself has new ones."""
        if dead:
            self._note(collection)
        if self._may_have(collection):
            await session.fetch(sql.mirror.END_SUPERSEDED.on(relation), collection, list(keys))

    def _note(self, collection: str) -> None:
        if self._collections is not None:
            self._collections.add(collection)

    def _may_have(self, collection: str) -> bool:
        return self._collections is None or collection in self._collections
