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
from proxy.semantics.unique_index import UniqueIndex
from proxy.stores.postgres.writes.blocked_values import BlockedValues
from proxy.stores.postgres.writes.row_changes import RowChange

_INSERTS: Final = True  # a key without a document may be one that another transaction is inserting


@dataclass(slots=True)
class BlockedKeys:
    """known: the blocked keys by collection. written: table and keys that the last attempt wrote, by collection."""

    known: dict[str, frozenset[str]] = field(default_factory=dict)
    values: BlockedValues = field(default_factory=BlockedValues)
    written: dict[str, tuple[str, Sequence[str]]] = field(default_factory=dict)

    def begin_writing(self) -> None:
        """Forget what the last attempt wrote."""
        self.written.clear()
        self.values.begin_writing()

    def note(self, name: str, relation: str, uniques: Sequence[UniqueIndex], changes: Sequence[RowChange]) -> list[str]:
        """Note what is written next to a collection. Return its keys."""
        keys = [change.key for change in changes]
        self.written[name] = relation, keys
        self.values.note(uniques, changes)
        return keys

    async def find_written(self, session: Session) -> bool:
        """Return True if keys or values of the last attempt are blocked that were not known. Raise DatabaseError."""
        return await self.find(session, self.written) or await self.values.find(session)

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
