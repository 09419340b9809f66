"""State, rules and bounds of the model of promotion (tests/model/promotion)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

# of the control row. The writer follows from the stage, since both change in one transaction
FLIPPED, HOLD, PROMOTED, DEMOTING, SHADOW = range(5)
NO_ROW, DOCUMENT, TOMBSTONE = range(3)
# of a write. Forwarded to ArangoDB: an open intent of the journal is FORWARDED, EXECUTED, LOST, OPEN or READ
AT_PROXY, FORWARDED, EXECUTED, LOST, OPEN, READ, BOTH = range(1, 8)
SENT, LOCKED, COMMITTED = range(8, 11)  # decided by PostgreSQL
INTENTS = (FORWARDED, EXECUTED, LOST, OPEN, READ)
NO_APPLIER, READY, DOCUMENTS_FIRST, LOADED, PUSHING, CONFIRMED = range(6)  # of an applier
NO_READ, ASKED, SOURCE, REPAIRING, LOOKED, ANSWERING = range(6)  # of a read
ARANGODB, POSTGRESQL = 1, 2
UPSERT, REMOVE, REPAIR = range(3)  # of a late statement


class Row(NamedTuple):
    """A row of PostgreSQL. version: the newest state of the key that it takes into account; see `Versions`."""

    kind: int
    rev: int
    version: int
    mark: int


class Proxy(NamedTuple):
    """stage: the last one that it saw. current, acked: that, and its acknowledgement, are of the present generation.

    stale: its lease has run out; own: it knows that. alone: it answered without PostgreSQL. evicted: by the operator,
    who asserts that the process is dead.
    """

    stage: int
    current: bool
    acked: bool
    era: int
    cut: bool
    stale: bool
    own: bool
    alone: bool
    registered: bool
    evicted: bool


class Write(NamedTuple):
    """A client's write. base: what was acknowledged when it began; conditional: it must find that state.

    version: that it made, or was refused for. read: what its repair found. done: its client has an answer or an error.
    locks: it has locked a row, which exists. place: of its row in the outbox.
    """

    phase: int
    proxy: int
    key: int
    removes: bool
    base: int
    conditional: bool
    done: bool = False
    rev: int = 0
    version: int = 0
    read: int = 0
    stamp: int = 0
    had: int = 0
    locks: bool = False
    place: int = 0
    refused: bool = False


class Late(NamedTuple):
    """A statement of the mirror, or a repair of a verification, that runs at any later time."""

    kind: int
    key: int
    rev: int
    stamp: int
    had: int
    version: int


class Applier(NamedTuple):
    """rows: places in the outbox; documents: (key, version) that it read."""

    phase: int
    token: int
    rows: tuple[int, ...] = ()
    documents: tuple[tuple[int, int], ...] = ()


class ClientRead(NamedTuple):
    """A client's read of key 0. acked, seen: before it began. value: what it shows."""

    phase: int
    proxy: int = 0
    source: int = 0
    value: int = 0
    acked: int = 0
    seen: int = 0
    had: int = 0
    stamp: int = 0


class Left(NamedTuple):
    """How often each may still happen."""

    writes: int = 2
    reads: int = 0
    promotes: int = 1
    demotes: int = 1
    aborts: int = 0
    cuts: int = 0
    crashes: int = 0
    lost: int = 0
    orphans: int = 0
    purges: int = 0
    takeovers: int = 0
    lost_pushes: int = 0
    applier_crashes: int = 0
    bypasses: int = 0
    glass: int = 0
    verifications: int = 0
    evictions: int = 0


