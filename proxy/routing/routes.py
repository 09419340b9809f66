"""(Operation, Snapshot) -> Route: one value, pure. What happens to a request is decided here and nowhere else.

Rules: DESIGN section 9 ("A query is served by PostgreSQL only if every collection that it reads is flipped …"),
I10 (what is not captured marks what it may touch), mirror-protocol "Flip" (hold, bring up to date).
"""

from __future__ import annotations

import enum
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import msgspec

from proxy.model.endpoint import Capture, CollectionIn, Effect, Family, InTransaction, Read, Verb
from proxy.model.operations import Operation
from proxy.model.stages import Snapshot, Stage
from proxy.routing.bypass import IN_TRANSACTION, PACKED, Obstacle, bypass, outside


class Action(enum.Enum):
    """The ways that a request can go."""

    FORWARD = "forward"  # to the origin as it is
    READ = "read"  # documents or a query: origin or target, perhaps compared
    CAPTURE = "capture"  # a write: journal, forward so that what it wrote is known, mirror
    OPAQUE = "opaque"  # forward, then mark what it may have touched unverified


class Route(msgspec.Struct, frozen=True, gc=False):
    """What to do with one request.

    collections: `database/name` of what it reads (READ) or may have written (CAPTURE, OPAQUE; `db/*` is all of them).
    target: the target is asked first. compare: the shadow gets it.
    hold: wait until the flip that is under way has been decided. gap: why it is neither captured nor compared.
    writes: what a forwarded request may write without an intent, so that `mirror` waits for it.
    extent: see `extent_of`.
    """

    action: Action
    collections: tuple[str, ...] = ()
    target: bool = False
    compare: bool = False
    hold: bool = False
    gap: str = ""
    writes: tuple[str, ...] = ()
    extent: frozenset[str] = frozenset()

    def because(self, reason: str) -> Route:
        """The same with a reason why it is not captured."""
        return msgspec.structs.replace(self, gap=reason)


@dataclass(frozen=True, slots=True)
class QueryFacts:
    """What the analysis of a query's text says: names without database.

    understood: the text was parsed. dynamic: it reads more than `reads` tells: a graph without WITH, whose vertices lie
    anywhere, a named graph, whose definition is a document of `_graphs`, DOCUMENT of a computed id.
    takes_any: it is not deterministic, but only because any rows of the right number are an answer (LIMIT without
    SORT). Clients page with such queries all the same, so that one side has to answer all of them: PostgreSQL, which
    gives them in the order of keys, where all reads are its, and ArangoDB before.
    """

    reads: frozenset[str]
    writes: frozenset[str]
    modifies: bool
    deterministic: bool
    understood: bool = True
    dynamic: bool = False
    takes_any: bool = False


class _Named(msgspec.Struct):
    name: str = ""


class _Collected(msgspec.Struct):
    collection: str = ""


_COLLECTION = msgspec.json.Decoder(_Collected)
_NAME = msgspec.json.Decoder(_Named)

FORWARD = Route(Action.FORWARD)
_NOT_IN_SHADOW = "reads a collection that is not in the shadow"
# of document writes these make no difference: their answers show what they wrote
_SHOWN_BY_ANSWERS = PACKED | {Obstacle.IN_TRANSACTION}
GRAPHS = "_graphs"


def share(text: bytes, weight: int) -> bool:
    """Whether this document or query is among the `weight` percent: sticky, the same on every instance."""
    return weight >= 100 or (weight > 0 and zlib.crc32(text) % 100 < weight)


