"""An intent in memory, how it ends, and what an earlier process left behind."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class Settled(enum.Enum):
    """How an intent ended: the three meanings of *settled*, which whoever waits to read its own writes tells apart."""

    APPLIED = "applied"  # PostgreSQL has what was written, or something newer
    NOTHING = "nothing"  # the origin wrote nothing
    GIVEN_UP = "given up"  # PostgreSQL lacks it, or may: a mark or a dead letter says so, and flips were taken back


class Intent:
    """A write that was journaled and is under way. `remaining`: changes that PostgreSQL does not have yet.

    seq: negative where the journal could not be written. opaque: the reason, then the collections that the write may
    touch; empty where it is captured. loose: the journal alone knows of it from now on. taken: wall time before it was
    forwarded; up: seconds since the boot of the machine then. trace: the request's `traceparent` where it was sampled.
    refused: PostgreSQL refused a part of it. settled: how it ended, once it has.
    """

    __slots__ = (
        "__weakref__",
        "collection",
        "keys",
        "loose",
        "opaque",
        "refused",
        "remaining",
        "seq",
        "settled",
        "stamp",
        "taken",
        "trace",
        "up",
    )

    def __init__(
        self,
        seq: int,
        collection: str,
        keys: tuple[str, ...],
        stamp: int,
        opaque: tuple[str, ...],
        taken: float = 0.0,
        trace: str = "",
        up: float = 0.0,
    ) -> None:
        self.seq = seq
        self.collection = collection
        self.keys = keys
        self.stamp = stamp
        self.opaque = opaque
        self.remaining = 0
        self.loose = False
        self.taken = taken
        self.trace = trace
        self.up = up
        self.refused = False
        self.settled: Settled | None = None


@dataclass(slots=True)
class Recovery:
    """What an earlier process left. collections: open intents of each, all of them spilled.

    unnoted: it had forwarded writes without a note, and PostgreSQL did not have them all.
    """

    collections: dict[str, int] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    machine_stopped: bool = False
    unnoted: bool = False

    @property
    def open(self) -> int:
        return sum(self.collections.values())

    def add(self, collection: str, number: int) -> None:
        self.collections[collection] = self.collections.get(collection, 0) + number
