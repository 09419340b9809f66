"""An intent in memory, and what an earlier process left behind."""

from __future__ import annotations

from dataclasses import dataclass, field


class Intent:
    """A write that was journaled and is under way. `remaining`: changes that PostgreSQL does not have yet.

    seq: negative where the journal could not be written. opaque: the reason, then the collections that the write may
    touch; empty where it is captured. loose: the journal alone knows of it from now on. taken: wall time before it was
    forwarded. trace: the request's `traceparent` where it was sampled.
    """

    __slots__ = ("collection", "keys", "loose", "opaque", "remaining", "seq", "stamp", "taken", "trace")

    def __init__(
        self,
        seq: int,
        collection: str,
        keys: tuple[str, ...],
        stamp: int,
        opaque: tuple[str, ...],
        taken: float = 0.0,
        trace: str = "",
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