class State(NamedTuple):
    """arangodb: the version of each key. clock: its newest revision. fence: the token in its fence document.

    rights: by user; noted: those that they had, in PostgreSQL; requests: (user, right) that may still run. sequence,
    lease: of revisions, and the appliers' token, in PostgreSQL. outbox: (place, key). newest: revision of each key;
    used: revisions, as bits.
    """

    arangodb: tuple[int, ...]
    clock: int
    fence: int
    down: bool
    rights: tuple[bool, ...]
    noted: tuple[bool, ...]
    requests: tuple[tuple[int, bool], ...]
    rows: tuple[Row, ...]
    stage: int
    era: int
    mark: int
    sequence: int
    lease: int
    outbox: tuple[tuple[int, int], ...]
    floor: int
    unverified: bool
    proxies: tuple[Proxy, ...]
    writes: tuple[Write, ...]
    late: tuple[Late, ...]
    appliers: tuple[Applier, ...]
    pushes: tuple[Applier, ...]
    read: ClientRead
    acked: tuple[int, ...]
    seen: int
    newest: tuple[int, ...]
    used: int
    left: Left


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of the protocol; each False is a mutant that a property must catch."""

    fence_locked: bool = True  # by promoted writes, until they commit
    promoted_tests_writer: bool = True
    forward_tests_writer: bool = True
    read_tests_writer: bool = True
    revision_after_lock: bool = True
    decides_under_lock: bool = True  # a conditional write reads the row that it has locked
    purge_waits: bool = True  # for the writes that hold the fence
    token: bool = True  # a push tests and brings the token
    push_is_transaction: bool = True  # which locks the fence document; else one request
    rows_before_documents: bool = True
    deletes_what_it_read: bool = True
    deletes_under_lease: bool = True
    equal_left_alone: bool = True
    hold_sticks: bool = True  # without PostgreSQL nothing is forwarded in the hold
    hold_asks_no_read: bool = True
    hold_survives_crash: bool = True
    stamp_before_reading: bool = True  # a read repair has the era that was known before ArangoDB was asked
    acknowledgements: bool = True
    acknowledges_without_intents: bool = True
    unverified_is_gate: bool = True
    verification_waits_for_late: bool = True
    floor: bool = True
    floor_after_acknowledgements: bool = True
    drained: bool = True  # before a demotion commits
    clock_wait: bool = True
    demotion_raises_mark: bool = True
    tombstones: bool = True
    leases_after_demotion: bool = True
    rights_before_commit: bool = True
    rights_back_after_commit: bool = True
    rights_request_is_gate: bool = True
    rights_noted_once: bool = True
    note_outlives_requests: bool = True
    glass_outbox: bool = True
    glass_margin: bool = True
    glass_waits_for_late: bool = True
    one_sequence: bool = True  # else each proxy draws revisions from a clock above the stored one
    promotion_raises_mark: bool = True  # not needed
    leases_at_commit: bool = True  # not needed


ONCE = Left()


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of a run. users: rights that the users of ArangoDB had, the proxies' clients first; none: not modelled.

    slots: concurrent writes. history: key 0 has a document. partial: a round may read the oldest row only. start: the
    first stage. behind: the stage that the last proxy has seen instead, and the others have forgotten.
    """

    left: Left = ONCE
    keys: int = 1
    slots: int = 2
    proxies: int = 2
    appliers: int = 2
    users: tuple[bool, ...] = ()
    removals: bool = True
    conditional: bool = False
    history: bool = True
    partial: bool = False
    start: int = FLIPPED
    behind: int | None = None


class World(NamedTuple):
    """What stays the same during an exploration."""

    bounds: Bounds
    rules: Rules


Step = tuple[str, State]


def serves(proxy: Proxy) -> bool:
    """Return True if the process answers clients: after a crash it begins to when it has registered, or cannot reach
    PostgreSQL. One that was evicted is dead until it registers.
    """
    return proxy.registered or (proxy.cut and not proxy.evicted)


def origin_writes(state: State) -> bool:
    """Return True if ArangoDB takes the writes."""
    return state.stage in (FLIPPED, HOLD, SHADOW)


def replaced(items: tuple[int, ...], index: int, item: int) -> tuple[int, ...]:
    return (*items[:index], item, *items[index + 1 :])


def alive(version: int) -> int:
    """Return the revision of a version, 0 if it is a removal.

    A version is 2 * revision, of a removal 1 more: later states of a key are greater. 0: there never was a document.
    """
    return 0 if version % 2 else version // 2


def with_row(state: State, key: int, row: Row) -> State:
    return state._replace(rows=(*state.rows[:key], row, *state.rows[key + 1 :]))


def with_proxy(state: State, index: int, proxy: Proxy) -> State:
    return state._replace(proxies=(*state.proxies[:index], proxy, *state.proxies[index + 1 :]))


def with_write(state: State, index: int, write: Write | None) -> State:
    kept = (write,) if write else ()
    return state._replace(writes=(*state.writes[:index], *kept, *state.writes[index + 1 :]))


def fenced(world: World, state: State) -> bool:
    """Return True if a promoted write holds the fence: whoever changes the writer waits."""
    return world.rules.fence_locked and any(write.phase == LOCKED for write in state.writes)