def route(
    operation: Operation, snapshot: Snapshot, query: QueryFacts | None = None, *, unwritten: bool = False
) -> Route:
    """The way of one request. `query` is given for `cursor.create` whose text could be parsed.

    unwritten: nothing is known to be written in the request's stream transaction. A read in it is ArangoDB's to answer,
    and is compared with what PostgreSQL has outside of it: a difference of the transaction's snapshot does not outlive
    the second look, which reads both sides outside of it.
    """
    if unwritten and bypass(operation) == IN_TRANSACTION:
        way = route(outside(operation), snapshot, query)
        if way.action is Action.READ and way.compare:
            return msgspec.structs.replace(way, target=False)
    effect = operation.effect
    if effect is Effect.READ:
        return _read(operation, snapshot)
    if effect is Effect.WRITE:
        return _write(operation, snapshot)
    if effect is Effect.QUERY:
        return _query(operation, snapshot, query)
    if operation.endpoint.capture is not Capture.NONE:
        return _CAPTURES[operation.endpoint.capture](operation, snapshot)
    if operation.endpoint.read.reworded:
        return _reworded_read(operation, snapshot)
    if operation.endpoint.read is Read.UNCOMPARED:
        return Route(Action.FORWARD, gap="not compared")
    return FORWARD


def _transaction(operation: Operation, snapshot: Snapshot) -> Route:
    """Its begin or end, whatever the request's headers: the body shows no collection."""
    every = (f"{operation.database}/*",)
    captured = captured_only(snapshot, every)
    return Route(Action.CAPTURE, captured) if captured else Route(Action.FORWARD, writes=every)


def _import(operation: Operation, snapshot: Snapshot) -> Route:
    return _uncaptured(operation, snapshot) if operation.collection is None else _as_named(operation, snapshot)


def _change(operation: Operation, snapshot: Snapshot) -> Route:
    """A change of whole collections."""
    if operation.endpoint.verb is Verb.RENAME and _name(operation.body) == operation.collection:
        return FORWARD  # to the name that it has: ArangoDB changes nothing
    return _as_named(operation, snapshot)


def _index(operation: Operation, snapshot: Snapshot) -> Route:
    if b'"ttl"' not in operation.body:
        return FORWARD
    return _opaque(operation, snapshot, may_write(operation), "documents expire")


def _as_named(operation: Operation, snapshot: Snapshot) -> Route:
    """Captured for the collections that the request names."""
    return _captured(operation, snapshot, may_write(operation))


def _through_graph(operation: Operation, snapshot: Snapshot) -> Route:
    return _captured(operation, snapshot, _of_graph(operation), allowed=PACKED)


def _uncaptured(operation: Operation, snapshot: Snapshot) -> Route:
    return _opaque(operation, snapshot, may_write(operation), "not captured")


# but for document writes and queries, whose effect decides
_CAPTURES: dict[Capture, Callable[[Operation, Snapshot], Route]] = {
    Capture.GRAPH_DOCUMENT: _through_graph,
    Capture.GRAPH_DEFINITION: _through_graph,
    Capture.KEYS_IN_BODY: _as_named,
    Capture.REVISIONS: _as_named,
    Capture.RESYNC: _as_named,
    Capture.TRANSACTION: _transaction,
    Capture.IMPORT: _import,
    Capture.COLLECTION: _change,
    Capture.INDEX: _index,
    Capture.OPAQUE: _uncaptured,
}


def read_of(operation: Operation) -> str | None:
    """The collection (`database/name`) that a read of documents, but for a query, reads; None where none is named."""
    if operation.endpoint.collection_in is CollectionIn.BODY:
        name = _of_body(operation.body)
        return f"{operation.database}/{name}" if name else None
    return operation.qualified


def _reworded_read(operation: Operation, snapshot: Snapshot) -> Route:
    """Reads of documents by other endpoints than those of documents and queries: the ways of the one or the other."""
    collection = read_of(operation)
    if collection is None:
        return FORWARD
    behaviour = snapshot.behaviour(collection)
    hold = behaviour.hold_queries and operation.endpoint.read is Read.QUERY_LIKE
    if not behaviour.compare:
        return Route(Action.READ, (collection,), hold=hold) if hold or behaviour.synchronous else FORWARD
    reason = bypass(operation)
    if reason:
        return Route(Action.READ, (collection,), hold=hold, gap=reason)
    weight = behaviour.weight if not operation.endpoint.needs_index else 0
    if operation.endpoint.read is Read.GRAPH_DOCUMENT:
        weight = min(weight, snapshot.behaviour(f"{operation.database}/{GRAPHS}").weight)
    which = operation.key or operation.params.get("vertex")
    return Route(
        Action.READ,
        (collection,),
        target=share(which.encode() if which else operation.body, weight),
        compare=True,
        hold=hold,
    )


