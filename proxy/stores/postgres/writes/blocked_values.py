"""Values of unique indexes that a write cannot have: other transactions have taken or released them and last too long,
or have taken them since the snapshot of the stream transaction that the write is a part of.

PostgreSQL refuses a whole statement for one of them. So the write is repeated, knowing which values are blocked: each
document that claims one is refused as ArangoDB refuses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from proxy.base.database import Session
from proxy.model import json_reader
from proxy.semantics.unique_index import UniqueIndex
from proxy.stores.postgres import unique_indexes
from proxy.stores.postgres.writes.row_changes import RowChange


@dataclass(slots=True)
class BlockedValues:
    """known: the blocked values by the number of their index.

    claims: unique indexes, and the changes that the last attempt wrote to their collections.
    """

    known: dict[str, frozenset[bytes]] = field(default_factory=dict)
    claims: list[tuple[Sequence[UniqueIndex], Sequence[RowChange]]] = field(default_factory=list)

    def begin_writing(self) -> None:
        """Forget what the last attempt wrote."""
        self.claims.clear()

    def note(self, uniques: Sequence[UniqueIndex], changes: Sequence[RowChange]) -> None:
        """Note what is written next to a collection."""
        if uniques:
            self.claims.append((uniques, changes))

    async def find(self, session: Session) -> bool:
        """Return True if the last attempt claimed values that are blocked, and were not known. Raise DatabaseError."""
        found = False
        for uniques, changes in self.claims:
            documents = [json_reader.load(change.raw) for change in changes if change.raw is not None]
            for index in uniques:
                known = self.known.get(index.id, frozenset())
                tried = {value for document in documents for value in index.values(document)} - known
                blocked = await unique_indexes.blocked(session, index.id, sorted(tried))
                self.known[index.id] = known.union(blocked)
                found = found or bool(blocked)
        return found
