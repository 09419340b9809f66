"""The verdict of a read as a value: `Shadow(..., sinks=(sink,))` calls each sink with every verdict.

A sink is a plain function of one ReadVerdict. It is called on the event loop, when the verdict is final, once for every
read of the sampled share (compared or skipped): it must not block, raise or await, and should take microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from proxy.routing.query_shapes import Shape

MATCH: Final = "match"
LAG: Final = "lag"  # a match, once the mirror had caught up
IGNORED: Final = "ignored"  # what differed is covered by a tolerance, or ArangoDB differs from itself in it
UNDECIDED: Final = "undecided"
UNSUPPORTED: Final = "unsupported"
SKIPPED: Final = "skipped"


@dataclass(frozen=True, slots=True)
class ReadVerdict:
    """The verdict of one read, or of `number` reads that one statement compared with the same result.

    kind: one of the words above, or the class of a confirmed mismatch (`documents.Kind`: missing, extra, stale, value,
    type, order, error). collections: `database/name` of all that it reads, sorted. reason: why it was skipped or
    ignored, else empty. origin_seconds: how long ArangoDB took for the first comparison of each; empty without one.
    target_seconds: how long PostgreSQL took, for all of them.
    """

    shape: Shape
    collections: tuple[str, ...]
    kind: str
    reason: str = ""
    origin_seconds: Sequence[float] = ()
    target_seconds: float = 0.0
    number: int = 1


Sink = Callable[[ReadVerdict], None]
