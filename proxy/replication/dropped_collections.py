"""Collections that ArangoDB may lack because of a drop or a rename through this proxy. Pure.

If ArangoDB has no such collection, and this is the reason, its resync removes all keys and nothing is lost; else the
collection must be marked.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from proxy.journal.records import CollectionChange, Resync

_TAKING: Final = frozenset({"drop", "rename", "graph"})  # kinds that take the first of their collections away


class DroppedCollections:
    """Follows changes from before they are forwarded until after their resync."""

    def __init__(self) -> None:
        self._gone: set[str] = set()  # what drops and renames took away, and nothing has made again
        self._leaving: Counter[str] = Counter()  # drops and renames under way

    def expect(self, write: Resync) -> None:
        """Note a change that is about to be forwarded.

        What it takes away may be missing from now on; what it makes is there when it has ended, and not before.
        """
        if _takes(write):
            self._leaving[write.collections[0]] += 1

    def kept(self, write: Resync) -> None:
        """Note that an expected change took nothing away; what another one takes away stays noted."""
        if _takes(write):
            self._leaving.subtract(write.collections[:1])
            self._leaving = +self._leaving  # without those that are at zero

    def ended(self, write: Resync) -> None:
        """Note that a change has ended, perhaps one of an earlier process, which was not expected here."""
        self.kept(write)
        if _takes(write):
            self._gone.add(write.collections[0])
            self._gone.difference_update(write.collections[1:])
        elif isinstance(write, CollectionChange) and write.kind == "create":
            self._gone.difference_update(write.collections)

    def missing(self, collection: str) -> None:
        """Note that a resync found ArangoDB without the collection."""
        self._gone.add(collection)

    def present(self, collection: str) -> None:
        """Note that a resync found what a drop should have taken away: others use it."""
        self._gone.discard(collection)

    def explains(self, collection: str) -> bool:
        """Return True if a drop or rename through this proxy is why ArangoDB has no such collection."""
        names = (collection, collection.partition("/")[0] + "/*")
        return any(name in self._gone or name in self._leaving for name in names)


def _takes(write: Resync) -> bool:
    """Return True if the change takes the first of its collections away."""
    return isinstance(write, CollectionChange) and write.kind in _TAKING
