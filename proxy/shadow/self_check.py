"""ArangoDB against itself: what differs between two reads with no write between them is no fault of PostgreSQL (A/A).

The collection's revision, which every write changes, is asked for around the two reads: only where it stood still do
they say anything, else the reading is `undecided`. A race must not be learnt as a difference of its own, for what is
learnt here is subtracted from mismatches: counted as ignored, by class and path, never silently.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from proxy.model import json_reader
from proxy.model.endpoint import Effect
from proxy.model.operations import Operation, Outcome
from proxy.shadow.diff.compare_answers import compare_answers, error_of
from proxy.shadow.diff.documents import Difference, NotComparable, Rows, compare_rows
from proxy.shadow.readers import ReadBothSides

UNDECIDED: Final = ("undecided", "")


async def read_twice(
    sides: ReadBothSides,
    operation: Operation,
    collections: tuple[str, ...],
    compare: Callable[[Operation, Outcome, Outcome], Awaitable[Difference | None]],
) -> tuple[tuple[str, str], ...]:
    """(class, path) of what differs between two answers of the origin; empty where they agree, UNDECIDED where writes
    came between, or may have. compare: `differs_from_itself`, wherever it is carried out. Raises UpstreamError, and
    NotComparable where the origin tells nothing.
    """
    before = [await sides.revision(collection) for collection in collections]
    first = await sides.origin(operation)
    second = await sides.origin(operation)
    after = [await sides.revision(collection) for collection in collections]
    if before != after or "" in before:
        return (UNDECIDED,)
    different = await compare(operation, first, second)
    if different is None:
        return ()
    return tuple((different.kind.value, path) for path in different.paths or ("",))


def differs_from_itself(operation: Operation, first: Outcome, second: Outcome) -> Difference | None:
    """How two answers of one server differ. Raises NotComparable where one tells nothing."""
    if operation.effect is not Effect.QUERY or error_of(first) is not None or error_of(second) is not None:
        if operation.effect is Effect.READ and first.body == second.body and first.status == second.status:
            return None
        return compare_answers(operation, first, second)
    ours, theirs = _rows(first), _rows(second)
    return compare_rows(ours, Rows(theirs, (1,) * len(theirs)))


def _rows(outcome: Outcome) -> list[Any]:
    found = json_reader.load(outcome.body)
    rows = found.get("result") if isinstance(found, dict) else None
    if not isinstance(rows, list):
        raise NotComparable("not understood")
    return rows
