"""What one statement tells of many reads of single documents, before each is looked at by itself: pure.

What is equal to the byte need not be parsed; and what differs at one revision no lag explains (I8), so that a storm of
mismatches, which are of few kinds, is counted by kinds. Whatever is neither takes the way of all other reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from proxy.base.errors import ArangoError
from proxy.shadow.diff.documents import Difference, compare_documents
from proxy.shadow.jobs import Job
from proxy.shadow.readers import document_answer

_ODD: Final = (ArangoError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


def split_equal(jobs: Sequence[Job], found: Mapping[str, bytes]) -> tuple[list[Job], list[Job]]:
    """Those whose client got the very bytes that the target has, and all others."""
    same: list[Job] = []
    others: list[Job] = []
    for job in jobs:
        outcome = job.outcome
        equal = outcome.status == 200 and found.get(job.operation.key or "") == outcome.body
        (same if equal else others).append(job)
    return same, others


def definite_difference(job: Job, raw: bytes | None) -> Difference | None:
    """How a read certainly differs from what the target has; None where it does not, or where another is to say."""
    if raw is None or job.outcome.status != 200:
        return None
    try:
        difference = compare_documents(job.outcome.body, raw)
        if difference is not None:
            document_answer(job.operation, raw)
    except _ODD:
        return None  # in no shape that ArangoDB gives: counted where it is looked at by itself
    return difference if difference is not None and difference.certain else None
