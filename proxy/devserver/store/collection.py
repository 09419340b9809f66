"""One collection: encoded documents by key, in the order of their keys where it is asked for, and their rules.

A document is the bytes that ArangoDB would print; it is parsed where somebody must look into it. A `fork` is a copy
that a stream transaction works on: the documents' bytes are shared.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.devserver.store import indexes
from proxy.devserver.store.asked import whole
from proxy.devserver.store.indexes import Index
from proxy.devserver.store.keys import KeyGenerator
from proxy.model import json_reader
from proxy.model.revision import Clock, decode_rev

Document = dict[str, Any]
_REV: Final = b'"_rev":"'
DOCUMENTS, EDGES = 2, 3
_NEVER_WRITTEN: Final = decode_rev("0")  # the revision that ArangoDB shows of a new collection: "54"


def revision_of(raw: bytes) -> str:
    """The `_rev` of an encoded document: the first that stands in it, since what comes before has no quotes inside."""
    start = raw.index(_REV) + 8
    return raw[start : raw.index(b'"', start)].decode()


class Locks(dict[str, str]):
    """Key -> the running stream transaction that wrote it. `key in locks`: nobody else may write it now.

    claims: the same for what stands in unique indexes, by (index, encoded values): what a running transaction has
    written, and what it has taken out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.claims: dict[tuple[str, bytes], str] = {}

    def held(self, key: object) -> bool:
        """Whether waiting can help: somebody holds the key who will let go of it."""
        return isinstance(key, str) and key in self

    def claimed(self, index: Index, value: bytes) -> bool:
        """Whether somebody else has written that value of a unique index."""
        return (index.id, value) in self.claims

    def claim_held(self, index: Index, value: bytes) -> bool:
        """Whether waiting can help with it."""
        return (index.id, value) in self.claims


class Collection:
    """Documents and properties. `put` and `remove` keep indexes, order and the journal of a fork.

    seen: called with (collection, key, raw or None, old raw or None) for each change; a write-ahead log, usually.
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
        seen: Callable[[Collection, str, bytes | None, bytes | None], None] | None = None,
    ) -> None:
        self.clock = clock
        self.id = str(number)
        self.object_id = str(tick())
        self.name = name
        self.kind = kind
        self.wait_for_sync = bool(properties.get("waitForSync", False))
        self.schema: Document | None = properties.get("schema")
        self.computed = properties.get("computedValues")
        self.cache = bool(properties.get("cacheEnabled", False))
        self.system = name.startswith("_")
        self.write_concern = whole(properties, "writeConcern", whole(properties, "minReplicationFactor", 1))
        key_options = properties.get("keyOptions")
        self.generator = KeyGenerator(key_options if isinstance(key_options, dict) else {}, tick)
        self.documents: dict[str, bytes] = {}
        self.indexes: list[Index] = [indexes.primary()] + ([indexes.edge()] if kind == EDGES else [])
        self.revision = _NEVER_WRITTEN
        self.locks = Locks()
        self.exclusive: str | None = None  # the running stream transaction that has the collection to itself
        self._seen = seen
        self._sorted: list[str] = []
        self._fresh: list[str] = []
        self._stale = 0

    @property
    def edge(self) -> bool:
        return self.kind == EDGES

    @property
    def uniques(self) -> list[Index]:
        """The unique indexes but the primary one."""
        return [index for index in self.indexes[1:] if index.unique]

    def get(self, key: str) -> bytes | None:
        return self.documents.get(key)

    def load(self, key: str) -> Document | None:
        """The parsed document; None where there is none."""
        raw = self.documents.get(key)
        return None if raw is None else json_reader.load(raw)

    def put(self, key: str, raw: bytes, document: Document, revision: int) -> None:
        """Stores a document. Raises ArangoError 1210 where a unique index forbids it; nothing has changed then."""
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
        raw = bytes(memoryview(raw))  # what orjson made holds on to 4 KB, however short it is
        self.documents[key] = raw
        self.revision = revision
        if self._seen is not None:
            self._seen(self, key, raw, old)

    def remove(self, key: str, revision: int) -> None:
        old = self.documents.pop(key)
        for index in self.uniques:
            index.discard(key, json_reader.load(old))
        self._stale += 1
        self.revision = revision
        if self._seen is not None:
            self._seen(self, key, None, old)

    def clear(self) -> None:
        """Removes every document without a word of each."""
        self.documents = {}
        for index in self.indexes:
            index.entries.clear()
        self._sorted, self._fresh, self._stale = [], [], 0

    def sorted_keys(self) -> list[str]:
        """All keys in byte order. The list is the collection's own: it may only be read, and not across an await."""
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

    def after(self, key: str | None, limit: int) -> list[str]:
        """At most `limit` keys above `key` in byte order: a page."""
        keys = self.sorted_keys()
        start = 0 if key is None else bisect_right(keys, key)
        return keys[start : start + limit]

    def scan(self) -> Iterator[Document]:
        """Every document, parsed, in the order of keys."""
        documents = self.documents
        return (json_reader.load(documents[key]) for key in self.sorted_keys())

    def add_index(self, index: Index) -> None:
        """Fills and adds an index. Raises ArangoError 1210 where the documents break it."""
        if index.unique:
            for key in self.sorted_keys():
                document = json_reader.load(self.documents[key])
                index.check(key, document)
                index.add(key, document)
        self.indexes.append(index)

    def find_index(self, text: str) -> Index:
        """An index by number or name. Raises ArangoError 1212."""
        for index in self.indexes:
            if text in (index.id, index.name):
                return index
        raise ArangoError(1212, "index not found")

    def fork(self, seen: Callable[[Collection, str, bytes | None, bytes | None], None]) -> Collection:
        """A copy for a transaction: a snapshot that it may change. The generator of keys stays shared."""
        copy = object.__new__(Collection)
        copy.__dict__.update(self.__dict__)
        copy.documents = dict(self.documents)
        copy.indexes = [
            Index(i.id, i.name, i.kind, i.fields, i.unique, i.sparse, i.shown, dict(i.entries)) for i in self.indexes
        ]
        copy._sorted, copy._fresh = list(self._sorted), list(self._fresh)
        copy._seen = seen
        return copy

    # ---- as the API shows it

    def summary(self, guid: str) -> Document:
        """The short description."""
        return {
            "globallyUniqueId": f"{guid}/{self.id}",
            "isSystem": self.system,
            "status": 3,
            "type": self.kind,
            "name": self.name,
            "id": self.id,
        }

    def properties(self, guid: str) -> Document:
        """The long description, as a 3.12 single server prints it."""
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
