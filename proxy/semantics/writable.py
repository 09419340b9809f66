"""The view of a collection that a write needs: a Protocol, which the collections of both stores have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from proxy.semantics.key_generator import KeyGenerator

Document = dict[str, Any]


class WritableCollection(Protocol):
    """A collection, or a part of one: its documents by key, and the rules for them.

    A store that has loaded only some documents raises its own error for a key that it has not loaded.
    """

    @property
    def name(self) -> str: ...

    @property
    def edge(self) -> bool: ...

    @property
    def schema(self) -> Document | None: ...

    @property
    def computed(self) -> Sequence[Document] | None:
        """The definitions of computed values, completed."""

    @property
    def wait_for_sync(self) -> bool: ...

    @property
    def generator(self) -> KeyGenerator: ...

    def tick(self) -> int:
        """Return a new revision, above all that the collection has."""

    def get(self, key: str) -> bytes | None:
        """Return the stored document; None if there is none."""

    def put(self, key: str, raw: bytes, document: Document, revision: int) -> None:
        """Store a document. Raise ArangoError 1210 if a unique index forbids it; nothing has changed then."""

    def remove(self, key: str, revision: int) -> None:
        """Remove a document that exists."""

    def put_back(self, key: str, old: bytes | None) -> None:
        """Undo a write: restore the document, with its revision, or remove it if there was none."""

    def check_unlocked(self, key: str) -> None:
        """Raise ConflictError if another transaction has written the key."""

    def check_unclaimed(self, key: str, document: Document) -> None:
        """Raise ConflictError if another transaction has written the document's value of a unique index."""
