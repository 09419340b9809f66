"""Which collections a request reads or may write, as far as it shows that. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from proxy.model.endpoint import CollectionIn, Family, Verb, WriteRoute
from proxy.model.operations import Operation
from proxy.model.stages import Snapshot, Stage

GRAPHS: Final = "_graphs"  # the collection of graph definitions


class _Named(msgspec.Struct):
    name: str = ""


class _Collected(msgspec.Struct):
    collection: str = ""


class _Index(msgspec.Struct):
    type: str = ""


_COLLECTION: Final = msgspec.json.Decoder(_Collected)
_INDEX: Final = msgspec.json.Decoder(_Index)
_NAME: Final = msgspec.json.Decoder(_Named)


def anywhere(operation: Operation) -> tuple[str, ...]:
    """Return what stands for every collection of the database."""
    return (f"{operation.database}/*",)


def captured_only(snapshot: Snapshot, collections: Iterable[str]) -> tuple[str, ...]:
    """Return those collections whose writes are captured: only they can become unverified.

    Of a database with promoted collections, which ArangoDB cannot have written, the others are named.
    """
    kept = []
    for collection in collections:
        database, _, name = collection.partition("/")
        if name != "*":
            kept += [collection] if snapshot.policy(collection).capture else []
        elif _promoted_in(database, snapshot) and not _mirrored(snapshot.default_stage(database)):
            known = (each for each in snapshot.collections if each.startswith(f"{database}/"))
            kept += sorted(each for each in known if snapshot.policy(each).capture)
        elif snapshot.database_has(database, Stage.MIRROR):
            kept.append(collection)
    return tuple(kept)


def _promoted_in(database: str, snapshot: Snapshot) -> bool:
    return snapshot.has_other_writers and snapshot.database_has(database, Stage.PROMOTED)


def _mirrored(stage: Stage) -> bool:
    """Return True if writes of collections that are not known are captured, by the default of their database."""
    return stage.at_least(Stage.MIRROR) and not stage.at_least(Stage.PROMOTED)


def read_of(operation: Operation) -> str | None:
    """Return the collection (`database/name`) that a read of documents reads, other than a query; None if unnamed."""
    if operation.endpoint.collection_in is CollectionIn.BODY:
        name = collection_in_body(operation.body)
        return f"{operation.database}/{name}" if name else None
    return operation.qualified


def may_write(operation: Operation) -> tuple[str, ...]:
    """Return the collections that an operation may write, other than a query; `db/*` if the request does not show it.

    Through a graph a removal takes edges of any collection with it. A change of the graph names a collection in its
    path and writes another, `_graphs`; it may create or drop some.
    """
    endpoint, database, collection = operation.endpoint, operation.database, operation.collection
    if endpoint.family is Family.DATABASE:
        return (f"{operation.path[-1]}/*",)
    if collection is not None and collection[:1].isdigit():  # an id: only ArangoDB knows the collection
        return anywhere(operation)
    if endpoint.family is Family.GRAPH:
        one = endpoint.write_route is WriteRoute.GRAPH_DOCUMENT and endpoint.verb is not Verb.REMOVE
        return (f"{database}/{collection}",) if one and collection else anywhere(operation)
    if endpoint.collection_in is CollectionIn.BODY:
        return (f"{database}/{collection_in_body(operation.body) or '*'}",)
    if endpoint.collection_in is CollectionIn.BODY_NAME:
        name = name_in_body(operation.body)
        if collection is None or not name:
            return (f"{database}/{name or '*'}",)
        # ArangoDB renames it in the definitions of graphs too
        return f"{database}/{collection}", f"{database}/{name}", f"{database}/{GRAPHS}"
    return (f"{database}/{collection or '*'}",)


def name_in_body(body: bytes) -> str:
    """Return the attribute `name` of a JSON object; empty if there is none."""
    try:
        return _NAME.decode(body).name
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def index_type(body: bytes) -> str | None:
    """Return the type of index that the body of a creation names; None if it cannot be read."""
    try:
        return _INDEX.decode(body).type
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def collection_in_body(body: bytes) -> str:
    """Return the attribute `collection` of a JSON object; empty if there is none, or an id."""
    try:
        name = _COLLECTION.decode(body).collection
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return "" if name[:1].isdigit() else name
