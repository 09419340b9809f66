"""What ends an attempt before anything is written. Not errors that ArangoDB has: the writer handles each."""

from __future__ import annotations


class WriteFenceError(Exception):
    """PostgreSQL does not take the writes of the collection: look at the control row again."""


class CollectionChangedError(Exception):
    """The collection has other properties, or another table, than those by which the write was prepared."""


class KeyInsertedError(Exception):
    """Another transaction inserted a key after this one had looked for it."""


class NotLoadedError(Exception):
    """The decision needs keys that were not loaded: load them, and decide again."""

    def __init__(self, keys: frozenset[str]) -> None:
        super().__init__(", ".join(sorted(keys)))
        self.keys = keys
