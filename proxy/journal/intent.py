"""An intent in memory, and how it ends."""

from __future__ import annotations

import enum

from proxy.journal.records import DocumentWrite, Write


class Ending(enum.Enum):
    """The end of an intent. A request that waits to read its own write needs to know which."""

    APPLIED = "applied"  # PostgreSQL has what was written, or something newer
    NOTHING = "nothing"  # the origin wrote nothing
    GIVEN_UP = "given up"  # PostgreSQL lacks it, or may: a mark or a dead letter says so, and flips were rolled back


class Intent:
    """A write that was journaled and is under way. `remaining`: changes that PostgreSQL does not have yet.

    seq: negative if the journal could not be written. write: what it is about. keys: those that it is known to write;
    empty if they are not known. loose: the journal alone knows of it
    from now on. taken: wall time before it was forwarded; up: seconds since the boot of the machine then. trace: the
    request's `traceparent` if it was sampled. refused: PostgreSQL refused a part of it. ending: how it ended, or None.
    """

    __slots__ = (
        "__weakref__",
        "collection",
        "ending",
        "keys",
        "loose",
        "refused",
        "remaining",
        "seq",
        "stamp",
        "taken",
        "trace",
        "up",
        "write",
    )

    def __init__(
        self,
        seq: int,
        collection: str,
        write: Write,
        stamp: int,
        taken: float = 0.0,
        trace: str = "",
        up: float = 0.0,
    ) -> None:
        self.seq = seq
        self.collection = collection
        self.write = write
        self.keys = _keys(write)
        self.stamp = stamp
        self.remaining = 0
        self.loose = False
        self.taken = taken
        self.trace = trace
        self.up = up
        self.refused = False
        self.ending: Ending | None = None

    def name(self, write: DocumentWrite) -> None:
        """Note the keys of a write whose keys were not known."""
        self.write = write
        self.keys = write.keys


def _keys(write: Write) -> tuple[str, ...]:
    return write.keys if type(write) is DocumentWrite else ()
