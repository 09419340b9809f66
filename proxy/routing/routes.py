"""(Operation, Snapshot) -> Route: one value, pure. What happens to a request is decided here and nowhere else.

Rules: DESIGN section 9 ("A query is served by PostgreSQL only if every collection that it reads is flipped …"),
I10 (what is not captured marks what it may touch), mirror-protocol "Flip" (hold, bring up to date).
"""

from __future__ import annotations

import enum
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec

from proxy.model.operations import Effect, Operation
from proxy.model.stages import Snapshot, Stage


class Action(enum.Enum):
    """The ways that a request can go."""

    FORWARD = "forward"  # to the origin as it is
    READ = "read"  # documents or a query: origin or target, perhaps compared
    CAPTURE = "capture"  # a write: journal, forward so that what it wrote is known, mirror
    OPAQUE = "opaque"  # forward, then mark what it may have touched unverified


class Route(msgspec.Struct, frozen=True, gc=False):
    """What to do with one request.

    collections: `database/name` of what it reads (READ) or may have written (CAPTURE, OPAQUE; `db/*` is all of them).
    target: the target is asked first. compare: the shadow gets it. synchronous: answers wait for the target.
    hold: wait until the flip that is under way has been decided. gap: why it is neither captured nor compared.
    writes: what a forwarded request may write without an intent, so that `mirror` waits for it.
    extent: see `extent_of`.
    """

    action: Action
    collections: tuple[str, ...] = ()
    target: bool = False
    compare: bool = False
    synchronous: bool = False
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
IN_TRANSACTION = "in a transaction"
_NOT_IN_SHADOW = "reads a collection that is not in the shadow"
PACKED = "velocypack"
# what the answers to document writes say whatever their bodies are: forwarded as they are, and captured all the same
_TOLD_BY_ANSWERS = frozenset({"", IN_TRANSACTION, PACKED})
_DIRTY = "x-arango-allow-dirty-read"
_TRUE = frozenset({"true", "1", "yes", "on", "y"})
TRANSACTIONS = frozenset({"transaction.begin", "transaction.commit", "transaction.abort"})
# what ArangoDB runs inside of a stream transaction, beside writes of documents (protocol page, section 5)
_THROUGH_GRAPHS = frozenset(
    f"gharial.{kind}_{verb}" for kind in ("vertex", "edge") for verb in ("insert", "replace", "update", "remove")
)
TRANSACTIONAL = frozenset({"collection.truncate", "cursor.create"}) | _THROUGH_GRAPHS

# reads that stores/postgres can answer, and that the shadow compares
COMPARABLE = frozenset({"document.read", "document.head", "document.read_many"})
# reads of many documents of a collection, in other words than a query's: they go the ways of queries
OVER_ALL = frozenset(
    {
        *("edges.read", "edges.read_many"),
        *(f"simple.{name}" for name in ("all", "all-keys", "any", "by-example", "first-example")),
        *("simple.lookup-by-keys", "simple.range"),
    }
)
# answered by ArangoDB at every stage: an error where an index is missing, which PostgreSQL does not know of
_OF_INDEXES = frozenset({"simple.range"})
# one document through a named graph, whose definition is a document of another collection
IN_GRAPH = frozenset({"gharial.vertex_read", "gharial.edge_read"})
_OF_ONE = ("_insert", "_replace", "_update")  # writes through a graph that change one document
GRAPHS = "_graphs"
# what may change who may read what
RIGHTS = frozenset({"user.create", "user.replace", "user.update", "user.remove", "user.permission", "token"})
# reads of documents that nothing compares
UNCOMPARED = frozenset(
    {f"simple.{name}" for name in ("first", "last", "near", "within", "within-rectangle", "fulltext")}
)
# writes by keys or by example, whose collection stands in the body
SIMPLE_WRITES = frozenset(f"simple.{name}-by-example" for name in ("remove", "replace", "update")) | {
    "simple.remove-by-keys"
}
# captured in a transaction as well, whether ArangoDB runs them inside of it or not
_IN_TRANSACTIONS = TRANSACTIONAL | SIMPLE_WRITES | {"import"}
# changes of whole collections, which the mirror carries out after the origin's answer
COLLECTIONS = frozenset(
    {"collection.create", "collection.truncate", "collection.drop", "collection.rename", "database.drop"}
)


