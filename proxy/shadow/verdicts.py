"""What one read came to, as a value, for whoever keeps account of shapes: `Shadow(..., sinks=(sink,))` calls each sink.

A sink is a plain function of one Verdict. It is called on the event loop, once for every read of the sampled share
(compared or skipped), when its verdict is final: it must not block, raise or await, and ought to take microseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from proxy.shadow.shapes import Shape

MATCH: Final = "match"
LAG: Final = "lag"  # a match, once the mirror had caught up
IGNORED: Final = "ignored"  # what differed is noise, by a rule or by ArangoDB against itself
UNSETTLED: Final = "unsettled"
UNSUPPORTED: Final = "unsupported"
SKIPPED: Final = "skipped"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one read.

    kind: one of the words above, or the class of a confirmed mismatch (`compare.Kind`: missing, extra, stale, value,
    type, order, error). collections: `database/name` of all that it reads, sorted. reason: why it was skipped or
    ignored, else empty. origin_seconds, target_seconds: how long each side took for the first look; None where it was
    not asked. reversed: PostgreSQL had answered the client.
    """

    shape: Shape
    collections: tuple[str, ...]
    kind: str
    reason: str = ""
    origin_seconds: float | None = None
    target_seconds: float | None = None
    reversed: bool = False

    @property
    def mismatched(self) -> bool:
        """Whether it is a confirmed mismatch."""
        return self.kind not in _HARMLESS


_HARMLESS: Final = frozenset({MATCH, LAG, IGNORED, UNSETTLED, UNSUPPORTED, SKIPPED})

Sink = Callable[[Verdict], None]