def _read(operation: Operation, snapshot: Snapshot) -> Route:
    collection = operation.qualified
    if collection is None or not snapshot.standing(collection).stage.at_least(Stage.SHADOW):
        synchronous = collection is not None and snapshot.behaviour(collection).synchronous
        return Route(Action.READ, (collection,)) if synchronous and collection else FORWARD
    behaviour = snapshot.behaviour(collection)
    reason = bypass(operation)
    if reason:
        return Route(Action.READ, (collection,), gap=reason)
    return Route(
        Action.READ,
        (collection,),
        target=share((operation.key or "").encode() or operation.body, behaviour.weight),
        compare=behaviour.compare,
    )


def _write(operation: Operation, snapshot: Snapshot) -> Route:
    collection = operation.qualified
    if collection is None or (operation.collection or "")[:1].isdigit():  # a number whose name ArangoDB did not tell
        return _opaque(operation, snapshot, (f"{operation.database}/*",), "no collection")
    behaviour = snapshot.behaviour(collection)
    if not behaviour.capture:
        return Route(Action.FORWARD, writes=(collection,))
    reason = bypass(operation, writes=True, allowed=_SHOWN_BY_ANSWERS)
    if reason:
        return Route(Action.OPAQUE, (collection,), gap=reason)
    return Route(Action.CAPTURE, (collection,))


def _query(operation: Operation, snapshot: Snapshot, query: QueryFacts | None) -> Route:
    database = operation.database
    reason = bypass(operation)
    if query is None:
        return _opaque(operation, snapshot, (f"{database}/*",), reason or "query not understood")
    if query.modifies:
        names = tuple(f"{database}/{name}" for name in sorted(query.writes)) or (f"{database}/*",)
        if not query.writes:
            return _opaque(operation, snapshot, names, reason or "query not understood")
        return _captured(operation, snapshot, names)
    if not query.understood:
        return _unknown_extent(database, snapshot, reason or "query not understood")
    extent = extent_of(database, snapshot, query)
    if query.dynamic and not query.reads:  # it counts for whatever it may read
        if not extent:
            return _unknown_extent(database, snapshot, reason or "query not understood")
        query = replace(query, reads=extent)
    names = tuple(f"{database}/{name}" for name in sorted(query.reads))
    behaviours = [snapshot.behaviour(name) for name in names]
    beyond = [snapshot.behaviour(f"{database}/{name}") for name in extent]
    hold = any(b.hold_queries for b in (*behaviours, *beyond)) or (query.dynamic and _moving(database, snapshot))
    compared = bool(behaviours) and all(b.compare for b in behaviours)
    if not compared or reason:
        gap = reason if any(b.compare for b in behaviours) else ""
        if not gap and any(b.compare for b in behaviours):
            gap = _NOT_IN_SHADOW
        if query.dynamic and snapshot.database_has(database, Stage.SHADOW):  # what it meets may be in the shadow
            return Route(Action.READ, names, hold=hold, gap=gap or reason or _NOT_IN_SHADOW, extent=extent)
        return Route(Action.READ, names, hold=hold, gap=gap) if hold or gap else FORWARD
    weight = min(b.weight for b in (*behaviours, *beyond))
    return Route(
        Action.READ,
        names,
        target=(query.deterministic or (query.takes_any and weight >= 100)) and share(operation.body, weight),
        compare=True,
        hold=hold,
        extent=extent,
    )


def extent_of(database: str, snapshot: Snapshot, query: QueryFacts) -> frozenset[str]:
    """What a query whose text does not tell may read in PostgreSQL: every collection of its database that is compared
    and that the origin has.

    Empty for one whose text tells. Its run is held to that: a document of another collection ends it there, and
    ArangoDB answers. It counts for the collections that its text names; PostgreSQL serves it where all of its extent is
    flipped.
    """
    if not query.dynamic:
        return frozenset()
    prefix = f"{database}/"
    there = (name for name in snapshot.collections if name.startswith(prefix) and name not in snapshot.absent)
    compared = {name for name in there if snapshot.behaviour(name).compare}
    return frozenset(name.removeprefix(prefix) for name in compared) | query.reads


