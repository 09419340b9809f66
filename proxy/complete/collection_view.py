"""A collection whose documents are loaded on demand, for one pass of one request."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.complete.catalog import StoredCollection
from proxy.complete.demand_entries import DemandEntries
from proxy.complete.loaded_part import DemandDocuments, DocumentChanges, LoadedPart, Missing
from proxy.devserver.store.state.collection import Collection
from proxy.devserver.store.state.indexes import StoredIndex
from proxy.model import json_reader
from proxy.model.revision import decode_rev
from proxy.semantics.key_generator import KeyGenerator

Document = dict[str, Any]
_NEVER_WRITTEN: Final = decode_rev("0")
_LARGEST: Final = (1 << 63) - 1  # what a column of revisions holds


class CollectionView(Collection):
    """A copy of a stored collection. part: what is loaded; missing: what this pass asked for beyond that."""

    _generator: KeyGenerator
    _revision: int
    documents: DemandDocuments

    @classmethod
    def of(cls, stored: StoredCollection, part: LoadedPart) -> CollectionView:
        """Return a view of a collection for one pass."""
        view = object.__new__(cls)
        values = dict(stored.properties.__dict__)
        view._generator = copy.copy(values.pop("generator"))
        view._generator.new_uuid = part.uuids_again()
        view._revision = values.pop("revision")
        values.pop("exclusive")
        view.to_write = False
        view.__dict__.update(values)
        view.stored = stored
        view.part = part
        view.missing = Missing()
        view.documents = DemandDocuments(part, view.missing)
        view.indexes = [view._on_demand(index) for index in stored.properties.indexes]
        view._fresh = []
        view.revisions_used = 0
        if part.last_key is not None:
            view._generator.last = part.last_key
        return view

    stored: StoredCollection
    part: LoadedPart
    missing: Missing
    revisions_used: int
    to_write: bool  # the handler has asked for the collection to write to it

    # ---- what is loaded on demand

    @property
    def generator(self) -> KeyGenerator:
        """The key generator, with the largest number so far."""
        if self.part.last_key is None and self._generator.kind != "uuid":
            self.missing.state = True
        return self._generator

    @generator.setter
    def generator(self, value: KeyGenerator) -> None:
        self._generator = value

    @property
    def key_options(self) -> Document:
        return self._generator.options()

    @property
    def numbers_to_take(self) -> int | None:
        """The number up to which this pass has used the key generator, if they are not taken yet, else None."""
        last = self._generator.last
        return last if self.part.last_key is not None and last > self.part.taken else None

    @property
    def revision(self) -> int:
        """The newest revision: of this pass if it wrote, else as loaded."""
        if self._revision != _NEVER_WRITTEN:
            return self._revision
        if self.part.newest is None:
            self.missing.state = True
            return _NEVER_WRITTEN
        return _NEVER_WRITTEN if self.part.newest <= self.stored.first else self.part.newest

    @revision.setter
    def revision(self, value: int) -> None:
        self._revision = value

    @property
    def exclusive(self) -> str | None:
        """None: which transaction has it for itself is known to PostgreSQL. Whoever asks is about to write."""
        self.to_write = True
        return None

    @exclusive.setter
    def exclusive(self, value: str | None) -> None:
        raise NotImplementedError

    def count(self) -> int:
        if self.documents.complete:
            return self.documents.loaded_count()
        if self.part.count is None:
            self.missing.count = True
        return (self.part.count or 0) + self.documents.loaded_count()

    def documents_size(self) -> int:
        if self.documents.complete:
            return super().documents_size()
        if self.part.size is None:
            self.missing.size = True
        return self.part.size or 0

    def checksum(self, *, revisions: bool, data: bool) -> int:
        if self.documents.complete:
            return super().checksum(revisions=revisions, data=data)
        found = self.part.checksums.get((revisions, data))
        if found is None:
            self.missing.checksums.add((revisions, data))
        return found or 0

    def edges_of(self, vertices: AbstractSet[str]) -> Iterator[Document]:
        if not self.documents.complete:
            self.missing.vertices |= vertices - self.part.vertices
        loaded = (json_reader.load(raw) for _, raw in sorted(dict.items(self.documents)))
        return (edge for edge in loaded if edge["_from"] in vertices or edge["_to"] in vertices)

    def sorted_keys(self) -> list[str]:
        return sorted(self.documents)

    # ---- writes

    def add_index(self, index: StoredIndex) -> None:
        """Add an index. PostgreSQL tests the documents when it is created."""
        self.indexes.append(self._on_demand(index))

    def tick(self) -> int:
        """Return a revision from the collection's sequence; in a speculative pass, one that will not be used."""
        used, drawn = self.revisions_used, self.part.revisions
        self.revisions_used += 1
        if used < len(drawn):
            return drawn[used]
        self.missing.revisions += 1
        return (int(time.time() * 1000) << 20) + used

    def put(self, key: str, raw: bytes, document: Document, revision: int) -> None:
        """Store a document. Raise ArangoError 1239 for a restored revision that PostgreSQL cannot hold."""
        if decode_rev(document["_rev"]) > _LARGEST:
            raise ArangoError(1239, status=400)
        self._learn_entries(key)
        super().put(key, raw, document, revision)

    def remove(self, key: str, revision: int) -> None:
        """Remove a document that exists."""
        self._learn_entries(key)
        super().remove(key, revision)

    def empty(self) -> None:
        self.clear()
        self.revision = self.tick()

    def clear(self) -> None:
        self.documents.remove_all()
        for index in self.uniques:
            _entries(index).remove_all()

    def rename(self, name: str) -> None:
        """Take another name. The documents get it when the difference is written."""
        self.name = name

    def changes(self) -> DocumentChanges:
        """Return what this pass changed in the documents."""
        return self.documents.changes()

    # ---- unique indexes

    def _on_demand(self, index: StoredIndex) -> StoredIndex:
        """Return a unique index with entries that are loaded on demand; any other as it is."""
        if not index.unique or index.kind == "primary":
            return index
        missing = self.missing.values.setdefault(index.id, set())
        return dataclasses.replace(index, entries=DemandEntries(self.part.holders.get(index.id, {}), missing))

    def _learn_entries(self, key: str) -> None:
        """Enter what the loaded document of a key has in unique indexes: it will be released."""
        uniques = self.uniques
        document = self.load(key) if uniques and dict.__contains__(self.documents, key) else None
        if document is not None:
            for index in uniques:
                for value in index.values(document):
                    _entries(index).learn(value, key)


def _entries(index: StoredIndex) -> DemandEntries:
    assert isinstance(index.entries, DemandEntries)
    return index.entries
