"""What reads came to, as a value, for whoever keeps account of shapes: `Shadow(..., sinks=(sink,))` calls each sink.

A sink is a plain function of one Verdict. It is called on the event loop, when the verdict is final, so that every read
of the sampled share (compared or skipped) is told once: it must not block, raise or await, and ought to take
microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from proxy.routing.query_shapes import Shape

MATCH: Final = "match"
LAG: Final = "lag"  # a match, once the mirror had caught up
IGNORED: Final = "ignored"  # what differed is noise, by a rule or by ArangoDB against itself
UNSETTLED: Final = "unsettled"
UNSUPPORTED: Final = "unsupported"
SKIPPED: Final = "skipped"


@dataclass(frozen=True, slots=True)
class ReadVerdict:
    """What became of one read, or of `number` reads that one look at both sides has told apart from nothing else.

    kind: one of the words above, or the class of a confirmed mismatch (`compare.Kind`: missing, extra, stale, value,
    type, order, error). collections: `database/name` of all that it reads, sorted. reason: why it was skipped or
    ignored, else empty. origin_seconds: how long ArangoDB took for the first look at each; none where nobody looked.
    target_seconds: how long PostgreSQL took, for all of them. reversed: PostgreSQL had answered the client.
    """

    shape: Shape
    collections: tuple[str, ...]
    kind: str
    reason: str = ""
    origin_seconds: Sequence[float] = ()
    target_seconds: float = 0.0
    reversed: bool = False
    number: int = 1

    @property
    def mismatched(self) -> bool:
        """Whether it is a confirmed mismatch."""
        return self.kind not in _HARMLESS


_HARMLESS: Final = frozenset({MATCH, LAG, IGNORED, UNSETTLED, UNSUPPORTED, SKIPPED})

Sink = Callable[[ReadVerdict], None]
