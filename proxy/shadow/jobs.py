"""Values that the shadow's workers pass on: a read to compare, and one pair of answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxy.model.operations import Operation, Outcome
from proxy.routing.query_shapes import Shape
from proxy.shadow.diff.compare_answers import TargetAnswer
from proxy.shadow.packed_answer import PackedAnswer

QUEUE_BYTES: Final = 24 << 20  # of bodies that may wait in one process


@dataclass(slots=True)
class ReadToCompare:
    """One read to compare.

    outcome: what the client was answered; of a cursor that was read to its end, all its batches as one. seconds: how
    long that took. route: the API route that asked, or `unknown`. trace: its `traceparent`, or empty. reversed:
    PostgreSQL had answered. baseline: ArangoDB is compared with itself as well. timing: the seconds that both sides
    took for the first comparison, once they are known.
    """

    operation: Operation
    outcome: Outcome
    collections: tuple[str, ...]
    seconds: float
    route: str
    reversed: bool
    shape: Shape
    trace: str = ""
    baseline: bool = False
    timing: tuple[float, float] | None = None
    counted: int = 0  # bytes, while it waits
    due: float = 0.0  # the moment (monotonic) until which it waits for others

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return len(self.outcome.body) + len(self.operation.body)


@dataclass(frozen=True, slots=True)
class ReadPair:
    """Both answers, and the moment (monotonic) at which the reads began."""

    began: float
    origin: Outcome
    target: TargetAnswer | PackedAnswer
