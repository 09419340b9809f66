"""One collection: encoded documents by key, and the properties, indexes and locks of the collection.

A document is kept as the bytes that ArangoDB would print, and parsed only when its attributes are needed. A `fork` is a
copy that a stream transaction works on; it shares the documents' bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.devserver.store.state import indexes
from proxy.devserver.store.state.checksum import document_checksum
from proxy.devserver.store.state.indexes import StoredIndex
from proxy.devserver.store.state.locks import LockedError, Locks
from proxy.model import json_reader
from proxy.model.json_values import dump
from proxy.model.revision import Clock, decode_rev
from proxy.semantics.attributes import whole
from proxy.semantics.computed_values import computed_values_of
from proxy.semantics.encoded_document import revision_of
from proxy.semantics.key_generator import KeyGenerator
from proxy.semantics.write_rules import ConflictError

Document = dict[str, Any]
DOCUMENTS, EDGES = 2, 3
_NEVER_WRITTEN: Final = decode_rev("0")  # the revision that ArangoDB shows of a new collection: "54"


class Collection:
    """Documents and properties. `put` and `remove` keep indexes and order up to date.

    changed: called with (collection, key, raw or None, old raw or None) for each change: appends to the write-ahead
    log, or locks the key in a transaction. exclusive: the running stream transaction that locked the whole collection.
    """

    def __init__(
        self,
        number: int,
        name: str,
        kind: int,
        properties: Document,
        *,
        tick: Callable[[], int],
        clock: Clock,
        changed: Callable[[Collection, str, bytes | None, bytes | None], None] | None = None,
    ) -> None:
        self.clock = clock
        self.id = str(number)
        self.object_id = str(tick())
        self.name = name
        self.kind = kind
        self.wait_for_sync = bool(properties.get("waitForSync", False))
        self.schema: Document | None = properties.get("schema")
        self.computed = computed_values_of(properties)
        self.cache = bool(properties.get("cacheEnabled", False))
        self.system = name.startswith("_")
        self.write_concern = whole(properties, "writeConcern", whole(properties, "minReplicationFactor", 1))
        key_options = properties.get("keyOptions")
        self.generator = KeyGenerator(key_options if isinstance(key_options, dict) else {}, tick)
        self.documents: dict[str, bytes] = {}
        self.indexes: list[StoredIndex] = [indexes.primary()] + ([indexes.edge()] if kind == EDGES else [])
        self.revision = _NEVER_WRITTEN
        self.locks = Locks()
        self.exclusive: str | None = None
        self._changed = changed
        self._sorted: list[str] = []
        self._fresh: list[str] = []
        self._stale = 0

    @property
    def edge(self) -> bool:
        return self.kind == EDGES

    @property
    def uniques(self) -> list[StoredIndex]:
        """The unique indexes except the primary one."""
        return [index for index in self.indexes[1:] if index.unique]

    @property
    def key_options(self) -> Document:
        """`keyOptions` as the collection was created with them; `lastValue` may be missing."""
        return self.generator.options()

    def get(self, key: str) -> bytes | None:
        return self.documents.get(key)

    def load(self, key: str) -> Document | None:
        """Return the parsed document; None if there is none."""
        raw = self.documents.get(key)
        return None if raw is None else json_reader.load(raw)

    def put(self, key: str, raw: bytes, document: Document, revision: int) -> None:
        """Store a document. Raise ArangoError 1210 if a unique index forbids it; nothing has changed then."""
        old = self.documents.get(key)
        uniques = self.uniques if len(self.indexes) > 1 else ()
        if uniques:
            for index in uniques:
                index.check(key, document)
            before = None if old is None else json_reader.load(old)
            for index in uniques:
                if before is not None:
                    index.discard(key, before)
                index.add(key, document)
        if old is None:
            self._fresh.append(key)
        raw = bytes(memoryview(raw))  # a result of orjson keeps 4 KB allocated, however short it is
        self.documents[key] = raw
        self.revision = revision
        if self._changed is not None:
            self._changed(self, key, raw, old)

    def remove(self, key: str, revision: int) -> None:
        """Remove a document that exists."""
        old = self.documents.pop(key)
        for index in self.uniques:
            index.discard(key, json_reader.load(old))
        self._stale += 1
        self.revision = revision
        self.locks.note_removed(key)
        if self._changed is not None:
            self._changed(self, key, None, old)

    def put_back(self, key: str, old: bytes | None) -> None:
        """Undo a write: restore the document, with its revision, or remove it if there was none."""
        if old is not None:
            self.put(key, old, json_reader.load(old), self.tick())
        elif key in self.documents:
            self.remove(key, self.tick())

    def release_values(self, key: str) -> None:
        """Free what a document has in unique indexes, so that several documents can exchange their values."""
        for index, document in self._in_uniques(key):
            index.discard(key, document)

    def claim_values(self, key: str) -> None:
        """Enter a document into the unique indexes again."""
        for index, document in self._in_uniques(key):
            index.add(key, document)

    def _in_uniques(self, key: str) -> Iterator[tuple[StoredIndex, Document]]:
        raw, uniques = self.documents.get(key), self.uniques
        document = json_reader.load(raw) if raw is not None and uniques else {}
        return ((index, document) for index in uniques if raw is not None)

    def tick(self) -> int:
        """Return a new revision."""
        return self.clock.tick()

    def check_unlocked(self, key: str) -> None:
        """Raise ConflictError or LockedError if another transaction has written the key."""
        if self.locks and key in self.locks:
            stored = self.documents.get(key)
            message = f"in index primary of type primary over '_key'; conflicting key: {key}"
            raise _locked(key, revision_of(stored) if stored else "", message, held=self.locks.held(key))

    def check_unclaimed(self, key: str, document: Document) -> None:
        """Raise ConflictError or LockedError if a transaction has written the document's value of a unique index."""
        if not self.locks:
            return
        for index in self.uniques:
            for value in index.values(document):
                if self.locks.claimed(index, value):
                    fields = ", ".join(index.fields)
                    message = f"in index {index.name} of type {index.kind} over '{fields}'; conflicting key: {key}"
                    stored = self.documents.get(key)
                    rev = revision_of(stored) if stored else ""
                    raise _locked(key, rev, message, held=self.locks.claim_held(index, value))

    def count(self) -> int:
        """Return the number of documents."""
        return len(self.documents)

    def documents_size(self) -> int:
        """Return the bytes of all documents."""
        return sum(map(len, self.documents.values()))

    def checksum(self, *, revisions: bool, data: bool) -> int:
        """Return a checksum that is equal for collections with the same keys (and revisions, and contents)."""
        total = 0
        for document in self.scan():
            total ^= document_checksum(document, revisions=revisions, data=data)
        return total

    def edges_of(self, vertices: AbstractSet[str]) -> Iterator[Document]:
        """Yield the edges that begin or end at one of the vertices, in the order of keys."""
        return (edge for edge in self.scan() if edge["_from"] in vertices or edge["_to"] in vertices)

    def empty(self) -> None:
        """Remove every document, one by one. Raise ConflictError if one is locked; nothing has changed then."""
        for key in self.documents:
            self.check_unlocked(key)
        for key in list(self.documents):
            self.remove(key, self.tick())

    def rename(self, name: str) -> None:
        """Give the collection another name, which is part of every `_id`; revisions stay."""
        old, new = (id_prefix(one) for one in (self.name, name))
        for key, raw in self.documents.items():
            self.documents[key] = raw.replace(old, new, 1)
        self.name = name

    def clear(self) -> None:
        """Remove every document, without reporting each."""
        self.documents = {}
        for index in self.indexes:
            index.entries.clear()
        self._sorted, self._fresh, self._stale = [], [], 0

    def sorted_keys(self) -> list[str]:
        """Return all keys in byte order. The list is the collection's: read it only, and not across an await."""
        if self._fresh or self._stale:
            # a sort of a sorted list with a tail is a merge
            merged = self._sorted + self._fresh
            if self._stale:
                merged = [key for key in merged if key in self.documents]
            merged.sort()
            if self._stale:
                merged = list(dict.fromkeys(merged))  # removed and inserted again: twice in it
            self._sorted, self._fresh, self._stale = merged, [], 0
        return self._sorted

    def scan(self) -> Iterator[Document]:
        """Yield every document, parsed, in the order of keys."""
        documents = self.documents
        return (json_reader.load(documents[key]) for key in self.sorted_keys())

    def add_index(self, index: StoredIndex) -> None:
        """Fill and add an index. Raise ArangoError 1210 if the documents violate it."""
        if index.unique:
            for key in self.sorted_keys():
                document = json_reader.load(self.documents[key])
                index.check(key, document)
                index.add(key, document)
        self.indexes.append(index)

    def find_index(self, text: str) -> StoredIndex:
        """Return an index by number or name. Raise ArangoError 1212."""
        for index in self.indexes:
            if text in (index.id, index.name):
                return index
        raise ArangoError(1212, "index not found")

    def fork(self, changed: Callable[[Collection, str, bytes | None, bytes | None], None]) -> Collection:
        """Return a copy that a transaction may change. The key generator stays shared."""
        copy = object.__new__(Collection)
        copy.__dict__.update(self.__dict__)
        copy.documents = dict(self.documents)
        copy.indexes = [
            StoredIndex(i.id, i.name, i.kind, i.fields, i.unique, i.sparse, i.shown, dict(i.entries))
            for i in self.indexes
        ]
        copy._sorted, copy._fresh = list(self._sorted), list(self._fresh)
        copy._changed = changed
        return copy

    # ---- descriptions

    def summary(self, guid: str) -> Document:
        """Return the short description."""
        return {
            "globallyUniqueId": f"{guid}/{self.id}",
            "isSystem": self.system,
            "status": 3,
            "type": self.kind,
            "name": self.name,
            "id": self.id,
        }

    def properties(self, guid: str) -> Document:
        """Return the long description, as a 3.12 single server prints it."""
        return {
            "writeConcern": self.write_concern,
            "waitForSync": self.wait_for_sync,
            "usesRevisionsAsDocumentIds": True,
            "syncByRevision": True,
            "supportsRBAC": True,
            "statusString": "loaded",
            "id": self.id,
            "isSmartChild": False,
            "schema": self.schema,
            "name": self.name,
            "type": self.kind,
            "status": 3,
            "cacheEnabled": self.cache,
            "isSystem": self.system,
            "internalValidatorType": 0,
            "globallyUniqueId": f"{guid}/{self.id}",
            "keyOptions": self.generator.options(),
            "computedValues": self.computed,
            "objectId": self.object_id,
        }


def id_prefix(collection: str) -> bytes:
    """Return the attribute `_id` of a collection's documents as they are encoded, up to the key."""
    return b'"_id":' + dump(f"{collection}/")[:-1]


def _locked(key: str, rev: str, where: str, *, held: bool) -> ConflictError:
    """Return the error for a locked key or value. held: waiting can help."""
    message = f"timeout waiting to lock key - {where}"
    return (
        LockedError(key, rev, message=message) if held else ConflictError(key, rev, precondition=False, message=message)
    )
