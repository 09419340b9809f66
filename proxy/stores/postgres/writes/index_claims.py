"""What one decision knows of a collection's unique indexes: the values that documents have, claim and release. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from proxy.model import json_reader
from proxy.semantics.unique_index import UniqueIndex

Document = dict[str, Any]
# by the number of the index: the key of the document that has a value, None for a value that is free
Holders = Mapping[str, Mapping[bytes, str | None]]


class IndexClaims:
    """Entries of unique indexes. rows: the loaded documents, whose values are known. holders: what was looked up.

    Every other value is assumed to be free.
    """

    def __init__(self, indexes: Sequence[UniqueIndex], rows: Mapping[str, bytes | None], holders: Holders) -> None:
        self._indexes = indexes
        self._holders = holders
        self._entries: dict[str, dict[bytes, str]] = {}
        self._assumed: dict[str, set[bytes]] = {}
        if not indexes:
            return
        documents = {key: json_reader.load(raw) for key, raw in rows.items() if raw is not None}
        for index in indexes:
            found = holders.get(index.id, {})
            entries = {value: key for value, key in found.items() if key is not None and key not in rows}
            for key, document in documents.items():
                index.claim(entries, key, document)
            self._entries[index.id] = entries
            self._assumed[index.id] = set()

    def __bool__(self) -> bool:
        """Return True if the collection has unique indexes."""
        return bool(self._indexes)

    def put(self, key: str, old: bytes | None, document: Document) -> None:
        """Claim the values of a document in place of those of its former version. Raise ArangoError 1210."""
        for index in self._indexes:
            self._note_assumed(index, document)
            index.check(self._entries[index.id], key, document)
        self.remove(key, old)
        for index in self._indexes:
            index.claim(self._entries[index.id], key, document)

    def remove(self, key: str, old: bytes | None) -> None:
        """Release the values of a document."""
        if old is None:
            return
        former = json_reader.load(old)
        for index in self._indexes:
            index.release(self._entries[index.id], key, former)

    def put_back(self, key: str, present: bytes | None, old: bytes | None) -> None:
        """Undo a write."""
        self.remove(key, present)
        if old is not None:
            document = json_reader.load(old)
            for index in self._indexes:
                index.claim(self._entries[index.id], key, document)

    def assumed(self, *, written: bool) -> dict[str, frozenset[bytes]]:
        """Return the values, by the number of the index, that were assumed to be free.

        written: the documents as they are now will be written, so that PostgreSQL tests the values that they have.
        """
        found = {
            index: frozenset(value for value in values if not written or value not in self._entries[index])
            for index, values in self._assumed.items()
        }
        return {index: values for index, values in found.items() if values}

    def enter(self, key: str, document: Document) -> None:
        """Enter the values of a document that was loaded after the decision began."""
        for index in self._indexes:
            index.claim(self._entries[index.id], key, document)

    def learn(self, found: Holders, present: Callable[[str], bytes | None]) -> None:
        """Enter what was looked up. present: the document of a key as it is now, if it is known."""
        for index in self._indexes:
            entries = self._entries[index.id]
            for value, key in found.get(index.id, {}).items():
                self._assumed[index.id].discard(value)
                if key is None or value in entries:
                    continue
                raw = present(key)
                if raw is None or value in index.values(json_reader.load(raw)):
                    entries[value] = key

    def _note_assumed(self, index: UniqueIndex, document: Document) -> None:
        known, entries = self._holders.get(index.id, {}), self._entries[index.id]
        self._assumed[index.id].update(
            value for value in index.values(document) if value not in known and value not in entries
        )
