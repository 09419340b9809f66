"""The limit of shapes per collection: clients create shapes, by the names in a query's text.

Of one collection (`db/*`: of reads of unknown extent in a database) at most MOST shapes have rows of their own; further
ones are counted together under OTHER, whose row is a shape like any other: seen, compared or not, exempt by name.
Shapes that PostgreSQL has already count, so that a restart makes no new room.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from proxy.routing.query_shapes import OTHER, Shape

MOST: Final = 1000  # shapes of one collection
_COLLECTIONS: Final = 10_000


class Bound:
    """The limit of one instance, shared by all that counts shapes."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: dict[str, set[str]] = {}

    def of(self, collections: Iterable[str], shape: Shape) -> Shape:
        """Return the shape under which a read of these collections is counted."""
        new = [name for name in collections if shape.name not in self._kept.get(name, ())]
        for name in new:
            full = len(self._kept[name]) >= self._most if name in self._kept else len(self._kept) >= _COLLECTIONS
            if full:
                return OTHER
        for name in new:
            self._kept.setdefault(name, set()).add(shape.name)
        return shape

    def learn(self, kept: Iterable[tuple[str, str]]) -> None:
        """Count shapes that PostgreSQL has: (collection, name of a shape)."""
        for collection, name in kept:
            if len(self._kept) < _COLLECTIONS or collection in self._kept:
                self._kept.setdefault(collection, set()).add(name)
