"""What a collection takes with it when PostgreSQL takes its writes: decided of what both databases show. Pure.

Generated keys never repeat: PostgreSQL continues above the largest number that ArangoDB's generator has used, and above
every number among the keys of its own table. Revisions continue above all that either of both has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.devserver.store.state.collection import EDGES
from proxy.model.json_values import dump
from proxy.model.revision import decode_rev
from proxy.semantics.attributes import whole
from proxy.semantics.computed_values import computed_values_of
from proxy.semantics.key_generator import KeyGenerator
from proxy.semantics.schema import schema_of

Document = dict[str, Any]
_CARRIED: Final = (
    *("id", "objectId", "globallyUniqueId", "type", "isSystem", "waitForSync", "cacheEnabled", "writeConcern"),
    *("schema", "computedValues"),
)
_SERVED: Final = frozenset({"primary", "edge", "persistent", "hash", "skiplist", "rocksdb", "ttl"})  # kinds of indexes
_OF_REQUESTS: Final = frozenset({"figures", "isNewlyCreated", "isBuilding", "progress", "code", "error"})
_OF_CLUSTERS: Final = ("isSmart", "isDisjoint", "distributeShardsLike", "smartGraphAttribute", "smartJoinAttribute")


@dataclass(frozen=True, slots=True)
class OriginCollectionState:
    """What ArangoDB shows of a collection. properties: with the newest revision as `revision`."""

    properties: Document
    indexes: Sequence[Document]


@dataclass(frozen=True, slots=True)
class TargetCollectionState:
    """What PostgreSQL has of a collection. revision: the newest, of tombstones too.

    decimal, padded: the largest number among the keys, of those that are decimal and of those of 16 hexadecimal digits.
    It may be read earlier than ArangoDB's state, whose generator counts the keys that come later.
    """

    edge: bool
    revision: int = 0
    decimal: int = 0
    padded: int = 0


@dataclass(frozen=True, slots=True)
class Handover:
    """The arguments of `take_writes`. revision: new ones are above; last: the largest number of the key generator.

    kept_only: what clients continue to see, and what has no effect on PostgreSQL, in words. refused: why PostgreSQL
    cannot take the collection, in words. one_way: why the reverse mirror could not keep ArangoDB equal, in words.
    """

    collection: str
    revision: int
    properties: bytes
    last: int
    indexes: tuple[Document, ...]
    kept_only: tuple[str, ...]
    refused: tuple[str, ...]
    one_way: tuple[str, ...] = ()


def plan_handover(collection: str, origin: OriginCollectionState, target: TargetCollectionState) -> Handover:
    """Return what a collection (`database/name`) takes with it."""
    shown = origin.properties
    options = dict(shown.get("keyOptions") or {})
    last = whole(options, "lastValue", 0)
    options.pop("lastValue", None)  # a row of `_crossfade.last_key`
    found = target.padded if options.get("type") == "padded" else target.decimal
    indexes = tuple({name: value for name, value in one.items() if name not in _OF_REQUESTS} for one in origin.indexes)
    properties = {name: shown[name] for name in _CARRIED if name in shown}
    return Handover(
        collection,
        max(target.revision, decode_rev(str(shown["revision"]))),
        dump({**properties, "keyOptions": options, "indexes": indexes}),
        0 if options.get("type") == "uuid" else max(last, found),
        indexes,
        tuple(_kept_only(shown, indexes)),
        tuple(_refused(shown, options, edge=target.edge)),
        tuple(_one_way(shown)),
    )


def _kept_only(shown: Document, indexes: Sequence[Document]) -> Iterator[str]:
    for index in indexes:
        if index.get("type") not in _SERVED:
            yield f"index {index.get('name')} ({index.get('type')}) is shown, and no query uses it"
    for name in _OF_CLUSTERS:
        if shown.get(name):
            yield f"{name} is a property of clusters"
    if shown.get("shardKeys") not in (None, ["_key"]):
        yield "shardKeys are a property of clusters"


def _refused(shown: Document, options: Document, *, edge: bool) -> Iterator[str]:
    if (shown.get("type") == EDGES) != edge:
        yield "ArangoDB and PostgreSQL do not agree on whether it holds edges"
    checks: tuple[tuple[str, Callable[[], object]], ...] = (
        ("keyOptions", lambda: KeyGenerator(options, int)),
        ("schema", lambda: schema_of(shown)),
        ("computedValues", lambda: computed_values_of(shown)),
    )
    for name, check in checks:
        try:
            check()
        except ArangoError as error:
            yield f"its {name} cannot be carried over: {error.message}"


def _one_way(shown: Document) -> Iterator[str]:
    for one in shown.get("computedValues") or ():
        if one.get("overwrite"):
            yield f"ArangoDB would compute {one.get('name')} again in each document that it gets (`overwrite: true`)"
