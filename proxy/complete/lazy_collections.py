"""The collections of a database, of which only those that a pass touches are copied for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from proxy.complete.catalog import StoredCollection
from proxy.devserver.store.state.collection import Collection


class LazyCollections(dict[str, Collection]):
    """Collections by name. view_of: makes the view of a stored one, when it is first asked for."""

    def __init__(
        self, stored: Mapping[str, StoredCollection], view_of: Callable[[StoredCollection], Collection]
    ) -> None:
        values: Any = stored
        super().__init__(values)
        self._view_of = view_of

    def present(self) -> Iterable[Collection | StoredCollection]:
        """Return every collection, in its order: a StoredCollection if nothing has touched it."""
        return super().values()

    def __getitem__(self, name: str) -> Collection:
        return self._touched(name, super().__getitem__(name))

    def get(self, name: str, default: Any = None) -> Any:
        found = super().get(name)
        return default if found is None else self._touched(name, found)

    def pop(self, name: str, *default: Any) -> Any:
        if name in self:
            self[name]
        return super().pop(name, *default)

    def values(self) -> Any:
        self._touch_all()
        return super().values()

    def items(self) -> Any:
        self._touch_all()
        return super().items()

    def _touch_all(self) -> None:
        for name in self:
            self[name]

    def _touched(self, name: str, value: Collection | StoredCollection) -> Collection:
        if isinstance(value, StoredCollection):
            value = self[name] = self._view_of(value)
        return value
