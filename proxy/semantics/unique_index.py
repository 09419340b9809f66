"""Unique indexes: the values that a document has in one, and the refusal of a document whose values another one has.

Where the entries are kept is the store's concern: the rules see a mapping of encoded values to the key that has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from proxy.base.errors import ArangoError

Document = dict[str, Any]
_INT_MIN: Final = float(-(1 << 63))
_INT_END: Final = float(1 << 64)


@dataclass(frozen=True, slots=True)
class UniqueIndex:
    """A unique index over the attributes of dotted paths; `[*]` expands an array.

    deduplicate: an array may repeat an element.
    """

    id: str
    name: str
    kind: str
    fields: tuple[str, ...]
    sparse: bool
    deduplicate: bool

    def values(self, document: Document, *, repeated: bool = False) -> Iterator[bytes]:
        """Yield a document's values: one, or one per element for a field `a[*]`; none for a sparse index with a null.

        Each is the JSON text of an array with a value per field. repeated: equal ones as often as they occur.
        """
        rows: list[list[Any]] = [[]]
        for path in self.fields:
            found = _resolve(document, path)
            rows = [[*row, value] for row in rows for value in found]
        seen: set[bytes] = set()
        for row in rows:
            if self.sparse and any(value is None for value in row):
                continue
            value = orjson.dumps([_normalized(value) for value in row], option=orjson.OPT_SORT_KEYS)
            if repeated or value not in seen:
                seen.add(value)
                yield value

    def check(self, entries: Mapping[bytes, str], key: str, document: Document) -> None:
        """Raise ArangoError 1210 if another document has one of the values."""
        seen: set[bytes] = set()
        for value in self.values(document, repeated=not self.deduplicate):
            holder = entries.get(value, key)
            # without `deduplicate`, an array whose elements repeat conflicts with itself
            if holder != key or value in seen:
                raise self.violation(holder)
            seen.add(value)

    def violation(self, holder: str) -> ArangoError:
        """Return the error for a value that the document with the key `holder` has."""
        return ArangoError(
            1210,
            f"unique constraint violated - in index {self.name} of type {self.kind} over "
            f"'{', '.join(self.fields)}'; conflicting key: {holder}",
        )

    def claim(self, entries: MutableMapping[bytes, str], key: str, document: Document) -> None:
        """Enter the values of a document that was checked."""
        for value in self.values(document):
            entries[value] = key

    def release(self, entries: MutableMapping[bytes, str], key: str, document: Document) -> None:
        """Remove the values of a document that is replaced or removed."""
        for value in self.values(document):
            if entries.get(value) == key:
                del entries[value]


def uniques_of(definitions: Iterable[Mapping[str, Any]]) -> tuple[UniqueIndex, ...]:
    """Return the unique indexes, except the primary one, among definitions as the API shows them."""
    return tuple(
        UniqueIndex(
            str(shown["id"]).rpartition("/")[2],
            str(shown["name"]),
            str(shown["type"]),
            tuple(map(str, shown["fields"])),
            bool(shown.get("sparse", False)),
            shown.get("deduplicate") is not False,
        )
        for shown in definitions
        if shown.get("unique") and shown.get("type") != "primary"
    )


def _resolve(document: Document, path: str) -> list[Any]:
    """Return the values at a dotted path; `[*]` expands an array. A missing one is null."""
    values: list[Any] = [document]
    for part in path.split("."):
        expand = part.endswith("[*]")
        name = part[:-3] if expand else part
        found = [value.get(name) if isinstance(value, dict) else None for value in values]
        if expand:
            found = [item for value in found if isinstance(value, list) for item in value]
        values = found
    return values


def _normalized(value: Any) -> Any:
    """Return a value in the form that all equal ones share: 1 and 1.0 are equal, as far as 64 bits hold integers."""
    if isinstance(value, float) and value.is_integer() and _INT_MIN <= value < _INT_END:
        return int(value)
    if isinstance(value, list):
        return [_normalized(item) for item in value]
    if isinstance(value, dict):
        return {name: _normalized(item) for name, item in value.items()}
    return value
