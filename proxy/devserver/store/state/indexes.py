"""Indexes of a collection: definitions as clients see them, and their only effect here: uniqueness.

Queries do not use them; an index that is not unique is only a definition. (`expiry` reads those of type `ttl`.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.semantics.attributes import whole
from proxy.semantics.unique_index import UniqueIndex

Document = dict[str, Any]
_ALIASES: Final = {
    "hash": "persistent",
    "skiplist": "persistent",
    "rocksdb": "persistent",
    "geo1": "geo",
    "geo2": "geo",
}
_KINDS: Final = frozenset(
    {"persistent", "ttl", "geo", "fulltext", "zkd", "mdi", "mdi-prefixed", "inverted", "vector", "hash", "skiplist"}
)


@dataclass(slots=True)
class StoredIndex:
    """One index. `entries` maps a unique index's values (encoded) to the key that has them."""

    id: str
    name: str
    kind: str
    fields: tuple[str, ...]
    unique: bool = False
    sparse: bool = False
    # the rest of the definition, as it is shown
    shown: dict[str, Any] = field(default_factory=dict)
    entries: dict[bytes, str] = field(default_factory=dict)

    def definition(self, collection: str) -> dict[str, Any]:
        """Return the index as the API shows it, attributes in alphabetical order."""
        fields: list[Any] = self.shown.get("fields", list(self.fields))
        whole = {
            **self.shown,
            "fields": fields,
            "id": f"{collection}/{self.id}",
            "name": self.name,
            "sparse": self.sparse,
            "type": self.kind,
            "unique": self.unique,
        }
        return dict(sorted(whole.items()))

    def same_as(self, other: StoredIndex) -> bool:
        """Return True if a second definition means this index, so that creating it changes nothing."""
        return self._identity() == other._identity() and self.kind != "primary"

    def _identity(self) -> tuple[object, ...]:
        own = tuple(self.shown.get(name) for name in ("minLength", "geoJson", "legacyPolygons"))
        return self.kind, self.fields, self.unique, self.sparse, own

    @property
    def rules(self) -> UniqueIndex:
        """The rules of a unique index."""
        deduplicate = self.shown.get("deduplicate") is not False
        return UniqueIndex(self.id, self.name, self.kind, self.fields, self.sparse, deduplicate)

    def values(self, document: Document) -> Iterator[bytes]:
        """Yield a document's entries."""
        return self.rules.values(document)

    def check(self, key: str, document: Document) -> None:
        """Raise ArangoError 1210 if another document has the same values."""
        self.rules.check(self.entries, key, document)

    def add(self, key: str, document: Document) -> None:
        self.rules.claim(self.entries, key, document)

    def discard(self, key: str, document: Document) -> None:
        self.rules.release(self.entries, key, document)


def primary() -> StoredIndex:
    """Return the index that every collection has."""
    return StoredIndex("0", "primary", "primary", ("_key",), unique=True, shown={"selectivityEstimate": 1})


@dataclass(frozen=True, slots=True)
class _Definition:
    """An index as a client requests it. family: the kind without its aliases. unique: as far as the family can be."""

    family: str
    body: Document
    paths: tuple[Any, ...]
    unique: bool

    @property
    def sparse(self) -> bool:
        return bool(self.body.get("sparse", False))


def edge() -> StoredIndex:
    """Return the index that every edge collection has."""
    return StoredIndex("1", "edge", "edge", ("_from", "_to"), shown={"selectivityEstimate": 1})


def define(body: Document, number: int, name: str) -> StoredIndex:
    """Return an index from the definition that a client sends. Raise ArangoError 10 if it is invalid."""
    asked = body.get("type")
    if not isinstance(asked, str) or (asked not in _KINDS and asked not in _ALIASES):
        raise ArangoError(10, "invalid index type")
    kind = str(asked)
    fields = body.get("fields")
    if not isinstance(fields, list) or not fields:
        raise ArangoError(10, "index definition needs at least one field")
    paths = tuple(_path_of(item) for item in fields)
    if len(set(paths)) != len(paths):
        raise ArangoError(10, "duplicate attribute name in index fields list")
    stored_kind = "persistent" if kind == "rocksdb" else kind
    family = _ALIASES.get(kind, kind)
    unique = bool(body.get("unique", False)) and family in _UNIQUE
    shown, sparse = _PROPERTIES.get(family, _vector)(_Definition(family, body, paths, unique))
    return StoredIndex(str(number), str(body.get("name") or name), stored_kind, paths, unique, sparse, shown)


def _estimates(body: Document, *, unique: bool) -> dict[str, Any]:
    """Return whether the selectivity is estimated, and the estimate; that of a unique index is known to be 1."""
    estimates = bool(body.get("estimates", True))
    return {"estimates": estimates, **({"selectivityEstimate": 1} if estimates or unique else {})}


