"""Entries of the catalog for collections that came from ArangoDB. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from proxy.complete.catalog import collection_entry
from proxy.devserver.store.state.collection import DOCUMENTS, EDGES, Collection
from proxy.devserver.store.state.indexes import StoredIndex
from proxy.model import json_reader
from proxy.model.revision import Clock
from sql.statements.complete import UnlistedRow

Document = dict[str, Any]
_NAMED: Final = frozenset({"id", "name", "type", "unique", "sparse", "fields"})


def adopted_entry(row: UnlistedRow, tick: Callable[[], int]) -> bytes:
    """Return the entry of a collection whose properties are as ArangoDB showed them. tick: the server's next number."""
    properties = json_reader.load(row.properties.encode())
    given = str(properties.get("id", ""))
    number = int(given) if given.isdigit() else tick()
    made = Collection(number, row.name, EDGES if row.edge else DOCUMENTS, properties, tick=tick, clock=Clock())
    made.object_id = str(properties.get("objectId") or made.object_id)
    made.indexes += [
        _index(shown) for shown in properties.get("indexes") or () if shown.get("type") not in ("primary", "edge")
    ]
    return collection_entry(made, 0)


def largest_number(rows: Iterable[UnlistedRow]) -> int:
    """Return the largest number among those that collections and their indexes bring from ArangoDB, or 0."""
    found = {0}
    for row in rows:
        properties = json_reader.load(row.properties.encode())
        given = [properties.get("id"), properties.get("objectId")]
        given += [str(shown["id"]).rpartition("/")[2] for shown in properties.get("indexes") or ()]
        found |= {int(number) for number in map(str, given) if number.isdigit()}
    return max(found)


def _index(shown: Document) -> StoredIndex:
    """Return an index of its description."""
    fields = shown["fields"]
    rest = {name: value for name, value in shown.items() if name not in _NAMED}
    if any(isinstance(field, dict) for field in fields):
        rest["fields"] = fields
    paths = tuple(field["name"] if isinstance(field, dict) else field for field in fields)
    return StoredIndex(
        str(shown["id"]).rpartition("/")[2],
        shown["name"],
        shown["type"],
        paths,
        bool(shown.get("unique", False)),
        bool(shown.get("sparse", False)),
        rest,
    )
