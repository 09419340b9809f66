"""The loaded documents of a collection, to which the rules write: a decision with no side effects.

It is a `semantics.writable.WritableCollection` for one attempt: it gives the loaded documents, keeps what is written to
it, and states the difference.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.model.documents import valid_key
from proxy.model.revision import decode_rev, encode_rev
from proxy.semantics.encoded_document import revision_of
from proxy.semantics.key_generator import KeyGenerator
from proxy.stores.postgres.writes.index_claims import Holders, IndexClaims
from proxy.stores.postgres.writes.interruptions import NotLoadedError
from proxy.stores.postgres.writes.locked_documents import conflict
from proxy.stores.postgres.writes.properties import Properties
from proxy.stores.postgres.writes.row_changes import RowChange

Document = dict[str, Any]
_NOTHING: Final[Holders] = {}
_NONE: Final[Mapping[str, frozenset[bytes]]] = {}
_LARGEST: Final = (1 << 63) - 1  # what a column of revisions holds


class LoadedCollection:
    """The rows of some keys. rows: raw document by key, None for a tombstone. loaded: the keys that were looked up.

    revisions: new ones, as many as the decision may need. holders: what was looked up in unique indexes. blocked:
    values that no document can have now, by the number of their unique index. generator: of keys, by default one whose
    numbers start at 1.
    """

    def __init__(
        self,
        name: str,
        *,
        edge: bool,
        properties: Properties,
        rows: Mapping[str, bytes | None],
        loaded: Container[str],
        revisions: Iterable[int],
        holders: Holders = _NOTHING,
        blocked: Mapping[str, frozenset[bytes]] = _NONE,
        generator: KeyGenerator | None = None,
    ) -> None:
        self.name = name
        self.edge = edge
        self.schema = properties.schema
        self.computed = properties.computed
        self.wait_for_sync = properties.wait_for_sync
        self.generator = generator or properties.generator(0)
        self._rows = rows
        self._loaded = loaded
        self._revisions = iter(revisions)
        self._written: dict[str, bytes | None] = {}
        self._given: dict[str, int] = {}  # revisions of what is written
        self._uniques = properties.uniques
        self._blocked = blocked
        self._claims = IndexClaims(properties.uniques, rows, holders)

    def tick(self) -> int:
        return next(self._revisions)

    def get(self, key: str) -> bytes | None:
        """Return the document, as this decision has written it so far. Raise NotLoadedError."""
        if key in self._written:
            return self._written[key]
        if key not in self._loaded:
            if not valid_key(key):
                return None  # no document can have it
            raise NotLoadedError(frozenset({key}))
        return self._rows.get(key)

    def put(self, key: str, raw: bytes, document: Document, revision: int) -> None:
        """Keep a document. Raise ArangoError 1210 if a unique index forbids it, and 1239 for a restored revision that
        PostgreSQL cannot hold; nothing has changed then.
        """
        rev = document["_rev"]
        given = revision if rev == encode_rev(revision) else decode_rev(rev)
        if given > _LARGEST:
            raise ArangoError(1239, status=400)
        if self._claims:
            self._claims.put(key, self.present(key), document)
        self._written[key] = raw
        self._given[key] = given

    def remove(self, key: str, revision: int) -> None:  # noqa: ARG002 - a tombstone keeps its revision
        if self._claims:
            self._claims.remove(key, self.present(key))
        self._written[key] = None

    def put_back(self, key: str, old: bytes | None) -> None:
        if self._claims:
            self._claims.put_back(key, self.present(key), old)
        self._written[key] = old
        self._given[key] = 0 if old is None else decode_rev(revision_of(old))

    def check_complete(self, *, written: bool) -> None:
        """Raise NotLoadedError if the decision has assumed what must be looked up in unique indexes.

        written: the changes will be written, and PostgreSQL refuses them if they violate an index.
        """
        assumed = self._claims.assumed(written=written)
        if assumed:
            raise NotLoadedError(values=assumed)

    def learn_holders(self, found: Holders) -> None:
        """Take note of what was looked up in unique indexes after the decision began."""
        self._claims.learn(found, self.present)

    def present(self, key: str) -> bytes | None:
        """Return the document, as this decision has written it so far; None also if its key was not loaded."""
        return self._written[key] if key in self._written else self._rows.get(key)

    def check_unlocked(self, key: str) -> None:
        """Raise nothing: the row is locked by this transaction."""

    def check_unclaimed(self, key: str, document: Document) -> None:
        """Raise ConflictError for a document that claims a blocked value. For others, a write waits in PostgreSQL."""
        for index in self._uniques if self._blocked else ():
            values = self._blocked.get(index.id)
            if values and not values.isdisjoint(index.values(document)):
                stored = self.present(key)
                raise conflict(key, "" if stored is None else revision_of(stored), index)

    def changes(self) -> list[RowChange]:
        """Return the documents that differ from what was loaded, in the order of keys."""
        return [
            RowChange(key, 0 if raw is None else self._given[key], raw, key in self._rows)
            for key, raw in sorted(self._written.items())
            if raw != self._rows.get(key)
        ]
