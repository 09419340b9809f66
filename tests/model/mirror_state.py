"""State, steps, rules and bounds of the mirror's model, which tests/model/mirror.py explores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

# a step -> the code that takes it, and the failpoints after it (the one place that names both)
STEPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "intend": ("proxy.replication.mirror:Mirror.intend", ("after-intend", "transaction-begun", "job-begun")),
    "execute": (
        "proxy.capture.kinds.documents:capture",
        ("after-forward", "transaction-wrote", "after-commit", "mid-import"),
    ),
    "cursor-batch": ("proxy.capture.aql:Modifications.capture", ("keys-read",)),
    "abort": ("proxy.capture.transactions:Transactions.end", ("before-commit",)),
    "capture": ("proxy.replication.mirror:Mirror.captured", ("before-complete", "before-transaction")),
    "nothing": ("proxy.replication.mirror:Mirror.close_intent", ()),
    "lose": ("proxy.replication.mirror:Mirror.lost", ()),
    "spill": ("proxy.replication.mirror:Mirror.reread", ()),
    "apply": ("proxy.replication.target_writer:TargetWriter.write", ("mid-batch", "mid-transaction")),
    "settle": ("proxy.journal.journal:Journal.complete", ("after-apply",)),
    "look": ("proxy.replication.target_writer:TargetWriter.raise_era", ()),
    "raise": ("proxy.replication.collection_resync:CollectionResync.resync", ("stamp-floor-raised",)),
    "read": ("proxy.replication.key_repair:KeyRepairer.keys", ("mid-repair", "mid-cascade")),
    "write": ("proxy.replication.target_writer:TargetWriter.absent", ("mid-resync",)),
    "purge": ("proxy.replication.tombstone_gc:purge", ()),
    "crash": ("proxy.journal.journal:Journal.open", ()),
    "copy": ("backfill.copy:", ()),
    # of the world, no code of ours: a request or a statement of a dead process runs, or is known to be gone
    "late": ("", ()),
    "gone": ("", ()),
    "orphan": ("", ()),
}
UNMODELLED_POINTS = {"before-mark"}  # marks are left out

SENT, EXECUTED, QUEUED, APPLIED, OPEN, LOOKED, READ, COPYING = range(8)  # of an operation
PUT, DELETE, BATCH, TRANSACTION, POISON, COPY, TRUNCATE, CURSOR = range(8)  # kinds
BOTH = (0, 1)


class Op(NamedTuple):
    """One intent.

    rows: (key, revision, removed) still to apply; for COPYING and READ what the origin had. late: the request may still
    run at the origin. r0: the target's version of `keys` when the repair read it.
    """

    state: int
    kind: int
    keys: tuple[int, ...]
    stamp: int
    late: bool
    rows: tuple[tuple[int, int, bool], ...]
    r0: tuple[int, ...]


class Cell(NamedTuple):
    """A row of the target.

    rev 0 and mark -1: there is no row. seen: the greatest (revision * 2 + removed) ever stored.
    """

    rev: int
    alive: bool
    mark: int
    seen: int


class State(NamedTuple):
    """origin: revision of each key, 0 for none.

    dead: revision of each key's dead letter. left: remaining writes, crashes, lost answers, purges, copies. orphans:
    (row, stamp, upsert or removal or absent) of dead processes.
    """

    origin: tuple[int, ...]
    target: tuple[Cell, ...]
    dead: tuple[int, ...]
    clock: int
    era: int
    horizon: int
    ops: tuple[Op, ...]
    orphans: tuple[tuple[tuple[int, int, bool], int, bool], ...]
    left: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of the protocol; each False is a mutant that a property must catch."""

    revision_guard: bool = True  # an upsert needs a greater revision
    applied_before_settled: bool = True
    tombstones: bool = True  # a removal leaves one
    horizon_tested: bool = True
    purge_raises_horizon: bool = True
    stamp_before_sending: bool = True  # the era of a write is the one known before it was sent
    intent_before_forward: bool = True
    absent: bool = True  # a repair that finds nothing writes that into the row
    waits_for_late: bool = True  # repair begins when the request can no longer run
    refused_is_read_again: bool = True
    looks_before_reading: bool = True  # repair reads the target first, then the origin
    equal_spares_tombstones: bool = True  # repair does not restore what was removed after its read
    sweep_raises_horizon: bool = True  # before the keys are compared after a truncation
    abort_applies_nothing: bool = True  # what a transaction wrote waits for its commit
    reads_on: bool = True  # the proxy reads the cursor of a query to its end; else its client does, or never does


@dataclass(frozen=True, slots=True)
class Bounds:
    """Maximum of what may happen. keys: 1 or 2. kinds: of writes. history: the origin begins with a document."""

    writes: int = 3
    crashes: int = 1
    lost: int = 1
    purges: int = 0
    copies: int = 0
    keys: int = 1
    kinds: tuple[int, ...] = (PUT, DELETE)
    history: bool = False


NOTHING = Cell(0, False, -1, 0)
Step = tuple[str, State]


class Broken(Exception):
    """A property is violated in the state that a step leads to."""
