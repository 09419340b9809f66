"""A collection within one run of a query: what is stored, with what the run has written so far. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any, Final

from proxy.aql.requests import Fetch
from proxy.model import json_reader
from proxy.stores.postgres.modifications.known_documents import KnownDocuments
from proxy.stores.postgres.modifications.reserved_numbers import NumberRange, ReservedNumbers
from proxy.stores.postgres.modifications.value_index import Paths, ValueIndex, paths_of, values_of
from proxy.stores.postgres.writes.index_claims import IndexClaims
from proxy.stores.postgres.writes.loaded_collection import LoadedCollection
from proxy.stores.postgres.writes.locked_documents import conflict
from proxy.stores.postgres.writes.properties import Properties

Document = dict[str, Any]
_MOST_UNCHANGED: Final = 10_000  # keys that are remembered, so that memory holds them
_NONE: Final[Mapping[str, frozenset[bytes]]] = {}


class QueryCollection(LoadedCollection):
    """revisions: an iterator, which the caller keeps from running dry. numbers: for keys that the collection makes.

    blocked: keys that other transactions have, or have changed since the snapshot. blocked_values: as `blocked` of any
    loaded collection.
    """

    def __init__(
        self,
        name: str,
        *,
        edge: bool,
        properties: Properties,
        known: KnownDocuments,
        revisions: Iterable[int],
        numbers: NumberRange,
        random_keys: list[str],
        holders: dict[str, dict[bytes, str | None]],
        blocked: frozenset[str] = frozenset(),
        blocked_values: Mapping[str, frozenset[bytes]] = _NONE,
    ) -> None:
        self._holders = holders
        self.numbers = ReservedNumbers(properties.key_options, numbers, random_keys)
        super().__init__(
            name,
            edge=edge,
            properties=properties,
            rows=known.raws,
            loaded=self,
            revisions=revisions,
            holders=holders,
            blocked=blocked_values,
            generator=self.numbers,
        )
        self.known = known
        known.added.clear()  # its unique values are entered already
        self._supposed: set[str] = set()
        self._blocked_keys = blocked
        self.unchanged: set[str] = set()  # keys whose documents a write has found and left as they are: the first ones
        self._indexes: dict[Paths, ValueIndex] = {}  # of the documents that the run has written

    @property
    def written(self) -> bool:
        """True if the run has written to it."""
        return bool(self._written)

    def __contains__(self, key: object) -> bool:
        """Return True if the run may decide what it does with a key."""
        return key in self.known or key in self._written or key in self._supposed

    def suppose_absent(self, key: str) -> None:
        """Let the run continue as if a key had no document. It does not count then."""
        self._supposed.add(key)

    def get(self, key: str) -> bytes | None:
        """Return the document, as the run has written it so far. A key that nothing knows is one that was just made."""
        if key not in self:
            self._supposed.add(key)
        return super().get(key)

    def check_unlocked(self, key: str) -> None:
        """Raise ConflictError for a key that is known to be blocked. PostgreSQL refuses what is written to others."""
        if key in self._blocked_keys:
            raise conflict(key, "")
        if key not in self._written and len(self.unchanged) < _MOST_UNCHANGED:
            self.unchanged.add(key)

    def put(self, key: str, raw: bytes, document: Document, revision: int) -> None:
        self.unchanged.discard(key)
        # an exact copy: the printer's own text has room for some kilobytes more
        super().put(key, bytes(memoryview(raw)), document, revision)
        for index in self._indexes.values():
            index.add(key, document)

    def remove(self, key: str, revision: int) -> None:
        self.unchanged.discard(key)
        super().remove(key, revision)

    @property
    def pending(self) -> Container[str]:
        """The keys that the run has written, and that PostgreSQL has not got yet."""
        return self._written

    def learn_loaded(self) -> None:
        """Enter what documents that were read since the last write have in unique indexes."""
        for key in self.known.added if self._uniques else ():
            if key in self.known.raws and key not in self._written:
                self._claims.enter(key, self.known.document(key))
        self.known.added.clear()

    def take_written(self) -> None:
        """Take note that PostgreSQL has what the run has written so far."""
        for change in self.changes():
            self.known.take_written(change.key, change.raw)
        self._written.clear()
        self._given.clear()
        self._supposed.clear()
        self._indexes.clear()
        self._holders.clear()
        self._claims = IndexClaims(self._uniques, self.known.raws, self._holders)

    def documents(self, fetch: Fetch) -> list[Document] | None:
        """Return the documents of a fetch, and perhaps others, by key; None if it must be read first."""
        keys = self.known.find(fetch)
        if keys is None:
            return None
        if not self._written:
            return [self.known.document(key) for key in sorted(keys)]
        candidates = set(fetch.keys) if fetch.keys is not None else {*keys, *self._candidates(fetch)}
        found = (self._document(key) for key in sorted(candidates))
        return [document for document in found if document is not None]

    def _candidates(self, fetch: Fetch) -> Iterable[str]:
        """Return the keys of the documents that the run has written and that may be in a fetch."""
        if not fetch.equalities:
            return self._written
        paths = paths_of(fetch)
        index = self._indexes.get(paths)
        if index is None:
            index = self._indexes[paths] = ValueIndex(paths)
            for key, raw in self._written.items():
                if raw is not None:
                    index.add(key, json_reader.load(raw))
        return index.find(values_of(fetch))

    def _document(self, key: str) -> Document | None:
        if key in self._written:
            raw = self._written[key]
            parsed: Document | None = None if raw is None else json_reader.load(raw)
            return parsed
        return self.known.document(key) if key in self.known.raws else None
