"""State, rules and bounds of the model of the reverse mirror (tests/model/reverse)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

PROMOTED, DEMOTING, FLIPPED = range(3)
# kinds of transactions; all but the first change a whole collection
WRITE, TRUNCATE, DROP, RENAME, CREATE, INDEX = range(6)
# of an applier
NO_APPLIER, READY, LOADED, PUSHING, CHOSEN, ANNOUNCED, SENT, CONFIRMED = range(8)


class Entry(NamedTuple):
    """A row of the outbox. kind: WRITE for a key. collection: its identity; name: what it was called then.

    new_name: of a rename; of a request for the index: 1 to create it, 0 to remove it.
    """

    place: int
    part: int
    collection: int
    key: int
    kind: int
    name: int
    new_name: int


class Transaction(NamedTuple):
    """A transaction of PostgreSQL that holds its locks. documents: (key, document), 0 for a removal."""

    kind: int
    collection: int
    documents: tuple[tuple[int, int], ...]
    places: tuple[int, ...]
    name: int
    new_name: int


class Applier(NamedTuple):
    """rows: places in the outbox. documents: (collection, key, document) that it read. change: that it carries."""

    phase: int
    part: int = 0
    token: int = 0
    rows: tuple[int, ...] = ()
    documents: tuple[tuple[int, int, int], ...] = ()
    change: Entry | tuple[()] = ()


class Fence(NamedTuple):
    """The fence document of a part, in ArangoDB. intent: the place of the change that was announced last."""

    token: int
    intent: int


class Left(NamedTuple):
    """How often each may still happen. lost: answers of ArangoDB to appliers."""

    writes: int = 2
    truncates: int = 0
    drops: int = 0
    renames: int = 0
    creates: int = 0
    indexes: int = 0
    takeovers: int = 0
    lost: int = 0
    crashes: int = 0


class State(NamedTuple):
    """names: the collection of each name, 0 for none; documents: of each collection and key, 0 for none.

    origin_names, origin_documents: the same in ArangoDB. indexed, origin_indexed: there is a unique index. leases: the
    appliers' tokens, by part. pushes, requests: that may still run; a request is (part, change).
    """

    names: tuple[int, ...]
    documents: tuple[tuple[int, ...], ...]
    outbox: tuple[Entry, ...]
    sequence: int
    transactions: tuple[Transaction, ...]
    stage: int
    leases: tuple[int, ...]
    origin_names: tuple[int, ...]
    origin_documents: tuple[tuple[int, ...], ...]
    indexed: bool
    origin_indexed: bool
    fences: tuple[Fence, ...]
    requests: tuple[tuple[int, Entry], ...]
    appliers: tuple[Applier, ...]
    pushes: tuple[Applier, ...]
    left: Left


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of the reverse mirror; each False is a mutant that a property must catch."""

    change_excludes_writes: bool = True  # it locks the row of the fence FOR UPDATE before it draws its place
    changes_first: bool = True  # of all rows of a part; else each in its turn, after all earlier rows
    holders_are_pushed_along: bool = True  # present states of other keys, whose values a batch before a change needs
    documents_wait_for_changes: bool = True  # no document is pushed while a change waits
    documents_pass_indexes: bool = True  # which ArangoDB may refuse until it has the documents
    change_is_announced: bool = True  # in the fence document, with the token, before the request
    waits_for_late: bool = True  # a push or an announcement waits while an announced request may still run
    sends_before_deadline: bool = True  # an applier sends an announced request in time, or not at all
    confirmed_before_removal: bool = True
    rows_follow_identity: bool = True  # not the name, which a rename changes
    collection_in_one_part: bool = True
    database_in_one_part: bool = True
    removes_before_it_writes: bool = True  # a push, of documents in a unique index
    batch_can_grow: bool = True  # if a unique index of ArangoDB refuses it
    token: bool = True
    deletes_under_lease: bool = True
    drained: bool = True
    refused_is_not_done: bool = True  # a rename to a name that ArangoDB still has is tried again


ONCE = Left()


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of a run. names: of collections; existing: how many there are. unique: documents have a
    value, for which there is a unique index at first.

    parts: 2: each collection is in a database with a part of its own. both: transactions may write every key.
    """

    left: Left = ONCE
    keys: int = 1
    names: int = 1
    existing: int = 1
    parts: int = 1
    appliers: int = 2
    slots: int = 1
    removals: bool = True
    unique: bool = False
    both: bool = False
    demotes: bool = True


class World(NamedTuple):
    """What stays the same during an exploration."""

    bounds: Bounds
    rules: Rules


Step = tuple[str, State]
VALUES = (1, 2, 3)  # of a unique index


def document(rev: int, value: int) -> int:
    return rev * 4 + value


def value_of(found: int) -> int:
    return found % 4


def with_document(
    documents: tuple[tuple[int, ...], ...], place: int, key: int, new: int
) -> tuple[tuple[int, ...], ...]:
    """Return all documents with one changed. place: of the collection."""
    keys = documents[place]
    return (*documents[:place], (*keys[:key], new, *keys[key + 1 :]), *documents[place + 1 :])


def part_of(world: World, collection: int, key: int) -> int:
    bounds, rules = world.bounds, world.rules
    if not rules.collection_in_one_part:
        return key % 2
    if bounds.parts == 1 and rules.database_in_one_part:
        return 0
    return (collection - 1) % 2


def parts(world: World) -> int:
    rules = world.rules
    return 1 if world.bounds.parts == 1 and rules.collection_in_one_part and rules.database_in_one_part else 2
