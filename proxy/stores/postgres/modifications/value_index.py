"""Documents by their values at some paths. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, TypeAlias

from proxy.aql.requests import Fetch, Path
from proxy.aql.values import hash_key

Paths: TypeAlias = tuple[Path, ...]


def paths_of(fetch: Fetch) -> Paths:
    """Return the paths of a fetch by equalities."""
    return tuple(path for path, _ in fetch.equalities)


def values_of(fetch: Fetch) -> Hashable:
    """Return the values of a fetch by equalities, equal for equal values only."""
    return tuple([hash_key(value) for _, value in fetch.equalities])


class ValueIndex:
    """The keys of documents by their values at `paths`. A key stays where it was if its document gets other values."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._keys: dict[Hashable, dict[str, None]] = {}

    def add(self, key: str, document: Mapping[str, Any]) -> None:
        values = tuple([hash_key(_at(document, path)) for path in self._paths])
        self._keys.setdefault(values, {})[key] = None

    def find(self, values: Hashable) -> Iterable[str]:
        """Return the keys of documents that have these values, and perhaps of some that had them."""
        return self._keys.get(values, ())


def _at(document: Any, path: Path) -> Any:
    for name in path:
        if document.__class__ is not dict:
            return None
        document = document.get(name)
    return document