def bypass(operation: Operation, *, writes: bool = False) -> str:
    """Why this request cannot be captured (`writes`) or compared, whatever its endpoint; empty where it can.

    Stream transactions, async jobs, VelocyPack that JSON cannot say, and dirty reads (protocol sections 5 and 8), which
    no write is: ArangoDB passes over that header there.
    """
    headers = operation.headers
    if not headers:
        return ""
    if headers.get("x-arango-async", "") in ("true", "store"):
        return "async job"
    if "velocypack" in headers.get("content-type", "") or "velocypack" in headers.get("accept", ""):
        return PACKED
    if not writes and headers.get(_DIRTY, "").lower() in _TRUE:
        return "dirty read"
    if headers.get("content-encoding", "identity") not in ("identity", ""):
        return "content encoding"
    if "x-arango-trx-id" in headers:
        return IN_TRANSACTION
    return ""


def share(text: bytes, weight: int) -> bool:
    """Whether this document or query is among the `weight` percent: sticky, the same on every instance."""
    return weight >= 100 or (weight > 0 and zlib.crc32(text) % 100 < weight)


def outside(operation: Operation) -> Operation:
    """The same outside of its stream transaction; itself where it is in none."""
    if "x-arango-trx-id" not in operation.headers:
        return operation
    headers = {name: value for name, value in operation.headers.items() if name != "x-arango-trx-id"}
    return msgspec.structs.replace(operation, headers=headers)


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
    if effect is Effect.OPAQUE and operation.endpoint.startswith("gharial."):
        return _captured(operation, snapshot, _of_graph(operation))
    if operation.endpoint in SIMPLE_WRITES:
        return _captured(operation, snapshot, may_write(operation))
    if operation.endpoint in TRANSACTIONS:  # whatever the request's headers: its body says nothing
        every = captured_only(snapshot, (f"{operation.database}/*",))
        return Route(Action.CAPTURE, every) if every else Route(Action.FORWARD, writes=(f"{operation.database}/*",))
    if operation.endpoint == "import" and operation.collection is not None:
        return _captured(operation, snapshot, may_write(operation))
    if effect is Effect.OPAQUE:
        return _opaque(operation, snapshot, may_write(operation), "not captured")
    if operation.endpoint == "collection.rename" and _name(operation.body) == operation.collection:
        return FORWARD  # to the name that it has: ArangoDB changes nothing
    if effect is Effect.CONTROL and operation.endpoint in COLLECTIONS:
        return _captured(operation, snapshot, may_write(operation))
    if operation.endpoint == "index.create" and b'"ttl"' in operation.body:
        return _opaque(operation, snapshot, may_write(operation), "documents expire")
    if operation.endpoint in OVER_ALL or operation.endpoint in IN_GRAPH:
        return _other_read(operation, snapshot)
    if operation.endpoint in UNCOMPARED:
        return Route(Action.FORWARD, gap="not compared")
    return FORWARD


def read_of(operation: Operation) -> str | None:
    """The collection (`database/name`) that a read of documents, but for a query, reads; None where none is named."""
    if operation.endpoint in OVER_ALL and operation.endpoint.startswith("simple."):
        name = _of_body(operation.body)
        return f"{operation.database}/{name}" if name else None
    return operation.qualified


def _other_read(operation: Operation, snapshot: Snapshot) -> Route:
    """Reads of documents by other endpoints than those of documents and queries: the ways of the one or the other."""
    collection = read_of(operation)
    if collection is None:
        return FORWARD
    behaviour = snapshot.behaviour(collection)
    hold = behaviour.hold_queries and operation.endpoint in OVER_ALL
    if not behaviour.compare:
        if hold or behaviour.synchronous:
            return Route(Action.READ, (collection,), synchronous=behaviour.synchronous, hold=hold)
        return FORWARD
    reason = bypass(operation)
    if reason:
        return Route(Action.READ, (collection,), synchronous=behaviour.synchronous, hold=hold, gap=reason)
    weight = behaviour.weight if operation.endpoint not in _OF_INDEXES else 0
    if operation.endpoint in IN_GRAPH:
        weight = min(weight, snapshot.behaviour(f"{operation.database}/{GRAPHS}").weight)
    which = operation.key or operation.params.get("vertex")
    return Route(
        Action.READ,
        (collection,),
        target=share(which.encode() if which else operation.body, weight),
        compare=True,
        synchronous=behaviour.synchronous,
        hold=hold,
    )