def _persistent(asked: _Definition) -> tuple[dict[str, Any], bool]:
    shown = {
        "cacheEnabled": bool(asked.body.get("cacheEnabled", False)),
        "deduplicate": bool(asked.body.get("deduplicate", True)),
        **_estimates(asked.body, unique=asked.unique),
    }
    if asked.body.get("storedValues"):
        shown["storedValues"] = asked.body["storedValues"]
    return shown, asked.sparse


def _ttl(asked: _Definition) -> tuple[dict[str, Any], bool]:
    after = asked.body.get("expireAfter")
    if isinstance(after, bool) or not isinstance(after, int | float) or after < 0:
        raise ArangoError(10, "expireAfter attribute must be a number")
    if len(asked.paths) != 1:
        raise ArangoError(10, "ttl index can only have one field")
    return {"estimates": False, "expireAfter": after}, True


def _geo(asked: _Definition) -> tuple[dict[str, Any], bool]:
    if len(asked.paths) > 2 or (len(asked.paths) == 2 and asked.body.get("geoJson")):
        raise ArangoError(10, "geo indexes have one attribute, or two without geoJson")
    shown = {
        "bestIndexedLevel": 17,
        "geoJson": bool(asked.body.get("geoJson", False)),
        "legacyPolygons": bool(asked.body.get("legacyPolygons", False)),
        "maxNumCoverCells": 8,
        "worstIndexedLevel": 4,
    }
    return shown, True


def _fulltext(asked: _Definition) -> tuple[dict[str, Any], bool]:
    if len(asked.paths) != 1:
        raise ArangoError(10, "fulltext indexes have one attribute")
    return {"minLength": whole(asked.body, "minLength", 2)}, True


def _multi_dimensional(asked: _Definition) -> tuple[dict[str, Any], bool]:
    _check_multi_dimensional(asked.family, asked.body)
    shown = {**_estimates(asked.body, unique=asked.unique), "fieldValueTypes": "double"}
    shown |= {name: asked.body[name] for name in ("prefixFields", "storedValues") if name in asked.body}
    return shown, asked.sparse


def _inverted_shown(asked: _Definition) -> tuple[dict[str, Any], bool]:
    return _inverted(asked.body, asked.body["fields"]), True


def _vector(asked: _Definition) -> tuple[dict[str, Any], bool]:
    known = {"type", "fields", "name", "unique", "sparse", "inBackground"}
    if not isinstance(asked.body.get("params"), dict):
        raise ArangoError(10, "vector indexes need params")
    return {name: value for name, value in asked.body.items() if name not in known}, asked.sparse


def _check_multi_dimensional(family: str, body: Document) -> None:
    """Raise ArangoError 10 if such an index is impossible."""
    if body.get("fieldValueTypes") != "double":
        raise ArangoError(10, "fieldValueTypes must be `double`")
    prefix = body.get("prefixFields")
    if family == "mdi-prefixed" and (not isinstance(prefix, list) or not prefix):
        raise ArangoError(10, "mdi-prefixed indexes need prefixFields")
    if family == "zkd" and (prefix is not None or body.get("sparse")):
        raise ArangoError(10, "zkd indexes are not sparse and have no prefixFields")


def _inverted(body: Document, fields: list[Any]) -> dict[str, Any]:
    """Return the definition of an inverted index, completed as ArangoDB shows it."""
    analyzer = body.get("analyzer", "identity")
    search, everything = bool(body.get("searchField", False)), bool(body.get("includeAllFields", False))
    defaults = {
        "analyzer": analyzer,
        "cache": bool(body.get("cache", False)),
        "cleanupIntervalStep": 2,
        "commitIntervalMsec": 1000,
        "consolidationIntervalMsec": 5000,
        "features": ["frequency", "norm"],
        "includeAllFields": everything,
        "optimizeTopK": [],
        "primaryKeyCache": bool(body.get("primaryKeyCache", False)),
        "primarySort": {"compression": "lz4", "fields": []},
        "searchField": search,
        "storedValues": [],
        "trackListPositions": False,
        "version": 1,
    }
    known = {"type", "fields", "name", "unique", "sparse", "inBackground"}
    given = {name: value for name, value in body.items() if name not in known}
    return {**defaults, **given, "fields": [item if isinstance(item, dict) else {"name": item} for item in fields]}


def _path_of(item: object) -> str:
    name = item.get("name") if isinstance(item, dict) else item
    if not isinstance(name, str) or not name:
        raise ArangoError(10, "index fields must be strings")
    return name


_UNIQUE: Final = ("persistent", "mdi", "zkd", "mdi-prefixed")
# family -> what ArangoDB shows of an index of it, and whether it is sparse; each raises ArangoError 10
_PROPERTIES: Final[dict[str, Callable[[_Definition], tuple[dict[str, Any], bool]]]] = {
    "persistent": _persistent,
    "ttl": _ttl,
    "geo": _geo,
    "fulltext": _fulltext,
    "zkd": _multi_dimensional,
    "mdi": _multi_dimensional,
    "mdi-prefixed": _multi_dimensional,
    "inverted": _inverted_shown,
}
