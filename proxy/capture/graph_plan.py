"""Vertices and edges through a named graph (`/_api/gharial`): which documents a request writes, by key. Pure.

A change of the graph itself writes its definition, a document of `_graphs`, and may write those of other graphs; it may
create collections, which its body names, and drop some: one that its path names, or, with the whole graph, every one
that no other graph uses.

The removal of a vertex or an edge also removes every edge that ends in it, in every graph, and its answer does not name
them (protocol page, "Surprises"): they are found afterwards, see `replication.resync`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from proxy.capture.answers import flag
from proxy.model.documents import valid_key
from proxy.model.endpoint import Verb
from proxy.model.operations import Operation


class _Keyed(msgspec.Struct):
    key: str | None = msgspec.field(name="_key", default=None)


class _Answer(msgspec.Struct):
    vertex: _Keyed | None = None
    edge: _Keyed | None = None


class _Definition(msgspec.Struct):
    collection: str = ""
    start: str | list[str] = msgspec.field(name="from", default_factory=list)
    end: str | list[str] = msgspec.field(name="to", default_factory=list)


class _Graph(_Definition):
    name: str = ""
    definitions: list[_Definition] = msgspec.field(name="edgeDefinitions", default_factory=list)
    orphans: list[str] = msgspec.field(name="orphanCollections", default_factory=list)


_GRAPH: Final = msgspec.json.Decoder(_Graph)
_KEYED: Final = msgspec.json.Decoder(_Keyed)
_ANSWER: Final = msgspec.json.Decoder(_Answer)


@dataclass(frozen=True, slots=True)
class GraphPlan:
    """One write of one document. key: None if ArangoDB makes it. cascade: the handle whose edges go with it."""

    collection: str
    key: str | None
    cascade: str | None


def plan(operation: Operation) -> GraphPlan | None:
    """Return what the write of a document concerns; None if its path or its body does not say."""
    collection = operation.qualified
    if collection is None or operation.collection is None or operation.collection[:1].isdigit():
        return None
    if operation.endpoint.verb is Verb.INSERT:
        try:
            return GraphPlan(collection, _KEYED.decode(operation.body).key, None)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return GraphPlan(collection, None, None)
    removes = operation.endpoint.verb is Verb.REMOVE
    return GraphPlan(collection, operation.key, f"{operation.collection}/{operation.key}" if removes else None)


def key_of(body: bytes) -> str | None:
    """Return the key that an answer names; None if it names none."""
    try:
        answer = _ANSWER.decode(body)
    except msgspec.DecodeError:
        return None
    shown = answer.vertex or answer.edge
    return None if shown is None else shown.key


def makes(operation: Operation) -> tuple[str, ...]:
    """Return the collections (`db/name`) that a change of a graph creates if they do not exist."""
    body = _graph_of(operation.body)
    names = list(body.orphans)
    for definition in (*body.definitions, body):
        names += [definition.collection, *_several(definition.start), *_several(definition.end)]
    return tuple(f"{operation.database}/{name}" for name in dict.fromkeys(names) if name)


def definition(operation: Operation) -> tuple[str, tuple[str, ...]] | None:
    """Return (collection, keys) of the documents that a change writes; None if the request does not name the graph.

    No keys: ArangoDB replaces the definition of an edge collection in every graph that has one of it.
    """
    key = operation.path[2] if len(operation.path) > 2 else _graph_of(operation.body).name
    if not valid_key(key):
        return None
    return f"{operation.database}/_graphs", () if operation.endpoint.verb is Verb.REPLACE else (key,)


def _graph_of(body: bytes) -> _Graph:
    try:
        return _GRAPH.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Graph()


def _several(given: str | list[str]) -> list[str]:
    return [given] if isinstance(given, str) else given


def drops(operation: Operation) -> tuple[str, ...]:
    """Return the collections (`db/name`; `db/*`: any) that a change of a graph may drop as well; most drop none."""
    if not any(name.startswith("dropCollection") and flag(value) for name, value in operation.params.items()):
        return ()
    name = operation.collection or ""
    return (f"{operation.database}/{name if name and not name[:1].isdigit() else '*'}",)