def _read(operation: Operation, snapshot: Snapshot) -> Route:
    collection = operation.qualified
    if collection is None or not snapshot.standing(collection).stage.at_least(Stage.SHADOW):
        behaviour = snapshot.behaviour(collection) if collection is not None else None
        synchronous = behaviour is not None and behaviour.synchronous
        return Route(Action.READ, (collection,), synchronous=synchronous) if synchronous and collection else FORWARD
    behaviour = snapshot.behaviour(collection)
    reason = bypass(operation)
    if reason or operation.endpoint not in COMPARABLE:
        return Route(Action.READ, (collection,), synchronous=behaviour.synchronous, gap=reason or "not compared")
    return Route(
        Action.READ,
        (collection,),
        target=share((operation.key or "").encode() or operation.body, behaviour.weight),
        compare=behaviour.compare,
        synchronous=behaviour.synchronous,
    )


def _write(operation: Operation, snapshot: Snapshot) -> Route:
    collection = operation.qualified
    if collection is None or (operation.collection or "")[:1].isdigit():  # a number whose name ArangoDB did not tell
        return _opaque(operation, snapshot, (f"{operation.database}/*",), "no collection")
    behaviour = snapshot.behaviour(collection)
    if not behaviour.capture:
        return Route(Action.FORWARD, writes=(collection,))
    reason = bypass(operation, writes=True)
    if reason not in _TOLD_BY_ANSWERS:
        return Route(Action.OPAQUE, (collection,), synchronous=behaviour.synchronous, gap=reason)
    return Route(Action.CAPTURE, (collection,), synchronous=behaviour.synchronous)


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
        synchronous=any(b.synchronous for b in behaviours),
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
    if operation.endpoint == "database.drop":
        return (f"{operation.path[-1]}/*",)
    if collection is not None and collection[:1].isdigit():  # an id; which collection has it is not known here
        return (f"{database}/*",)
    if operation.endpoint.startswith("simple."):
        name = _of_body(operation.body)
        return (f"{database}/{name or '*'}",)
    if operation.endpoint in ("collection.create", "collection.rename"):
        name = _name(operation.body)
        if not name:
            return (f"{database}/*",)
        if collection is None:
            return (f"{database}/{name}",)
        # ArangoDB renames it in the definitions of graphs too
        return f"{database}/{collection}", f"{database}/{name}", f"{database}/{GRAPHS}"
    if collection is not None and not operation.endpoint.startswith(("gharial", "foxx")):
        return (f"{database}/{collection}",)
    return (f"{database}/*",)


def _of_graph(operation: Operation) -> tuple[str, ...]:
    """The collection of a document that is written; of a removal, and of changes of the graph itself, any of them.

    A change of the graph names a collection in its path and writes another, `_graphs`; it may make or drop some.
    """
    named = operation.collection is not None and not operation.collection[:1].isdigit()
    if named and operation.qualified is not None and operation.endpoint.endswith(_OF_ONE):
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


def _captured(operation: Operation, snapshot: Snapshot, collections: tuple[str, ...]) -> Route:
    """Captured where a collection that it may write is mirrored, and nothing about the request forbids it."""
    reason = bypass(operation, writes=True)
    if reason == PACKED and operation.endpoint.startswith("gharial."):
        reason = ""
    if reason and not (reason == IN_TRANSACTION and operation.endpoint in _IN_TRANSACTIONS):
        return _opaque(operation, snapshot, collections, reason)
    kept = captured_only(snapshot, collections)
    return Route(Action.CAPTURE, kept) if kept else Route(Action.FORWARD, writes=collections)


def _opaque(operation: Operation, snapshot: Snapshot, collections: tuple[str, ...], reason: str) -> Route:
    kept = captured_only(snapshot, collections)
    if not kept:
        return Route(Action.FORWARD, writes=collections)
    return Route(Action.OPAQUE, kept, gap=f"{operation.endpoint}: {reason}")
