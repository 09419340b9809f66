"""Which collections a request concerns, whoever carries it out: read, written or changed. Pure.

Names are `database/name`. What is not shown by a request stands for every collection of its database that is known to
the control plane, and for the database's default (`database/*`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from proxy.model.endpoint import CollectionIn, Effect, Endpoint, Family, InTransaction, Read, Verb, WriteRoute
from proxy.model.operations import Operation
from proxy.model.stages import Snapshot
from proxy.routing.route import QueryFacts
from proxy.routing.scope import GRAPHS, collection_in_body, may_write, name_in_body

_UNSEEN: Final = "what it may write cannot be seen"
_ACCOUNTS: Final = "accounts and rights are changed before a promotion or after all of it"
_VIEWS: Final = "views are changed before a promotion"
_DATABASE: Final = "drop its collections first"
_DEFINITION: Final = "it may create collections: promote the whole database"
_NOT_UNDERSTOOD: Final = "the query is not understood"
# of these families a request that names no collection concerns none
_NAMED_ONLY: Final = frozenset(
    {Family.DOCUMENT, Family.BULK, Family.COLLECTION, Family.INDEX, Family.SIMPLE, Family.EDGES}
)


@dataclass(frozen=True, slots=True)
class Concern:
    """The collections that a request concerns. names: sorted, without repetition; perhaps `database/*`.

    only_reads: it changes nothing. by_flip: PostgreSQL may answer it as a read of flipped collections. unseen: why
    PostgreSQL cannot carry it out, whatever is promoted; empty if it can. in_transaction: it is a part of the stream
    transaction that its headers name.
    """

    names: tuple[str, ...]
    only_reads: bool = False
    by_flip: bool = False
    unseen: str = ""
    in_transaction: bool = False


class _Declared(msgspec.Struct):
    read: str | list[str] = []
    write: str | list[str] = []
    exclusive: str | list[str] = []


class _Begin(msgspec.Struct):
    collections: _Declared = msgspec.field(default_factory=_Declared)


_BEGIN: Final = msgspec.json.Decoder(_Begin)


def every(database: str, snapshot: Snapshot, *, default: bool = False) -> tuple[str, ...]:
    """Return every collection of a database that ArangoDB or PostgreSQL has, as far as the control plane knows.

    default: with the default of the database, which stands for those that are not known.
    """
    prefix = f"{database}/"
    known = {*snapshot.collections, *snapshot.transitions}
    names = {name for name in known if name.startswith(prefix) and name not in snapshot.absent}
    names.discard(f"{database}/*")
    return tuple(sorted(names | {f"{database}/*"} if default or not names else names))


def concern_of(operation: Operation, snapshot: Snapshot, query: QueryFacts | None) -> Concern | None:
    """Return what a request concerns; None if no collection, so that ArangoDB answers it as ever."""
    endpoint = operation.endpoint
    if endpoint.read is Read.QUERY or endpoint.explains:
        return _of_query(operation, snapshot, query)
    if endpoint.changes_rights and operation.method not in ("GET", "HEAD"):
        return Concern(_everywhere(snapshot), unseen=_ACCOUNTS)
    if endpoint.write_route is WriteRoute.UNCAPTURED:
        return Concern(every(operation.database, snapshot), unseen=_UNSEEN)
    if endpoint.family is Family.VIEW:
        if endpoint.effect is not Effect.CONTROL:
            return None
        return Concern(every(operation.database, snapshot), unseen=_VIEWS)
    if endpoint.family is Family.DATABASE:
        if endpoint.verb is not Verb.DROP:
            return None
        return Concern(every(operation.path[-1], snapshot), unseen=_DATABASE)
    if endpoint.family is Family.TRANSACTION:
        return _declared(operation) if endpoint.verb is Verb.BEGIN else None
    if endpoint.family is Family.GRAPH:
        return _of_graph(operation, snapshot)
    return _named(operation) if endpoint.family in _NAMED_ONLY else None


def _named(operation: Operation) -> Concern | None:
    """Return the concern of a request whose path, parameters or body name its collections."""
    endpoint, database = operation.endpoint, operation.database
    names: tuple[str, ...]
    if endpoint.collection_in is CollectionIn.BODY:
        name = collection_in_body(operation.body)
        names = (f"{database}/{name}",) if name else ()
    elif endpoint.collection_in is CollectionIn.BODY_NAME:
        renames = endpoint.verb is Verb.RENAME and name_in_body(operation.body) != operation.collection
        names = may_write(operation) if renames else ()
        if not renames:
            name = operation.collection or name_in_body(operation.body)
            names = (f"{database}/{name}",) if name else ()
    else:
        names = () if operation.qualified is None else (operation.qualified,)
    if not names:
        if endpoint.family is not Family.COLLECTION or endpoint.effect is not Effect.PASSTHROUGH:
            return None
        names = (f"{database}/*",)  # the list of collections: PostgreSQL's if the whole database is promoted
    return Concern(
        tuple(sorted(set(names))),
        only_reads=_only_reads(operation),
        by_flip=_by_flip(operation),
        in_transaction=_part_of_transaction(endpoint),
    )


def _of_query(operation: Operation, snapshot: Snapshot, query: QueryFacts | None) -> Concern | None:
    """Return the concern of a query, or of its explanation."""
    database, explains = operation.database, operation.endpoint.explains
    if query is None or not query.understood or (query.modifies and not query.writes):
        names = every(database, snapshot)
        whole = all(snapshot.policy(name).writer is snapshot.policy(names[0]).writer for name in names)
        # if all are promoted, PostgreSQL says what is wrong with it
        return Concern(names, in_transaction=True, unseen="" if whole else _NOT_UNDERSTOOD)
    named = {f"{database}/{name}" for name in query.reads | query.writes}
    if query.dynamic:
        named |= set(every(database, snapshot))
    if not named:
        return None
    reads = explains or not query.modifies
    return Concern(
        tuple(sorted(named)), only_reads=reads, by_flip=reads and _by_flip(operation), in_transaction=not explains
    )


def _of_graph(operation: Operation, snapshot: Snapshot) -> Concern:
    """Return the concern of a request about a graph, whose definition is a document of `_graphs`.

    A write through a graph looks at vertices, and removes edges, of any collection.
    """
    endpoint, database = operation.endpoint, operation.database
    definitions = f"{database}/{GRAPHS}"
    if endpoint.write_route is WriteRoute.GRAPH_DEFINITION:
        names = {definitions, *every(database, snapshot, default=True)}
        return Concern(tuple(sorted(names)))
    if endpoint.write_route is WriteRoute.GRAPH_DOCUMENT:
        names = {definitions, *every(database, snapshot)}
        return Concern(tuple(sorted(names)), in_transaction=True)
    names = {definitions} if operation.qualified is None else {definitions, operation.qualified}
    return Concern(
        tuple(sorted(names)),
        only_reads=True,
        by_flip=_by_flip(operation),
        in_transaction=endpoint.read is not Read.NONE,
    )


def _declared(operation: Operation) -> Concern | None:
    """Return the concern of the begin of a stream transaction: what it declares."""
    try:
        given = _BEGIN.decode(operation.body).collections
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # ArangoDB says what is wrong with it
    names: set[str] = set()
    for each in (given.read, given.write, given.exclusive):
        names |= {each} if isinstance(each, str) else set(each)
    qualified = tuple(sorted(f"{operation.database}/{name}" for name in names))
    return Concern(qualified) if qualified else None


def _everywhere(snapshot: Snapshot) -> tuple[str, ...]:
    return tuple(sorted({*snapshot.collections, *snapshot.transitions} - snapshot.absent))


def _only_reads(operation: Operation) -> bool:
    endpoint = operation.endpoint
    if endpoint.read is not Read.NONE:
        return True
    return endpoint.effect is Effect.PASSTHROUGH and operation.method in ("GET", "HEAD")


def _by_flip(operation: Operation) -> bool:
    """Return True for a read that PostgreSQL may answer at stage `flipped`."""
    endpoint = operation.endpoint
    known = endpoint.read.by_key or endpoint.read in (Read.QUERY, Read.QUERY_LIKE)
    return known and not endpoint.needs_index and "x-arango-async" not in operation.headers


def _part_of_transaction(endpoint: Endpoint) -> bool:
    """Return True if a request takes part in the stream transaction that its headers name."""
    if endpoint.family is Family.INDEX:
        return False
    return endpoint.in_transaction is not InTransaction.NO or endpoint.effect in (Effect.READ, Effect.PASSTHROUGH)
