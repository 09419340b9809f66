"""What ends an attempt before anything is written. Not errors that ArangoDB has: the writer handles each."""

from __future__ import annotations

from collections.abc import Mapping


class WriteFenceError(Exception):
    """PostgreSQL does not take the writes of the collection: look at the control row again."""


class CollectionChangedError(Exception):
    """The collection has other properties, or another table, than those by which the write was prepared."""


class KeyInsertedError(Exception):
    """Another transaction inserted a key after this one had looked for it."""


class ExclusiveLockError(Exception):
    """A stream transaction keeps every other writer out of a collection, in which nothing was written."""

    def __init__(self, collection: str, relation: str) -> None:
        super().__init__(collection)
        self.collection = collection
        self.relation = relation


class NotLoadedError(Exception):
    """The decision needs keys, or values of unique indexes, that were not looked up: look them up, and decide again.

    values: by the number of the index.
    """

    def __init__(
        self, keys: frozenset[str] = frozenset(), values: Mapping[str, frozenset[bytes]] | None = None
    ) -> None:
        super().__init__(", ".join(sorted(keys)))
        self.keys = keys
        self.values = values or {}