def _moving(database: str, snapshot: Snapshot) -> bool:
    """Whether a collection of the database is in the middle of its flip."""
    prefix = database + "/"
    return any(snapshot.behaviour(name).hold_queries for name in snapshot.moves if name.startswith(prefix))


def _unknown_extent(database: str, snapshot: Snapshot, reason: str) -> Route:
    """A query that reads nobody knows what: the origin answers, it is counted for the whole database, and waits."""
    if not snapshot.database_has(database, Stage.SHADOW):
        return FORWARD
    return Route(Action.READ, (f"{database}/*",), hold=_moving(database, snapshot), gap=reason)


def may_write(operation: Operation) -> tuple[str, ...]:
    """The collections that an operation may write, but for documents and queries; `db/*` where that cannot be told."""
    database, collection = operation.database, operation.collection
    if operation.endpoint.family is Family.DATABASE:
        return (f"{operation.path[-1]}/*",)
    if collection is not None and collection[:1].isdigit():  # an id; which collection has it is not known here
        return (f"{database}/*",)
    if operation.endpoint.collection_in is CollectionIn.BODY:
        name = _of_body(operation.body)
        return (f"{database}/{name or '*'}",)
    if operation.endpoint.collection_in is CollectionIn.BODY_NAME:
        name = _name(operation.body)
        if not name:
            return (f"{database}/*",)
        if collection is None:
            return (f"{database}/{name}",)
        # ArangoDB renames it in the definitions of graphs too
        return f"{database}/{collection}", f"{database}/{name}", f"{database}/{GRAPHS}"
    return (f"{database}/{collection or '*'}",)


def _of_graph(operation: Operation) -> tuple[str, ...]:
    """The collection of a document that is written; of a removal, and of changes of the graph itself, any of them.

    A change of the graph names a collection in its path and writes another, `_graphs`; it may make or drop some.
    """
    named = operation.collection is not None and not operation.collection[:1].isdigit()
    one = operation.endpoint.capture is Capture.GRAPH_DOCUMENT and operation.endpoint.verb is not Verb.REMOVE
    if named and operation.qualified is not None and one:
        return (operation.qualified,)
    return (f"{operation.database}/*",)


def _of_body(body: bytes) -> str:
    """The attribute `collection` of a JSON object; empty where there is none, or an id."""
    try:
        name = _COLLECTION.decode(body).collection
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return "" if name[:1].isdigit() else name


def _name(body: bytes) -> str:
    """The attribute `name` of a JSON object; empty where there is none."""
    try:
        return _NAME.decode(body).name
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def captured_only(snapshot: Snapshot, collections: Iterable[str]) -> tuple[str, ...]:
    """Those of the collections whose writes are captured: only they can become unverified."""
    kept = []
    for collection in collections:
        database, _, name = collection.partition("/")
        if snapshot.database_has(database, Stage.MIRROR) if name == "*" else snapshot.behaviour(collection).capture:
            kept.append(collection)
    return tuple(kept)


def _captured(
    operation: Operation,
    snapshot: Snapshot,
    collections: tuple[str, ...],
    allowed: frozenset[Obstacle] = frozenset(),
) -> Route:
    """Captured where a collection that it may write is mirrored, and nothing about the request forbids it."""
    if operation.endpoint.in_transaction is not InTransaction.NO:
        allowed |= {Obstacle.IN_TRANSACTION}
    reason = bypass(operation, writes=True, allowed=allowed)
    if reason:
        return _opaque(operation, snapshot, collections, reason)
    kept = captured_only(snapshot, collections)
    return Route(Action.CAPTURE, kept) if kept else Route(Action.FORWARD, writes=collections)


def _opaque(operation: Operation, snapshot: Snapshot, collections: tuple[str, ...], reason: str) -> Route:
    kept = captured_only(snapshot, collections)
    if not kept:
        return Route(Action.FORWARD, writes=collections)
    return Route(Action.OPAQUE, kept, gap=f"{operation.endpoint.name}: {reason}")
