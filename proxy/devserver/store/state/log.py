"""The write-ahead log that `/_api/wal` reads: the latest markers, by tick.

Markers: protocol page, section 9. Documents' bytes are shared with the collections, not copied.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from proxy.model.json_values import dump
from proxy.semantics.encoded_document import revision_of

KEPT: Final = 65_536
DATABASE_CREATE, DATABASE_DROP = 1100, 1101
COLLECTION_CREATE, COLLECTION_DROP, COLLECTION_RENAME, COLLECTION_CHANGE, COLLECTION_TRUNCATE = range(2000, 2005)
INDEX_CREATE, INDEX_DROP = 2100, 2101
BEGIN, COMMIT = 2200, 2201
PUT, REMOVE = 2300, 2302


@dataclass(frozen=True, slots=True)
class Marker:
    """One entry. `data` is JSON text."""

    tick: int
    kind: int
    database: str
    collection: str
    transaction: str
    data: bytes

    def encode(self) -> bytes:
        """Return the marker as a line of the log, without the line's end."""
        line: dict[str, Any] = {"tick": str(self.tick), "type": self.kind, "db": self.database}
        if self.collection:
            line["cuid"] = self.collection
        if self.kind >= BEGIN:
            line["tid"] = self.transaction
        if not self.data:
            return dump(line)
        return dump(line)[:-1] + b',"data":' + self.data + b"}"


class MarkerLog:
    """The last `kept` markers. tick: the server's next number."""

    def __init__(self, tick: Callable[[], int], kept: int = KEPT) -> None:
        self._tick = tick
        self._markers: deque[Marker] = deque(maxlen=kept)
        self._transaction = "0"
        self._dropped: set[str] = set()
        self.lost = 0  # the newest tick that was dropped

    @property
    def first(self) -> int:
        """The oldest tick that is kept; 0 if there is none."""
        return self._markers[0].tick if self._markers else 0

    @property
    def last(self) -> int:
        return self._markers[-1].tick if self._markers else 0

    def document(self, database: str, collection: str, key: str, raw: bytes | None, old: bytes | None) -> None:
        """Append that a document was stored (raw) or removed (None; the marker then has the removed revision)."""
        if raw is not None:
            self._append(PUT, database, collection, raw)
        elif old is not None:
            self._append(REMOVE, database, collection, dump({"_key": key, "_rev": revision_of(old)}))

    def change(self, kind: int, database: str, collection: str = "", data: Any = None) -> None:
        """Append that a collection, an index or a database changed."""
        if kind == COLLECTION_DROP:
            self._dropped.add(collection)
        self._append(kind, database, collection, b"" if data is None else dump(data))

    def begin(self, database: str, transaction: str) -> None:
        """Make all that follows up to `commit` one transaction."""
        self._transaction = transaction
        self._append(BEGIN, database, "", b"")

    def commit(self, database: str) -> None:
        self._append(COMMIT, database, "", b"")
        self._transaction = "0"

    def _append(self, kind: int, database: str, collection: str, data: bytes) -> None:
        if len(self._markers) == self._markers.maxlen:
            self.lost = self._markers[0].tick
        self._markers.append(Marker(self._tick(), kind, database, collection, self._transaction, data))

    def after(self, tick: int, to: int | None = None) -> Iterator[Marker]:
        """Yield markers above a tick, except writes to collections that were dropped since, as in ArangoDB."""
        for marker in self._markers:
            if to is not None and marker.tick > to:
                return
            if marker.tick > tick and not (marker.kind in (PUT, REMOVE) and marker.collection in self._dropped):
                yield marker
