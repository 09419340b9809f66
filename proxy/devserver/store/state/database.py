"""A database: collections by name."""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.base.errors import ArangoError
from proxy.devserver.store.state.collection import Collection


@dataclass(slots=True, eq=False)
class ServerDatabase:
    """Collections by name. A collection's number finds it too, as in ArangoDB before 4.0."""

    name: str
    id: str
    collections: dict[str, Collection] = field(default_factory=dict)

    def known(self, name: str) -> Collection | None:
        """Return the collection of that name or number; None if there is none."""
        found = self.collections.get(name)
        if found is None and name.isdigit():
            found = next((c for c in self.collections.values() if c.id == name), None)
        return found

    def find(self, name: str) -> Collection:
        """Return the collection of that name or number. Raise ArangoError 1203."""
        found = self.known(name)
        if found is None:
            raise ArangoError(1203, f"collection or view not found: {name}")
        return found
