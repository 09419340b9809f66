"""Documents that a query cannot write: other transactions have them for too long, or have changed them since the
snapshot of the stream transaction that the query is a part of.

PostgreSQL refuses a whole statement for one of them, and nothing for a write that leaves its document as it was. So the
query is repeated, knowing which keys are blocked: each write of one is refused as ArangoDB refuses it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import sql
from proxy.base.database import Session

_INSERTS: Final = True  # a key without a document may be one that another transaction is inserting


@dataclass(slots=True)
class BlockedKeys:
    """known: the blocked keys by collection. written: table and keys that the last attempt wrote, by collection."""

    known: dict[str, frozenset[str]] = field(default_factory=dict)
    written: dict[str, tuple[str, Sequence[str]]] = field(default_factory=dict)

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
