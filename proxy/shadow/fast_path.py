"""Comparison of many reads of single documents by one statement, before any is compared by itself. Pure.

What is equal to the byte need not be parsed; and what differs at one revision lag cannot explain (I8), so that many
mismatches at once, which are of few kinds, are counted by kinds. All other reads are compared by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from proxy.base.errors import ArangoError
from proxy.shadow.diff.documents import Difference, compare_documents
from proxy.shadow.jobs import ReadToCompare
from proxy.shadow.readers import document_answer

_ODD: Final = (ArangoError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


def split_equal(
    jobs: Sequence[ReadToCompare], found: Mapping[str, bytes]
) -> tuple[list[ReadToCompare], list[ReadToCompare]]:
    """Return the reads whose client got exactly the target's bytes, and all others."""
    same: list[ReadToCompare] = []
    others: list[ReadToCompare] = []
    for job in jobs:
        outcome = job.outcome
        equal = outcome.status == 200 and found.get(job.operation.key or "") == outcome.body
        (same if equal else others).append(job)
    return same, others


def definite_difference(job: ReadToCompare, raw: bytes | None) -> Difference | None:
    """Return how a read certainly differs from what the target has; None if it does not, or if that is not certain."""
    if raw is None or job.outcome.status != 200:
        return None
    try:
        difference = compare_documents(job.outcome.body, raw)
        if difference is not None:
            document_answer(job.operation, raw)
    except _ODD:
        return None  # in no shape that ArangoDB gives: counted when it is compared by itself
    return difference if difference is not None and difference.certain else None
