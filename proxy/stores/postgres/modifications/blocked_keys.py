"""Documents that a query cannot write: other transactions have them for too long, or have changed them since the
snapshot of the stream transaction that the query is a part of; or have values of unique indexes that they claim.

PostgreSQL refuses a whole statement for one of them, and nothing for a write that leaves its document as it was. So the
query is repeated, knowing which keys and values are blocked: each write of one is refused as ArangoDB refuses it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import sql
from proxy.base.database import Session
from proxy.model import json_reader
from proxy.semantics.unique_index import UniqueIndex
from proxy.stores.postgres import unique_indexes
from proxy.stores.postgres.writes.row_changes import RowChange

_INSERTS: Final = True  # a key without a document may be one that another transaction is inserting


@dataclass(slots=True)
class BlockedKeys:
    """known: the blocked keys by collection. values: the blocked values by the number of their index.

    written: table and keys that the last attempt wrote, by collection. claims: unique indexes, and the changes of the
    collections that have some.
    """

    known: dict[str, frozenset[str]] = field(default_factory=dict)
    values: dict[str, frozenset[bytes]] = field(default_factory=dict)
    written: dict[str, tuple[str, Sequence[str]]] = field(default_factory=dict)
    claims: list[tuple[Sequence[UniqueIndex], Sequence[RowChange]]] = field(default_factory=list)

    def begin_writing(self) -> None:
        """Forget what the last attempt wrote."""
        self.written.clear()
        self.claims.clear()

    def note(self, name: str, relation: str, uniques: Sequence[UniqueIndex], changes: Sequence[RowChange]) -> list[str]:
        """Note what is written next to a collection. Return its keys."""
        keys = [change.key for change in changes]
        self.written[name] = relation, keys
        if uniques:
            self.claims.append((uniques, changes))
        return keys

    async def find_written(self, session: Session) -> bool:
        """Return True if keys or values of the last attempt are blocked that were not known. Raise DatabaseError."""
        return await self.find(session, self.written) or await self._find_values(session)

    async def _find_values(self, session: Session) -> bool:
        found = False
        for uniques, changes in self.claims:
            documents = [json_reader.load(change.raw) for change in changes if change.raw is not None]
            for index in uniques:
                known = self.values.get(index.id, frozenset())
                tried = {value for document in documents for value in index.values(document)} - known
                blocked = await unique_indexes.blocked(session, index.id, sorted(tried))
                self.values[index.id] = known.union(blocked)
                found = found or bool(blocked)
        return found

    async def find(self, session: Session, keys: Mapping[str, tuple[str, Collection[str]]]) -> bool:
        """Return True if some of these keys are blocked that were not known, by collection. Raise DatabaseError."""
        found = False
        for name, (relation, wanted) in keys.items():
            known = self.known.get(name, frozenset())
            tried = sorted(set(wanted) - known)
            blocked = await session.fetch(sql.writes.BLOCKED_KEYS, relation, tried, _INSERTS) if tried else []
            self.known[name] = known.union(blocked)
            found = found or bool(blocked)
        return found
