"""What the shadow's workers hand to each other: a read to compare, and one look at both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from proxy.operations import Operation, Outcome
from proxy.shadow.classify import TargetAnswer
from proxy.shadow.shapes import Shape

TOGETHER: Final = 32  # documents that one statement reads
QUEUE_BYTES: Final = 24 << 20  # bodies that may wait in one process


@dataclass(slots=True)
class Job:
    """One read to compare.

    outcome: what the client was answered; of a cursor that was read to its end, all its batches as one. seconds: how
    long that took. route: the API route that asked, or `unknown`. trace: its `traceparent`, or empty. reversed:
    PostgreSQL had answered. origin_seconds, target_seconds: of the first look, once they are known. twice: ArangoDB
    is compared with itself as well.
    """

    operation: Operation
    outcome: Outcome
    collections: tuple[str, ...]
    seconds: float
    route: str
    reversed: bool
    shape: Shape
    trace: str = ""
    twice: bool = False
    origin_seconds: float | None = None
    target_seconds: float | None = None
    counted: int = 0  # bytes, while it waits

    @property
    def size(self) -> int:
        """Bytes that it keeps in memory."""
        return len(self.outcome.body) + len(self.operation.body)


@dataclass(frozen=True, slots=True)
class Look:
    """Both answers, and the moment (monotonic) at which looking began."""

    began: float
    origin: Outcome
    target: TargetAnswer


def grouped(jobs: Sequence[Job]) -> list[list[Job]]:
    """Unconditional reads of single documents of one collection together, at most TOGETHER; all others alone."""
    groups: dict[str, list[Job]] = {}
    ready: list[list[Job]] = []
    for job in jobs:
        operation = job.operation
        if operation.endpoint != "document.read" or job.reversed or operation.headers:
            ready.append([job])
            continue
        name = operation.qualified or ""
        group = groups.setdefault(name, [])
        group.append(job)
        if len(group) == TOGETHER:
            ready.append(groups.pop(name))
    return [*ready, *groups.values()]
