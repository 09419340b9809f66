"""What an attempt has loaded of a collection, and what a pass missed of it. Values only: `loading` fills them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from proxy.model.documents import valid_key
from proxy.model.revision import decode_rev
from proxy.semantics.encoded_document import revision_of
from proxy.semantics.key_generator import new_uuid
from proxy.stores.postgres.writes.row_changes import RowChange

T = TypeVar("T")


@dataclass(slots=True)
class LoadedPart:
    """Loaded values of one collection; kept from pass to pass of one attempt.

    documents: by key; None: there is none. complete: no other documents exist. vertices: those whose edges are loaded.
    newest: the newest revision; last_key: the number that the key generator continues after; taken: the one up to which
    no other request uses numbers. locked: the keys that this transaction has locked; rows: those among them that have a
    row, perhaps of a tombstone. revisions: drawn after that. noted: the outbox must have the keys of writes. emptied:
    this transaction has removed every document. uuids: keys that passes have made. holders: by the number of a unique
    index, the keys of the documents that have values. checksums: by whether revisions and
    contents are in them.
    """

    documents: dict[str, bytes | None] = field(default_factory=dict)
    complete: bool = False
    vertices: set[str] = field(default_factory=set)
    count: int | None = None
    size: int | None = None
    newest: int | None = None
    last_key: int | None = None
    taken: int = 0
    locked: set[str] = field(default_factory=set)
    rows: set[str] = field(default_factory=set)
    revisions: list[int] = field(default_factory=list)
    noted: bool = True
    emptied: bool = False
    uuids: list[str] = field(default_factory=list)
    holders: dict[str, dict[bytes, str | None]] = field(default_factory=dict)
    checksums: dict[tuple[bool, bool], int] = field(default_factory=dict)

    def uuids_again(self) -> Callable[[], str]:
        """Return a function that returns the keys that earlier passes made, then new ones: passes must not differ."""
        made = 0

        def following() -> str:
            nonlocal made
            made += 1
            if made > len(self.uuids):
                self.uuids.append(new_uuid())
            return self.uuids[made - 1]

        return following


@dataclass(slots=True)
class Missing:
    """What a pass asked for and did not find in the part. revisions: how many it would have drawn.

    values: by the number of a unique index.
    """

    keys: set[str] = field(default_factory=set)
    vertices: set[str] = field(default_factory=set)
    documents: bool = False
    count: bool = False
    size: bool = False
    state: bool = False
    revisions: int = 0
    values: dict[str, set[bytes]] = field(default_factory=dict)
    checksums: set[tuple[bool, bool]] = field(default_factory=set)

    @property
    def anything(self) -> bool:
        """True if something must be read; revisions are drawn for a pass that writes only."""
        single = self.documents or self.count or self.size or self.state
        return bool(single or self.keys or self.vertices or self.checksums) or any(self.values.values())


@dataclass(frozen=True, slots=True)
class DocumentChanges:
    """What a pass changed in the documents of a collection. emptied: all are removed first."""

    documents: dict[str, bytes | None]
    emptied: bool

    def __bool__(self) -> bool:
        return self.emptied or bool(self.documents)

    def rows(self, part: LoadedPart) -> list[RowChange]:
        """Return the rows to write, in the order of keys."""
        return [
            RowChange(key, 0 if raw is None else decode_rev(revision_of(raw)), raw, key in part.rows)
            for key, raw in sorted(self.documents.items())
        ]


class DemandDocuments(dict[str, bytes]):
    """Encoded documents by key, of which only a part is loaded: a look-up of others is noted and finds nothing.

    The dictionary itself has the documents that are known to exist.
    """

    def __init__(self, part: LoadedPart, missing: Missing) -> None:
        super().__init__((key, raw) for key, raw in part.documents.items() if raw is not None)
        self._part = part
        self._missing = missing
        self._absent = {key for key, raw in part.documents.items() if raw is None}
        self._changed: set[str] = set()
        self.emptied = False

    @property
    def complete(self) -> bool:
        """True if there are no other documents."""
        return self._part.complete or self.emptied

    def changes(self) -> DocumentChanges:
        """Return how these documents differ from those that were loaded."""
        before: dict[str, bytes | None] = {} if self.emptied else self._part.documents
        found = {key: dict.get(self, key) for key in self._changed}
        return DocumentChanges({key: raw for key, raw in found.items() if raw != before.get(key)}, self.emptied)

    def loaded_count(self) -> int:
        """Return by how much the number of documents has changed; if complete, the number."""
        if self.complete:
            return dict.__len__(self)
        before = self._part.documents
        return sum((dict.get(self, key) is not None) - (before.get(key) is not None) for key in self._changed)

    def remove_all(self) -> None:
        """Remove every document, loaded or not."""
        dict.clear(self)
        self._absent.clear()
        self._changed.clear()
        self.emptied = True

    def get(self, key: str, default: Any = None) -> Any:
        found = dict.get(self, key)
        if found is None:
            self._note(key)
            return default
        return found

    def __getitem__(self, key: str) -> bytes:
        if not dict.__contains__(self, key):
            self._note(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        if dict.__contains__(self, key):
            return True
        if isinstance(key, str):
            self._note(key)
        return False

    def __setitem__(self, key: str, raw: bytes) -> None:
        self._changed.add(key)
        super().__setitem__(key, raw)

    def pop(self, key: str, *default: Any) -> Any:
        self._changed.add(key)
        self._absent.add(key)
        return super().pop(key, *default)

    def __len__(self) -> int:
        return self._all(dict.__len__(self))

    def __iter__(self) -> Iterator[str]:
        return self._all(super().__iter__())

    def keys(self) -> Any:
        return self._all(super().keys())

    def values(self) -> Any:
        return self._all(super().values())

    def items(self) -> Any:
        return self._all(super().items())

    def _all(self, value: T) -> T:
        """Return the value, which needs every document."""
        if not self.complete:
            self._missing.documents = True
        return value

    def _note(self, key: str) -> None:
        if not self.complete and key not in self._absent and valid_key(key):
            self._missing.keys.add(key)
